"""Whether the disk takes what a begin may need to write: to SQLite's file, or to the spool."""

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from sessions_app.spool.files import spool_folder

LOOK_EVERY_SECONDS = 5.0
# More than a begin takes in either place.
TRIED_BYTES = 256 * 1024

_looked: dict[Path, tuple[float, str]] = {}


def disk_problem() -> str:
    """Blank where all is well, else what is wrong, as of at most some seconds ago."""
    folders = [spool_folder()]
    if settings.IS_SQLITE:
        folders.append(Path(settings.DATABASES["default"]["NAME"]).parent)
    problems = (_problem_of(folder) for folder in folders)
    return next((problem for problem in problems if problem), "")


def _problem_of(folder: Path) -> str:
    now = time.monotonic()
    looked_at, problem = _looked.get(folder, (-LOOK_EVERY_SECONDS, ""))
    if now - looked_at >= LOOK_EVERY_SECONDS:
        problem = _try(folder)
        _looked[folder] = now, problem
    return problem


def _try(folder: Path) -> str:
    """Write a file there and delete it again."""
    path = folder / f"room-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        if folder == spool_folder():  # a database's is not ours to make
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(bytes(TRIED_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror}"
    finally:
        with suppress(OSError):
            path.unlink()
    return ""
