"""`make bench-moved`: a million sessions are moved to PostgreSQL by a move that is killed, and backed up, tried and
restored on both databases, with begins beside the backups.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.filled import CUSTOMERS, filled
from benchmarks.servers import DATABASES, database_server, driven
from benchmarks.sql import rows
from config.children import start_child
from tests.databases import SERVER_URL, PostgresServer, drop_database, make_database, server_binaries
from tests.live import ROOT, LiveServer, new_environment

SESSIONS = 1_000_000
# A move is killed when it has copied so many sessions, or compares.
KILLED_AT_SHARES = (0.1, 0.5, 0.9)
REQUESTS_PER_SECOND = 100
LOOK_EVERY_SECONDS = 0.1
TRIED = "tried"

Say = Callable[[str], None]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.moved", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    parser.add_argument("--sessions", type=int, default=SESSIONS, help=f"how many ({SESSIONS:,})")
    options = parser.parse_args()
    for database in [options.database] if options.database else DATABASES:
        _say(f"\n== {database}")
        with database_server("postgresql") as postgres, _programs(), filled(database, options.sessions, _say) as server:
            assert postgres is not None
            # Customers' usage was made up by days of UTC.
            _manage(server.env, "verify_usage", "--repair")
            back_up_beside_begins(server, database)
            server.stop()
            try_and_restore(server, database)
            if database == "sqlite":
                move_and_kill(server, postgres, options.sessions)
    return 0


@contextmanager
def _programs() -> Iterator[None]:
    """pg_dump and pg_restore of the server that is used."""
    own = os.environ["PATH"]
    os.environ["PATH"] = f"{server_binaries()}:{own}"
    try:
        yield
    finally:
        os.environ["PATH"] = own


def back_up_beside_begins(server: LiveServer, database: str) -> None:
    """The time of begins without a backup, beside one, and without one again."""
    target = driven(server, CUSTOMERS)
    seconds = 20.0
    target.load(5, requests_per_second=REQUESTS_PER_SECOND)
    for name in ("without", "beside a backup", "without"):
        made = threading.Thread(target=_back_up, args=(server, name)) if name != "without" else None
        if made:
            made.start()
        measured = target.load(seconds, requests_per_second=REQUESTS_PER_SECOND)
        if made:
            made.join()
        _say(f"begins {name}: median {measured.median_ms:.1f} ms, 99 % {measured.p99_ms:.1f} ms")


def _back_up(server: LiveServer, name: str) -> None:
    began = time.perf_counter()
    _manage(server.env, "backup", str(server.folder / TRIED))
    size = (server.folder / TRIED).stat().st_size
    _say(f"backup: {time.perf_counter() - began:.0f} s, {size / 1e6:,.0f} MB")


def try_and_restore(server: LiveServer, database: str) -> None:
    file = str(server.folder / TRIED)
    began = time.perf_counter()
    _manage(server.env, "backup", "--verify", file)
    _say(f"verify: {time.perf_counter() - began:.0f} s")
    with new_environment(database) as env:
        began = time.perf_counter()
        _manage(env, "restore", file)
        _say(f"restore: {time.perf_counter() - began:.0f} s, {_sessions(env['DATABASE_URL']):,} sessions")


def move_and_kill(server: LiveServer, postgres: PostgresServer, sessions: int) -> None:
    """Once without a disturbance, and once killed again and again."""
    for shares in ((), KILLED_AT_SHARES):
        url = make_database(os.environ[SERVER_URL], "moved")
        began = time.perf_counter()
        for share in shares:
            _kill_at(server.env, url, int(share * sessions))
        _say(_manage(server.env, "move_to", url).splitlines()[0])
        took = time.perf_counter() - began
        _say(f"move killed {len(shares)} times: {took:.0f} s in all, {_sessions(url):,} sessions")
        assert _sessions(url) == _sessions(server.env["DATABASE_URL"])
        drop_database(os.environ[SERVER_URL], "moved")


def _kill_at(env: dict[str, str], url: str, sessions: int) -> None:
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "manage.py", "move_to", url]
        process = start_child(command, cwd=ROOT, env=env, stdout=output, stderr=output)
        while process.poll() is None and _copied(url) < sessions:
            time.sleep(LOOK_EVERY_SECONDS)
        assert process.poll() is None, "it was done before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    _say(f"killed with {_copied(url):,} sessions")


def _copied(url: str) -> int:
    if rows(url, "SELECT to_regclass('frontdesk_move')") == [(None,)]:
        return 0
    found = rows(url, "SELECT value->'rows' FROM frontdesk_move WHERE name = 'sessions_app_session'")
    return int(found[0][0]) if found else 0


def _sessions(url: str) -> int:
    return int(rows(url, "SELECT count(*) FROM sessions_app_session")[0][0])


def _manage(env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=env | {"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
