"""Backups of a PostgreSQL database: pg_dump's custom format, and behind it one line, the record.

pg_restore does not look behind the end of what pg_dump wrote, so it takes such a file as it is.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from django.db import connection

from config.backups.drafts import draft_of
from config.backups.programs import connection_of_programs, program
from config.backups.record import BackupFailed, Record, Stopped
from config.children import start_child, stop_child

MAGIC = b"PGDMP"
MARK = b"\nfrontdesk backup "
LONGEST_RECORD = 1_000_000
LOOK_EVERY_SECONDS = 0.2
CHUNK = 1 << 20
PATIENCE_SECONDS = 10

Progress = Callable[[float, str], None]
ShouldStop = Callable[[], bool]


def dump_postgresql(
    file: Path, progress: Progress = lambda share, words: None, should_stop: ShouldStop = lambda: False
) -> Record:
    """The database as it is at one moment, also while others write, who never wait for it.

    Raises BackupFailed, OSError, Django's Error and Stopped; no file is left then.
    """
    pg_dump = program("pg_dump", server_version())
    with draft_of(file) as draft, _exported_snapshot() as snapshot:
        record = Record.of(counts_now())
        database, environment = connection_of_programs()
        command = [pg_dump.path, "--format=custom", f"--snapshot={snapshot}", f"--file={draft}", f"--dbname={database}"]
        # Who has time lets others have the processor.
        with _running(["nice", "-n", "10", *command], environment, "pg_dump") as process:
            copied = _Copied(record.rows)
            while True:
                if should_stop():
                    raise Stopped
                if _has_ended(process):
                    break
                progress(copied.share(), "")
        with draft.open("ab") as content:
            content.write(MARK + record.as_text().encode() + b"\n")
    progress(1.0, "")
    return record


def server_version() -> int:
    connection.ensure_connection()
    return int(connection.connection.info.server_version) // 10000


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(LOOK_EVERY_SECONDS)
    return process.returncode is not None


@contextmanager
def _exported_snapshot() -> Iterator[str]:
    """A moment of the database that this connection and pg_dump both see."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            cursor.execute("SELECT pg_export_snapshot()")
            yield cursor.fetchone()[0]
        finally:
            cursor.execute("ROLLBACK")


class _Copied:
    """How many of the rows pg_dump has copied: PostgreSQL says how far it is with the table at hand."""

    def __init__(self, rows: Mapping[str, int]) -> None:
        self._total = max(1, sum(rows.values()))
        self._done: dict[str, int] = {}

    def share(self) -> float:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees the first answer again
            cursor.execute(
                "SELECT relid::regclass::text, tuples_processed FROM pg_stat_progress_copy "
                "WHERE datname = current_database() AND command = 'COPY TO'"
            )
            self._done.update(cursor.fetchall())
        return min(0.99, sum(self._done.values()) / self._total)


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], name: str, stdin: int = subprocess.DEVNULL
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that must be done at the block's end. Raises BackupFailed with what it said."""
    with tempfile.TemporaryFile() as said:
        process = start_child(command, env=environment, stdin=stdin, stdout=subprocess.DEVNULL, stderr=said)
        try:
            yield process
            process.wait()
        finally:
            if process.poll() is None:
                stop_child(process, patience_seconds=PATIENCE_SECONDS)
        if process.returncode:
            said.seek(0)
            text = said.read(10_000).decode(errors="replace").strip()
            raise BackupFailed(f"{name} ended with {process.returncode}: {text or 'it does not say why'}")


def restore_postgresql(file: Path, database: str, progress: Progress = lambda share, words: None) -> None:
    """Into an empty database of the server that Frontdesk uses, all or nothing. Raises BackupFailed and OSError."""
    pg_restore = program("pg_restore", server_version())
    reached, environment = connection_of_programs(database)
    # Neither owners nor rights: the roles of another server may not be here.
    command = [pg_restore.path, "--no-owner", "--no-privileges", "--single-transaction", f"--dbname={reached}"]
    with file.open("rb") as content, _running(command, environment, "pg_restore", subprocess.PIPE) as process:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, and says why
            _feed(content, process.stdin, archive_bytes(file), progress)
        progress(0.99, "indexes and constraints")
    progress(1.0, "")


def _feed(content: IO[bytes], into: IO[bytes], size: int, progress: Progress) -> None:
    with into:
        while (left := size - content.tell()) > 0 and (chunk := content.read(min(CHUNK, left))):
            into.write(chunk)
            progress(min(0.99, content.tell() / size), "")


def read_record(file: Path) -> Record | None:
    """What the backup says of itself; None where it is cut short, or was not made by `manage.py backup`."""
    found = _tail(file).rpartition(MARK)
    return Record.from_text(found[2].decode(errors="replace")) if found[1] else None


def archive_bytes(file: Path) -> int:
    """How much of the file pg_dump wrote."""
    found = _tail(file).rpartition(MARK)
    return file.stat().st_size - (len(found[1]) + len(found[2]) if found[1] else 0)


def _tail(file: Path) -> bytes:
    with file.open("rb") as content:
        content.seek(max(0, os.fstat(content.fileno()).st_size - LONGEST_RECORD))
        return content.read()


def read_migrations(file: Path) -> set[tuple[str, str]]:
    """Read from the archive itself. Raises BackupFailed."""
    pg_restore = program("pg_restore", server_version())
    command = [pg_restore.path, "--data-only", "--table=django_migrations", "--file=-", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupFailed(f"pg_restore cannot read {file}: {done.stderr.strip()}")
    rows = done.stdout.partition("COPY ")[2].partition("\n\\.\n")[0].splitlines()[1:]
    return {(app, name) for _, app, name, _ in (row.split("\t") for row in rows)}


def counts_now() -> dict[str, int]:
    """How many rows each table has, in the connection's own transaction."""
    with connection.cursor() as cursor:
        tables = [found.name for found in connection.introspection.get_table_list(cursor) if found.type == "t"]
        counts = {}
        for table in sorted(tables):
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")
            counts[table] = cursor.fetchone()[0]
    return counts
