"""A real Frontdesk as people run it: `manage.py serve` on a free port, with a data folder and database of its own."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.children import start_child, stop_child
from tests.databases import SERVER_URL, drop_database, free_port, make_database
from tests.migrated import SetUp, migrated_database, migrated_file, set_up_on_postgresql, set_up_on_sqlite

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 60
# Settings by which the first `setup` makes something else.
READ_BY_SETUP = {"ADMIN_USERNAME", "ADMIN_PASSWORD", "WEBHOOK_SECRET", "SECRET_KEY"}


@dataclass
class LiveServer:
    """A running server. `env` is what further `manage.py` commands need to work on the same database."""

    url: str
    webhook_key: str
    username: str
    password: str
    env: dict[str, str]
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text()

    @property
    def database_url(self) -> str:
        return self.env["DATABASE_URL"]

    def manage(self, *arguments: str) -> str:
        """Run a `manage.py` command; what it prints."""
        return manage(self.env, *arguments)

    def stop(self) -> int:
        """End it as Ctrl-C does. Returns its exit code."""
        stop_child(self.process, patience_seconds=30, by=signal.SIGINT)
        return self.process.returncode


def manage(env: dict[str, str], *arguments: str) -> str:
    return run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=env)


def run(command: Sequence[str], **options: Any) -> str:
    """Run a command that has to succeed; what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def copied_set_up(database: str) -> SetUp:
    """The installation that `new_environment(is_set_up=True)` copies."""
    return set_up_on_postgresql(os.environ[SERVER_URL]) if database == "postgresql" else set_up_on_sqlite()


@contextmanager
def new_environment(
    database: str, *, is_migrated: bool = False, is_set_up: bool = False, **variables: str
) -> Iterator[dict[str, str]]:
    """The environment of an installation of its own: an empty data folder, a free port, and a database.

    That is empty, too, or it has its tables already: making them takes longer than many a test. Or both are as the
    first `setup` leaves them.
    """
    with tempfile.TemporaryDirectory(prefix="frontdesk-live-") as folder:
        env = os.environ | {"DATA_DIR": folder, "PORT": str(free_port()), "PYTHONUNBUFFERED": "1"}
        name, template = f"live_{secrets.token_hex(4)}", "template1"
        if is_set_up:
            source = copied_set_up(database)
            template = source.database
            shutil.copytree(source.folder, folder, dirs_exist_ok=True)
        if database == "postgresql":
            server_url = os.environ[SERVER_URL]
            if is_migrated:
                template = migrated_database(server_url)
            env["DATABASE_URL"] = make_database(server_url, name, template)
        else:
            env["DATABASE_URL"] = f"sqlite:///{folder}/frontdesk.sqlite3"
            if is_migrated:
                shutil.copy(migrated_file(), f"{folder}/frontdesk.sqlite3")
        try:
            yield env | variables
        finally:
            if database == "postgresql":
                drop_database(os.environ[SERVER_URL], name)


@contextmanager
def running_server(database: str, **variables: str) -> Iterator[LiveServer]:
    """A new installation, started, and stopped at the end. `variables` go into its environment."""
    if READ_BY_SETUP & variables.keys():
        with new_environment(database, is_migrated=True, **variables) as env, running_in(env) as server:
            yield server
    else:
        printed = copied_set_up(database).printed
        with new_environment(database, is_set_up=True, **variables) as env, _running(env, printed) as server:
            yield server


@contextmanager
def running_in(env: dict[str, str]) -> Iterator[LiveServer]:
    """Set up the installation of an environment, start it, and stop it at the end."""
    printed = manage(env, "setup")
    with _running(env, printed) as server:
        yield server


@contextmanager
def _running(env: dict[str, str], printed: str) -> Iterator[LiveServer]:
    server = start_server(env, webhook_key=_found(r"X-API-Key: (\S+)", printed) or env["WEBHOOK_SECRET"])
    server.password = _found(r"password +(\S+)$", printed)
    try:
        wait_until_ready(server)
        yield server
    finally:
        server.stop()


def start_server(env: dict[str, str], webhook_key: str = "") -> LiveServer:
    """Start `manage.py serve` in an environment that is set up. The caller waits for it and stops it."""
    folder = Path(env["DATA_DIR"])
    with (folder / "serve.log").open("ab") as log:
        process = start_child([sys.executable, "manage.py", "serve"], env=env, cwd=ROOT, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{env['PORT']}"
    return LiveServer(url, webhook_key, env["ADMIN_USERNAME"], env["ADMIN_PASSWORD"], env, process, folder)


def wait_until_ready(server: LiveServer) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up_at and server.process.poll() is None:
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            if urllib.request.urlopen(f"{server.url}/readyz", timeout=5).status == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"the server does not get ready:\n{server.log}")


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else ""


@pytest.fixture(scope="session")
def web_processes() -> int:
    """Of servers that tests share, as many as a new installation has."""
    return 2


@pytest.fixture(scope="module")
def live_server_process(database_name: str, web_processes: int) -> Iterator[LiveServer]:
    """A server for a module's tests to share. Tests that use it are marked `serial`."""
    with running_server(database_name, WEB_PROCESSES=str(web_processes)) as server:
        yield server
