"""Several statements that SQLite stores as one: all or none, in one turn.

What is stored so is synced when the write lock is free again, and others write in that time.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import atomic

from sessions_app.database.prepared import changed_rows, connected, for_sqlite
from sessions_app.database.pulse import pulse
from sessions_app.database.sqlite.turns import turn_to_write


def run_steps(steps: Sequence[str], parameters: Mapping[str, Any]) -> bool:
    """Run statements that insert or update, with `%(name)s` for the parameters, which they share.

    False, with nothing changed, where one of them changed no row. Otherwise what they wrote is on disk when this
    returns; inside a transaction of Django's, when that has ended. Raises what the database raises, and
    OperationalError where nobody knows whether it is on disk.
    """
    database = connected()
    values = for_sqlite(parameters)
    try:
        with database.wrap_database_errors, _all_or_none(database):
            for step in steps:
                if not changed_rows(database, step, values):
                    raise _NothingChangedError
    except _NothingChangedError:
        return False
    pulse.beat()
    return True


class _NothingChangedError(Exception):
    """A step found what it depends on changed."""


@contextmanager
def _all_or_none(database: BaseDatabaseWrapper) -> Iterator[None]:
    if database.in_atomic_block:
        with atomic():
            yield
    else:
        with _synced_afterwards(database), turn_to_write(), _transaction(database):
            yield


@contextmanager
def _transaction(database: BaseDatabaseWrapper) -> Iterator[None]:
    """One that Django does not know of, for a few statements: its own takes longer than they do."""
    own = database.connection
    own.execute("BEGIN IMMEDIATE")
    try:
        yield
        own.execute("COMMIT")
    except BaseException:
        if own.in_transaction:  # SQLite has undone it already where the disk is full, say
            own.execute("ROLLBACK")
        raise


@contextmanager
def _synced_afterwards(database: BaseDatabaseWrapper) -> Iterator[None]:
    """What is committed in the block is synced at its end, and not while it is committed, as all else is.

    SQLite would sync its log with the write lock held. What others read from it until then, they can acknowledge only
    after a sync of the same log.
    """
    try:
        log = os.open(f"{database.settings_dict['NAME']}-wal", os.O_RDONLY)
    except FileNotFoundError:  # a database in memory
        yield
        return
    try:
        database.connection.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            database.connection.execute("PRAGMA synchronous = FULL")
        try:
            os.fdatasync(log)
        except OSError as error:
            raise OperationalError(f"the write-ahead log could not be synced: {error}") from error
    finally:
        os.close(log)
