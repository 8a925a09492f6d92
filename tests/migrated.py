"""A database with its tables, and an installation that is set up: made once for a run, copied by who needs one."""

import atexit
import fcntl
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.databases import make_database, server_binaries

# The environment variable by which the processes of a run, and all runs of `make test`, find what was made.
MIGRATED_FOLDER = "FRONTDESK_TEST_MIGRATED_FOLDER"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class SetUp:
    """An installation after its first `setup`: its data folder, and what was printed. With SQLite, the folder holds
    the database; `database` is the name of PostgreSQL's. Nobody is connected to either."""

    folder: Path
    database: str
    printed: str


def migrated_file() -> Path:
    """An SQLite file that has every table and that nobody is connected to."""
    folder = _folder()
    file = folder / "frontdesk.sqlite3"
    with _alone(folder, "migrated-sqlite"):
        if not file.exists():
            unfinished = folder / "unfinished.sqlite3"
            with tempfile.TemporaryDirectory(prefix="frontdesk-migrating-") as data:
                _manage("migrate", Path(data), f"sqlite:///{unfinished}")
            unfinished.rename(file)
    return file


def migrated_database(server_url: str) -> str:
    """The name of a database on this server that has every table and that nobody is connected to."""

    def make(url: str) -> None:
        with tempfile.TemporaryDirectory(prefix="frontdesk-migrating-") as data:
            _manage("migrate", Path(data), url)

    return _made_database(server_url, "migrated", lambda: "template1", make)


def set_up_on_sqlite() -> SetUp:
    folder = _folder() / "set-up-sqlite"
    with _alone(_folder(), folder.name):
        if not folder.exists():
            unfinished = _folder() / "unfinished-set-up"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            shutil.copy(migrated_file(), unfinished / "frontdesk.sqlite3")
            _set_up(unfinished, f"sqlite:///{unfinished}/frontdesk.sqlite3")
            unfinished.rename(folder)
    return SetUp(folder, "", _printed(folder).read_text())


def set_up_on_postgresql(server_url: str) -> SetUp:
    folder = _folder() / "set-up-postgresql"

    def make(url: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        _set_up(folder, url)

    name = _made_database(server_url, "set_up", lambda: migrated_database(server_url), make)
    return SetUp(folder, name, _printed(folder).read_text())


def _made_database(server_url: str, kind: str, template: Callable[[], str], make: Callable[[str], object]) -> str:
    """A copy of `template`, completed by `make`. A run's further servers get its dump, in a tenth of the time."""
    folder = _folder()
    dump = folder / f"{kind}.dump"
    # A server on the same port as one before has another password.
    made = folder / f"{kind}-{hashlib.sha256(server_url.encode()).hexdigest()[:16]}"
    with _alone(folder, kind):
        if not made.exists():
            name = f"{kind}_{secrets.token_hex(4)}"
            if dump.exists():
                url = make_database(server_url, name)
                _run_postgresqls("pg_restore", "--exit-on-error", "--no-owner", "--dbname", url, str(dump))
            else:
                url = make_database(server_url, name, template())
                make(url)
                _run_postgresqls("pg_dump", "--format=custom", "--compress=0", "--file", f"{dump}.part", url)
                Path(f"{dump}.part").rename(dump)
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
def _alone(folder: Path, kind: str) -> Iterator[None]:
    with (folder / f"{kind}-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _manage(command: str, data_dir: Path, database_url: str) -> str:
    """Run a command of `manage.py` that has to succeed; what it prints."""
    env = os.environ | {"DATA_DIR": str(data_dir), "DATABASE_URL": database_url}
    done = subprocess.run(
        [sys.executable, "manage.py", command], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def _set_up(folder: Path, database_url: str) -> None:
    printed = _manage("setup", folder, database_url)
    _printed(folder).write_text(printed)


def _printed(folder: Path) -> Path:
    return folder / "setup-printed"


def _run_postgresqls(program: str, *arguments: str) -> None:
    subprocess.run([server_binaries() / program, *arguments], check=True)
