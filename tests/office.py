"""LibreOffice, where it is found: what it opens and saves again is what staff's files are."""

import os
import shutil
import subprocess
from pathlib import Path


def soffice_path() -> str | None:
    return os.environ.get("SOFFICE") or shutil.which("soffice") or shutil.which("libreoffice")


# Commas, double quotes, UTF-8, from the first line on; each column as text, as whoever opens a CSV file should choose.
READ_CSV = "CSV:44,34,76,1," + "/".join(f"{column}/2" for column in range(1, 8))
WRITE = {"xlsx": "xlsx", "csv": "csv:Text - txt - csv (StarCalc):44,34,76,1"}


def saved_again(file: Path, kind: str, folder: Path) -> bytes:
    """The file as LibreOffice saves it once it has opened it; `kind` is xlsx or csv."""
    profile = f"-env:UserInstallation=file://{folder / 'profile'}"  # one of its own, so that none has to be free
    reading = [f"--infilter={READ_CSV}"] if file.suffix == ".csv" else []
    writing = ["--convert-to", WRITE[kind], "--outdir", str(folder / "out")]
    command = [str(soffice_path()), profile, "--headless", *reading, *writing, str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    return (folder / "out" / f"{file.stem}.{kind}").read_bytes()
