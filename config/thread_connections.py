"""Closing a thread's database connection when the thread ends, as the web server's do after ten idle minutes.

Django leaves that to Python's search for garbage, which web processes do seldom: until then the connection would count
among those that PostgreSQL allows.
"""

import threading
from contextlib import suppress
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


def close_with_thread() -> None:
    """Have every connection that is opened from now on closed with its thread."""
    connection_created.connect(_bind_to_thread)


class _Closing:
    """Closes Django's connection, however often it was opened anew, where nothing refers to this any more."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def __del__(self) -> None:
        with suppress(Exception):  # it may be broken, or Python about to end
            self.connection.close()


class _OfThread(threading.local):
    closing: _Closing | None = None


_of_thread = _OfThread()


def _bind_to_thread(connection: BaseDatabaseWrapper, **others: Any) -> None:
    if _of_thread.closing is None or _of_thread.closing.connection is not connection:
        _of_thread.closing = _Closing(connection)
