"""How long a thread's connection waits for SQLite's lock at a time. PostgreSQL has none."""

import threading
from contextlib import suppress

from django.db import InterfaceError, OperationalError, connection

# The longer SQLite has waited, the more seldom it looks; so whoever has to be quick asks again and again.
SHORT_MS = 100
LONG_MS = 5000


class _Told(threading.local):
    connection: object = None
    milliseconds: int | None = None


_told = _Told()


def wait_for_lock(milliseconds: int) -> None:
    """Tell the connection, unless it was told the same before."""
    if connection.vendor != "sqlite":
        return
    if _told.milliseconds == milliseconds and _told.connection is connection.connection is not None:
        return
    with suppress(OperationalError, InterfaceError):  # a file that cannot be opened fails whoever asks it next
        connection.ensure_connection()
        connection.connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
        _told.connection, _told.milliseconds = connection.connection, milliseconds


def wait_at_leisure() -> None:
    """Where the thread was told to be quick before: wait as long as ever again."""
    if _told.milliseconds is not None:
        wait_for_lock(LONG_MS)


def is_busy(error: Exception) -> bool:
    """Whether the lock was not to be had in that time."""
    return getattr(error.__cause__, "sqlite_errorname", "").startswith("SQLITE_BUSY")
