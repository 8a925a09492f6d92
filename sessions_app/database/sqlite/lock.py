"""How long a connection waits for SQLite's lock at a time. PostgreSQL has none."""

from contextlib import suppress
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

# The longer SQLite has waited, the more seldom it looks; so whoever has to be quick asks again and again.
SHORT_MS = 100
LONG_MS = 5000


# What each was told last, and the driver's own connection that was told it.
_told: WeakKeyDictionary[BaseDatabaseWrapper, tuple[object, int]] = WeakKeyDictionary()


def wait_for_lock(milliseconds: int) -> None:
    """Tell the thread's connection, unless it was told the same before."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.vendor != "sqlite" or _told.get(database) == (database.connection, milliseconds):
        return
    with suppress(OperationalError, InterfaceError):  # a file that cannot be opened fails whoever asks it next
        database.ensure_connection()
        database.connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
        _told[database] = database.connection, milliseconds


def wait_at_leisure() -> None:
    """Where the thread's connection was told to be quick before: wait as long as ever again."""
    if connections[DEFAULT_DB_ALIAS] in _told:
        wait_for_lock(LONG_MS)


def is_busy(error: Exception) -> bool:
    """Whether the lock was not to be had in that time."""
    return getattr(error.__cause__, "sqlite_errorname", "").startswith("SQLITE_BUSY")
