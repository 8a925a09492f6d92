"""A database with its tables: made once for all processes of a run, copied by whoever needs one."""

import atexit
import fcntl
import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.databases import make_database

# The environment variable by which the processes of a run find the folder of what was made.
MIGRATED_FOLDER = "FRONTDESK_TEST_MIGRATED_FOLDER"
ROOT = Path(__file__).resolve().parent.parent


def migrated_file() -> Path:
    """An SQLite file that has every table and that nobody is connected to."""
    folder = _folder()
    file = folder / "frontdesk.sqlite3"
    with _alone(folder):
        if not file.exists():
            unfinished = folder / "unfinished.sqlite3"
            _migrate(f"sqlite:///{unfinished}")
            unfinished.rename(file)
    return file


def migrated_database(server_url: str) -> str:
    """The name of a database on this server that has every table and that nobody is connected to."""
    folder = _folder()
    # A server on the same port as one before has another password.
    made = folder / f"postgresql-{hashlib.sha256(server_url.encode()).hexdigest()[:16]}"
    with _alone(folder):
        if not made.exists():
            name = f"migrated_{secrets.token_hex(4)}"
            _migrate(make_database(server_url, name))
            made.write_text(name)
    return made.read_text()


def _folder() -> Path:
    """The run's folder, which its workers find in the environment. A program that is no test run makes its own."""
    if MIGRATED_FOLDER not in os.environ:
        made = tempfile.TemporaryDirectory(prefix="frontdesk-migrated-")
        atexit.register(made.cleanup)
        os.environ[MIGRATED_FOLDER] = made.name
    return Path(os.environ[MIGRATED_FOLDER])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _migrate(database_url: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    with tempfile.TemporaryDirectory(prefix="frontdesk-migrating-") as folder:
        subprocess.run(
            command, cwd=ROOT, env=os.environ | {"DATA_DIR": folder, "DATABASE_URL": database_url}, check=True
        )
