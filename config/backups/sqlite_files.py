"""Copies of the SQLite database, whole also while others write: backups, and those before migrations."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.db import connection
from django.utils import timezone

from config.backups.drafts import draft_of
from config.backups.record import Record, Stopped

# In a copy: how many rows each table had at that moment.
RECORD_TABLE = "frontdesk_backup"
# A piece of four megabytes takes some milliseconds. What is written is synced now and then, else the sync at the end
# would hold up those of others.
PAGES_AT_ONCE = 1024
PAUSE_SECONDS = 0.02
SYNC_EVERY_PIECES = 16

Progress = Callable[[float, str], None]
ShouldStop = Callable[[], bool]


def copy_before_migrations() -> Path:
    """A copy of the SQLite database beside it, named by the time."""
    original = database_file()
    copy = original.with_name(f"{original.stem}-before-{timezone.now():%Y%m%dT%H%M%S.%fZ}{original.suffix}")
    copy_sqlite_file(copy)
    return copy


def database_file() -> Path:
    return Path(connection.settings_dict["NAME"])


def copy_sqlite_file(
    copy: Path, progress: Progress = lambda share, words: None, should_stop: ShouldStop = lambda: False
) -> Record:
    """A complete copy of the SQLite database as it is at one moment, also while others write, who never wait for it.

    Raises OSError, sqlite3.Error and Stopped; no file is left then.
    """
    connection.ensure_connection()  # which makes the file where there is none
    with draft_of(copy) as draft, _snapshot(connection.settings_dict["NAME"]) as source:
        counts = {name: _one(source, f'SELECT count(*) FROM "{name}"') for name in _tables(source)}
        record = Record.of(counts)
        with closing(sqlite3.connect(draft, isolation_level=None)) as target:
            pieces = _Pieces(draft, progress, should_stop)
            source.backup(target, pages=PAGES_AT_ONCE, progress=pieces.pause)
            # One file, which can be read where nothing may be written.
            target.execute("PRAGMA journal_mode = DELETE")
            _write_record(target, record)
    progress(1.0, "")
    return record


class _Pieces:
    """What is done between two pieces of a copy."""

    def __init__(self, draft: Path, progress: Progress, should_stop: ShouldStop) -> None:
        self._draft, self._progress, self._should_stop = draft, progress, should_stop
        self._done = 0

    def pause(self, status: int, remaining: int, total: int) -> None:
        if self._should_stop():
            raise Stopped
        self._done += 1
        if self._done % SYNC_EVERY_PIECES == 0:
            descriptor = os.open(self._draft, os.O_RDONLY)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        if remaining:
            time.sleep(PAUSE_SECONDS)
            self._progress(1 - remaining / total, "")


@contextmanager
def _snapshot(name: str) -> Iterator[sqlite3.Connection]:
    """The database as it is at one moment: what others write meanwhile neither shows nor starts a copy over again."""
    with closing(sqlite3.connect(name, isolation_level=None, timeout=60)) as source:
        source.execute("BEGIN DEFERRED")
        yield source


def _write_record(target: sqlite3.Connection, record: Record) -> None:
    target.execute("BEGIN")
    target.execute(f"DROP TABLE IF EXISTS {RECORD_TABLE}")
    target.execute(f"CREATE TABLE {RECORD_TABLE} (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    target.execute(f"INSERT INTO {RECORD_TABLE} VALUES ('record', ?)", [record.as_text()])
    target.execute("COMMIT")


def read_record(file: Path) -> Record | None:
    """What the copy says of itself; None where it was not made by this version or a later one."""
    with _read_only(file) as source:
        if not _has_table(source, RECORD_TABLE):
            return None
        return Record.from_text(_one(source, f"SELECT max(value) FROM {RECORD_TABLE} WHERE name = 'record'") or "")


def read_migrations(file: Path) -> set[tuple[str, str]]:
    """None where it is a database of something else."""
    with _read_only(file) as source:
        if not _has_table(source, "django_migrations"):
            return set()
        return set(source.execute("SELECT app, name FROM django_migrations").fetchall())


def damage(file: Path, *, is_urgent: bool = False) -> str:
    """What SQLite finds wrong with the file itself; blank where nothing is. If urgent, indexes are not compared."""
    with _read_only(file) as source:
        found = _one(source, f"PRAGMA {'quick' if is_urgent else 'integrity'}_check(1)")
    return "" if found == "ok" else str(found)


def counts_of(file: Path) -> Mapping[str, int]:
    with _read_only(file) as source:
        return {name: _one(source, f'SELECT count(*) FROM "{name}"') for name in _tables(source)}


def forget_record(file: Path) -> None:
    """A database that works again is no copy of a moment."""
    with closing(sqlite3.connect(file, isolation_level=None)) as source:
        source.execute(f"DROP TABLE IF EXISTS {RECORD_TABLE}")


def _has_table(source: sqlite3.Connection, name: str) -> bool:
    return bool(source.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [name]).fetchone())


def _tables(source: sqlite3.Connection) -> list[str]:
    rows = source.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return sorted(name for (name,) in rows if name != RECORD_TABLE and not name.startswith("sqlite_"))


@contextmanager
def _read_only(file: Path) -> Iterator[sqlite3.Connection]:
    """An old copy is in WAL mode, for which SQLite would make files beside it, unless it knows that nobody writes."""
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?immutable=1", uri=True)) as source:
        yield source


def _one(source: sqlite3.Connection, query: str) -> Any:
    return source.execute(query).fetchone()[0]
