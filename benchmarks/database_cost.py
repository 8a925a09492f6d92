"""What a session costs the database: PostgreSQL's CPU and write-ahead log, SQLite's log, and what stays stored."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from benchmarks.processes import cpu_seconds_with_ended
from benchmarks.servers import Driven
from benchmarks.sql import rows
from tests.databases import PostgresServer

LOG = "sessions_app_webhookevent"
_INSERTED = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
_SIZES = """SELECT relname = '{log}', sum(pg_total_relation_size(oid)) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace GROUP BY 1"""


def database_cpu_seconds(server: PostgresServer | None) -> float:
    """Of all of PostgreSQL's processes, with those that have ended. None on SQLite, which has none."""
    return cpu_seconds_with_ended(server.process.pid) if server else 0.0


def stored_bytes(server: PostgresServer | None, url: str) -> tuple[int, int]:
    """Of all of PostgreSQL's tables with their indexes, but for the log of requests; and of that."""
    if server is None:
        return 0, 0
    sizes = {bool(is_log): int(size) for is_log, size in rows(url, _SIZES.format(log=LOG))}
    return sizes[False], sizes[True]


def logged_bytes_per_session(server: PostgresServer | None, ours: Driven, seconds: float) -> float:
    """What goes to the write-ahead log for a session, under load.

    PostgreSQL's without the whole pages that follow a checkpoint, which depend on how long ago that was.
    """
    url = ours.env["DATABASE_URL"]
    if server is None:
        with _kept_log(url) as log:
            before = log.stat().st_size
            sessions = ours.load(seconds).sessions
            return (log.stat().st_size - before) / sessions
    with _without_whole_pages(server.url):
        [(before,)] = rows(url, _INSERTED)
        sessions = ours.load(seconds).sessions
        [(after,)] = rows(url, _INSERTED)
    return float(after - before) / sessions


@contextmanager
def _kept_log(url: str) -> Iterator[Path]:
    """SQLite's log, which nobody can begin anew meanwhile: somebody still reads it from its beginning."""
    path = Path(url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sessions_app_session").fetchone()
        yield path.with_name(f"{path.name}-wal")
        reader.execute("ROLLBACK")


@contextmanager
def _without_whole_pages(url: str) -> Iterator[None]:
    _set(url, "SET full_page_writes = off")
    try:
        yield
    finally:
        _set(url, "RESET full_page_writes")


def _set(url: str, change: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM {change}")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("CHECKPOINT")
