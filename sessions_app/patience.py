"""How long a request waits for the database: a second without a sign of life, longer where it answers others.

PostgreSQL's connections ask for themselves (`sessions_app.postgresql`); SQLite is asked for its lock again and again.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, InterfaceError, InternalError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app.pulse import LOOK_SECONDS, pulse
from sessions_app.sqlite_lock import SHORT_MS, is_busy, wait_for_lock

logger = logging.getLogger("frontdesk.database")

T = TypeVar("T")

# PostgreSQL's internal errors: say, it was made read-only, because its disk is full or another server has taken over.
DATABASE_ERRORS = (OperationalError, InterfaceError, InternalError)

# With our own look after it, less than the second that is promised.
DOUBT_SECONDS = 0.4
SILENT_SECONDS = DOUBT_SECONDS + LOOK_SECONDS + 0.05
SLOW_SECONDS = 3.0


class Patience:
    """A request's, from its start. `slow_seconds` is for a database that lives, but does not get to us."""

    def __init__(self, slow_seconds: float = math.inf) -> None:
        self.started = time.monotonic()
        self.slow_seconds = slow_seconds

    @property
    def is_over(self) -> bool:
        """Whether to give up. Whoever waits asks now and then, and so sees that a silent database is looked after."""
        now = time.monotonic()
        silent = now - max(self.started, pulse.heard_at)
        if silent > DOUBT_SECONDS:
            pulse.doubt()
        return pulse.is_away or silent > SILENT_SECONDS or now - self.started > self.slow_seconds

    def leave_out(self, seconds: float) -> None:
        """Time that just passed while nobody waited for the database."""
        self.started += seconds


_local = threading.local()
# How many outages the process had seen when a connection was last used.
_outages: WeakKeyDictionary[BaseDatabaseWrapper, int] = WeakKeyDictionary()


def current_patience() -> Patience | None:
    """That of this thread's request; None where nobody waits for an answer."""
    return getattr(_local, "patience", None)


@contextmanager
def limited(patience: Patience) -> Iterator[Patience]:
    """Whatever waits for the database in this block fails with an OperationalError once the patience is over."""
    _local.patience = patience
    database = connections[DEFAULT_DB_ALIAS]
    if _outages.get(database, 0) != pulse.outages:
        _outages[database] = pulse.outages
        drop_connection()  # it may be dead without knowing it
    if not pulse.is_away:
        wait_for_lock(SHORT_MS)
    try:
        yield patience
    finally:
        _local.patience = None


def while_patient(work: Callable[[bool], T]) -> T:
    """Do the work, which is safe to repeat, again where a connection was dead or SQLite's lock not to be had.

    It is told whether a connection died over it before, so that nobody knows how far it got.
    Raises the database's error where the patience is over, or the database away.
    """
    patience = current_patience()
    attempts, died = 0, False
    while True:
        if pulse.is_away:
            raise OperationalError("the database is away")
        attempts += 1
        wait_for_lock(SHORT_MS)  # the connection may be another one
        try:
            done = work(died)
        except DATABASE_ERRORS as error:
            if not is_busy(error):
                drop_connection()
                if attempts > 1:
                    raise
                died = True
            if patience is None or patience.is_over:
                raise
        else:
            pulse.beat()
            return done


def note_failure(error: Exception) -> None:
    """Have the database looked after; and tell of it, unless that was told already."""
    drop_connection()
    if not pulse.is_in_doubt:
        logger.error("the database does not answer", extra={"error": str(error).strip()})
        pulse.doubt()


def drop_connection() -> None:
    """Have the next statement connect anew. A transaction around us keeps the connection, and fails by itself."""
    if not connection.in_atomic_block:
        connection.close()
