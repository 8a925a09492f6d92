"""A real PgBouncer in transaction mode, before the PostgreSQL that the tests started."""

import shutil
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


@dataclass(frozen=True)
class Pooler:
    """A running one. `url` names no database: `postgres://user:password@127.0.0.1:port`."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def pgbouncer(server_url: str, *, pool_size: int) -> Iterator[Pooler]:
    """`pool_size` is how many connections of PostgreSQL's all clients of a database share."""
    server, own_port = urlsplit(server_url), free_port()
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-pgbouncer-", dir="/tmp"))
    where = {"host": server.hostname, "port": server.port, "own_port": own_port, "folder": folder}
    (folder / "pgbouncer.ini").write_text(SETTINGS.format(**where, pool_size=pool_size))
    (folder / "users").write_text(f'"{server.username}" "{server.password}"\n')
    identity = unprivileged_user()  # it does not run as root
    for path in [folder, *folder.iterdir()] if identity else []:
        shutil.chown(path, identity["user"], identity["group"])
    with (folder / "log").open("wb") as log:
        command = [program("pgbouncer"), str(folder / "pgbouncer.ini")]
        process = start_child(command, cwd=folder, stdout=log, stderr=log, **identity)
    url = f"postgres://{server.username}:{server.password}@127.0.0.1:{own_port}"
    try:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and time.monotonic() < give_up_at:
            with suppress(psycopg.OperationalError), psycopg.connect(f"{url}/postgres", connect_timeout=2):
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"PgBouncer does not start:\n{(folder / 'log').read_text()}")
        yield Pooler(url, process)
    finally:
        stop_child(process, patience_seconds=5)
        shutil.rmtree(folder, ignore_errors=True)
