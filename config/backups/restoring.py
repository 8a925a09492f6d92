"""Restoring a backup: into the database of DATABASE_URL, which must be empty, or on trial into a scratch one."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import Error, connection

from automations.deliveries.copies import distrust_this_one
from config.backups import postgresql_files, sqlite_files
from config.backups.drafts import delete_old_drafts, draft_of
from config.backups.places import reached_directly, scratch_database, scratch_file, working_on
from config.backups.record import BackupFailed, Record
from config.health import missing_migrations, unknown_migrations
from config.nodes import forget_nodes
from config.running import StillRuns, nothing_runs
from config.secrets import private_folder

SQLITES_MAGIC = b"SQLite format 3\0"
CHUNK = 1 << 20
MOST_NAMED = 3
# What every database of Frontdesk's has.
OURS = ("customers", "0001_first")

Progress = Callable[[float, str], None]
Say = Callable[[str], object]


def restore(file: Path, progress: Progress) -> Record | None:
    """Into the empty database of DATABASE_URL, all or nothing. It sends nothing until staff say that it may.

    Returns the backup's record; None where it has none, so that nothing could be compared. Raises BackupFailed.
    """
    with _errors_in_words(file), nothing_runs(), reached_directly():
        _require_our_kind(file)
        _require_empty()
        _require_known_migrations(file)
        record = _record_of(file)
        if settings.IS_SQLITE:
            _restore_sqlite(file, record, progress)
        else:
            postgresql_files.restore_postgresql(file, connection.settings_dict["NAME"], progress)
            _compare(record, postgresql_files.counts_now())
            distrust_this_one()
            forget_nodes()
        return record


def verify(file: Path, progress: Progress, say: Say) -> Record:
    """Restore it on trial, count, bring it up to date, and recount every sum. Raises BackupFailed."""
    with _errors_in_words(file), reached_directly():
        _require_our_kind(file)
        record = _record_of(file)
        if record is None:
            raise BackupFailed(
                f"{file} does not say what should be in it: it is cut short, or was not made by `manage.py backup` of "
                "this version or a later one. Make a new backup."
            )
        _require_known_migrations(file)
        with _restored_on_trial(file, record, progress):
            say(f"Everything is in it: {record}. Now every sum is recounted.")
            if missing_migrations():  # a backup from before an upgrade
                call_command("migrate", interactive=False, verbosity=0)
            try:
                call_command("verify_usage")
            except CommandError as error:
                raise BackupFailed(
                    f"{file} holds all rows, but {error} That is how the database was when it was made."
                ) from error
        return record


@contextmanager
def _restored_on_trial(file: Path, record: Record, progress: Progress) -> Iterator[None]:
    if settings.IS_SQLITE:
        if found := sqlite_files.damage(file):
            raise BackupFailed(f"{file} is damaged: {found}. Make a new backup.")
        with scratch_file() as scratch:
            _copy(file, scratch, progress)
            _compare(record, sqlite_files.counts_of(scratch))
            with working_on({"NAME": str(scratch)}):
                yield
    else:
        with scratch_database() as name:
            postgresql_files.restore_postgresql(file, name, progress)
            with working_on({"NAME": name}):
                _compare(record, postgresql_files.counts_now())
                yield


def _restore_sqlite(file: Path, record: Record | None, progress: Progress) -> None:
    if found := sqlite_files.damage(file, is_urgent=True):
        raise BackupFailed(f"{file} is damaged: {found}. Take another backup.")
    database = sqlite_files.database_file()
    private_folder(database.parent)
    delete_old_drafts(database.parent, database.name)
    connection.close()
    database.unlink(missing_ok=True)  # it is empty
    with draft_of(database) as draft:
        _copy(file, draft, progress)
        if record is not None:
            _compare(record, sqlite_files.counts_of(draft))
        with working_on({"NAME": str(draft)}):
            distrust_this_one()
            forget_nodes()
        sqlite_files.forget_record(draft)


def _copy(file: Path, target: Path, progress: Progress) -> None:
    size = max(1, file.stat().st_size)
    with file.open("rb") as source, target.open("wb") as content:
        while chunk := source.read(CHUNK):
            content.write(chunk)
            progress(min(0.99, content.tell() / size), "")
    progress(1.0, "")


def _record_of(file: Path) -> Record | None:
    return sqlite_files.read_record(file) if settings.IS_SQLITE else postgresql_files.read_record(file)


def _compare(record: Record | None, rows: Mapping[str, int]) -> None:
    if record is None:
        return
    if differences := record.differences(rows):
        raise BackupFailed(f"What was restored is not what was backed up: {'; '.join(differences)}.")


def _require_our_kind(file: Path) -> None:
    with file.open("rb") as content:
        start = content.read(len(SQLITES_MAGIC))
    is_sqlite, is_postgresql = start == SQLITES_MAGIC, start.startswith(postgresql_files.MAGIC)
    if not is_sqlite and not is_postgresql:
        raise BackupFailed(f"{file} is no backup: neither an SQLite file nor pg_dump's custom format.")
    if is_sqlite and not settings.IS_SQLITE:
        raise BackupFailed(
            f"{file} is a backup of an SQLite database, and DATABASE_URL names PostgreSQL. Leave DATABASE_URL out, "
            "restore it, and then move it with `manage.py move_to`."
        )
    if is_postgresql and settings.IS_SQLITE:
        raise BackupFailed(f"{file} is a backup of a PostgreSQL database: set DATABASE_URL to an empty one.")


def _require_empty() -> None:
    if settings.IS_SQLITE:
        database = sqlite_files.database_file()
        log = database.with_name(f"{database.name}-wal")
        if not database.exists():
            if log.exists():
                raise BackupFailed(
                    f"{log} belongs to the database that was here, and would damage the restored one. Move it to where "
                    "that one is now."
                )
            return
    tables = set(connection.introspection.table_names())
    if not settings.IS_SQLITE:
        tables &= {model._meta.db_table for model in apps.get_models(include_auto_created=True)} | {"django_migrations"}
    if tables:
        named = ", ".join(sorted(tables)[:MOST_NAMED])
        where = (
            f"Move {sqlite_files.database_file()} away, with the files whose names begin so"
            if settings.IS_SQLITE
            else "Make a new database with createdb, and set DATABASE_URL to it"
        )
        raise BackupFailed(f"The database is not empty ({named}, …), and nothing is restored over it. {where}.")


def _require_known_migrations(file: Path) -> None:
    read = sqlite_files.read_migrations if settings.IS_SQLITE else postgresql_files.read_migrations
    migrations = read(file)
    if OURS not in migrations:
        raise BackupFailed(f"{file} is a backup of something else: Frontdesk's tables are not in it. Name another one.")
    if unknown := unknown_migrations(migrations):
        named = ", ".join(unknown[:MOST_NAMED])
        raise BackupFailed(
            f"{file} was made by a newer version of Frontdesk (migrations {named}). Install that one or a newer."
        )


@contextmanager
def _errors_in_words(file: Path) -> Iterator[None]:
    try:
        yield
    except StillRuns as error:
        raise BackupFailed(str(error)) from error
    except OSError as error:
        raise BackupFailed(f"{error}. Is the file there, and is there room for what is in it?") from error
    except sqlite3.Error as error:
        raise BackupFailed(f"{file} is damaged: {error}. Take another backup.") from error
    except Error as error:
        raise BackupFailed(f"The database does not do what it should: {str(error).strip()}") from error
