"""A real PgBouncer in transaction mode, before the PostgreSQL that the tests started."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from config.children import start_child, stop_child
from tests.databases import PATIENCE_SECONDS, free_port, unprivileged_user
from tests.programs import program

# PgBouncer's own are left as they come, but for what makes it PgBouncer in transaction mode.
SETTINGS = """[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
"""


@dataclass
class Pooler:
    """A running one. `url` names no database: `postgres://user:password@127.0.0.1:port`."""

    url: str
    folder: Path
    pool_size: int
    process: subprocess.Popen[bytes]

    def lead_to(self, server_url: str) -> None:
        """Have it use another server, as what manages a cluster does after a failover."""
        _write_settings(self.folder, server_url, urlsplit(self.url).port, self.pool_size)
        self.process.send_signal(signal.SIGHUP)

    def start_again(self) -> None:
        """After it was killed, on the same port. It takes connections then, whether its server is there or not."""
        self.process = _launched(self.folder)
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", urlsplit(self.url).port or 0), timeout=2).close()
                return
            except OSError:
                assert self.process.poll() is None, _log(self.folder)
                assert time.monotonic() < give_up_at, _log(self.folder)
            time.sleep(0.05)


@contextmanager
def pgbouncer(server_url: str, *, pool_size: int) -> Iterator[Pooler]:
    """`pool_size` is how many connections of PostgreSQL's all clients of a database share."""
    server, own_port = urlsplit(server_url), free_port()
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-pgbouncer-", dir="/tmp"))
    _write_settings(folder, server_url, own_port, pool_size)
    (folder / "users").write_text(f'"{server.username}" "{server.password}"\n')
    identity = unprivileged_user()  # it does not run as root
    for path in [folder, *folder.iterdir()] if identity else []:
        shutil.chown(path, identity["user"], identity["group"])
    url = f"postgres://{server.username}:{server.password}@127.0.0.1:{own_port}"
    pooler = Pooler(url, folder, pool_size, _launched(folder))
    try:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while pooler.process.poll() is None and time.monotonic() < give_up_at:
            with suppress(psycopg.OperationalError), psycopg.connect(f"{url}/postgres", connect_timeout=2):
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"PgBouncer does not start:\n{_log(folder)}")
        yield pooler
    finally:
        stop_child(pooler.process, patience_seconds=5)
        shutil.rmtree(folder, ignore_errors=True)


def _write_settings(folder: Path, server_url: str, own_port: int | None, pool_size: int) -> None:
    server = urlsplit(server_url)
    where = {"host": server.hostname, "port": server.port, "own_port": own_port, "folder": folder}
    (folder / "pgbouncer.ini").write_text(SETTINGS.format(**where, pool_size=pool_size))


def _launched(folder: Path) -> subprocess.Popen[bytes]:
    command = [program("pgbouncer"), str(folder / "pgbouncer.ini")]
    with (folder / "log").open("ab") as log:
        return start_child(command, cwd=folder, stdout=log, stderr=log, **unprivileged_user())


def _log(folder: Path) -> str:
    return (folder / "log").read_text()
