"""Moving everything from an SQLite file to a PostgreSQL database, table by table and in the order of keys.

Each piece is stored together with how far it is, so a move that was killed goes on there. Nobody may write to the file
meanwhile; that nobody did between two runs is what the checksums at the end prove.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from config.moving.checksums import Checksum, added_up
from config.moving.tables import Table, for_postgresql, migrations_table, strange_tables, tables
from config.moving.target import MoveFailed, Target

ROWS_AT_ONCE = 5000
READ_AT_ONCE = 2000
WAIT_FOR_LOCK_SECONDS = 5

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Moved:
    tables: int
    rows: int
    left_out: Sequence[str]  # tables that are not Frontdesk's


def move(file: Path, url: str, progress: Progress, *, start_over: bool = False) -> Moved:
    """Until count and checksum of every table are equal on both sides. Raises MoveFailed."""
    with _source(file) as source, closing(Target(url)) as target:
        _claim(target, _version_of(source), start_over=start_over)
        counts = {table.name: _one(source, f'SELECT count(*) FROM "{table.name}"') for table in tables()}
        steps = _Steps(progress, 3 * sum(counts.values()))
        if target.remembered("tables") is None:
            progress(0.0, "making the tables")
            target.make_tables()
        for table in tables():
            _copy(source, target, table, steps)
        for table in tables():
            _compare(source, target, table, steps)
        for table in tables():
            if table.has_sequence:
                target.set_sequence(table, _last_number(source, table))
        migrations = migrations_table()
        query, parameters = migrations.from_sqlite(None, -1)
        target.finish(for_postgresql(migrations, source.execute(query, parameters)), _last_number(source, migrations))
        progress(1.0, "")
        return Moved(len(tables()), sum(counts.values()), strange_tables(source))


class _Steps:
    """Each row is copied, and read on both sides."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, max(1, total), 0

    def take(self, steps: int, words: str) -> None:
        self._done += steps
        self._progress(min(0.99, self._done / self._total), words)


@contextmanager
def _source(file: Path) -> Iterator[sqlite3.Connection]:
    """The file, which nobody else can write to in the block."""
    uri = f"{file.resolve().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=WAIT_FOR_LOCK_SECONDS)) as source:
            source.execute("BEGIN IMMEDIATE")
            yield source
    except sqlite3.Error as error:
        raise MoveFailed(f"{file}: {error}. Does somebody else use it? Stop Frontdesk and other moves.") from error
    except psycopg.Error as error:
        raise MoveFailed(f"URL: {str(error).strip()}. Run the same command again to go on.") from error


def _claim(target: Target, version: str, *, start_over: bool) -> None:
    """The database is empty, or was begun on by us."""
    if target.has_mark():
        if start_over:
            target.drop_all()
        elif target.remembered("source") != version:
            raise MoveFailed(
                "URL: an unfinished move is there, which another version of Frontdesk began. Give --start-over to "
                "begin again."
            )
        else:
            return
    if found := target.existing_tables():
        raise MoveFailed(
            f"URL: the database is not empty ({', '.join(found[:3])}, …). Make a new one with createdb, and name that."
        )
    target.begin(version)


def _version_of(source: sqlite3.Connection) -> str:
    return " ".join(
        f"{app}.{name}" for app, name in source.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
    )


def _copy(source: sqlite3.Connection, target: Target, table: Table, steps: _Steps) -> None:
    at = target.remembered(table.name) or {"key": None, "rows": 0}
    steps.take(at["rows"], table.name)
    while not at.get("is_whole"):
        before = at["rows"]
        rows = source.execute(*table.from_sqlite(at["key"], ROWS_AT_ONCE))
        at = target.copy(table, for_postgresql(table, rows), at)
        steps.take(at["rows"] - before, f"copying {table.name}")


def _compare(source: sqlite3.Connection, target: Target, table: Table, steps: _Steps) -> None:
    words = f"comparing {table.name}"
    wanted = _checksum(table, _rows_of(source, table), steps, words)
    found = _checksum(table, target.rows_of(table), steps, words)
    if wanted != found:
        raise MoveFailed(
            f"{table.name}: {found.rows:,} rows with the checksum {found.total:032x} arrived instead of "
            f"{wanted.rows:,} with {wanted.total:032x}. Did Frontdesk run since the move began? Give "
            "--start-over to begin again."
        )


def _checksum(table: Table, rows: Iterator[Sequence[Any]], steps: _Steps, words: str) -> Checksum:
    checksum, told = Checksum(), 0
    for checksum in added_up(table, rows):
        if checksum.rows - told == READ_AT_ONCE:
            steps.take(READ_AT_ONCE, words)
            told = checksum.rows
    steps.take(checksum.rows - told, words)
    return checksum


def _rows_of(source: sqlite3.Connection, table: Table) -> Iterator[Sequence[Any]]:
    return source.execute(table.all_of_sqlite())


def _last_number(source: sqlite3.Connection, table: Table) -> int:
    """Also where the row with it is deleted: a number is given once."""
    highest = _one(source, f'SELECT max("{table.key}") FROM "{table.name}"')
    given = source.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", [table.name]).fetchone()
    return max(highest or 0, given[0] if given else 0)


def _one(source: sqlite3.Connection, query: str) -> Any:
    return source.execute(query).fetchone()[0]
