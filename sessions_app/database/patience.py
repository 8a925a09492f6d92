"""How long a request waits for the database: less than a second, whether it is silent, slow or locked.

PostgreSQL's connections ask for themselves (`sessions_app.database.postgresql`); SQLite is asked for its lock again and
again.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, InterfaceError, InternalError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app.database.commits import wait_until_kept
from sessions_app.database.postgresql.base import OnOneServerAlone
from sessions_app.database.pulse import pulse
from sessions_app.database.sqlite.lock import SHORT_MS, is_busy, wait_for_lock
from sessions_app.database.waiting import current_limit, within

logger = logging.getLogger("frontdesk.database")

T = TypeVar("T")

# PostgreSQL's internal errors: say, it was made read-only, because its disk is full or another server has taken over.
DATABASE_ERRORS = (OperationalError, InterfaceError, InternalError)

# Silent for so long, the database is looked after, so that later requests need not wait.
DOUBT_SECONDS = 0.4
# Together less than the second that is promised: for storing a request, and where that had to be given up, for reading
# what decides a begin.
WAIT_SECONDS = 0.6
READ_SECONDS = 0.4
# Other systems are asked for context until then, from the request's start; storing still gets a moment afterwards.
OTHERS_SECONDS = 0.65
AFTERWARDS_SECONDS = 0.15


class Patience:
    """A request's, from its start; or, where it `only_reads`, from when it gave up writing."""

    def __init__(self, seconds: float = WAIT_SECONDS, *, only_reads: bool = False) -> None:
        self.started = time.monotonic()
        self.seconds = seconds
        self.only_reads = only_reads

    @property
    def is_over(self) -> bool:
        """Whether to give up. Whoever waits asks now and then, and so sees that a silent database is looked after."""
        now = time.monotonic()
        if now - max(self.started, pulse.heard_at) > DOUBT_SECONDS:
            pulse.doubt()
        is_hopeless = not pulse.can_be_read if self.only_reads else pulse.is_away
        return is_hopeless or now - self.started > self.seconds

    def leave_out(self, seconds: float) -> None:
        """Time that just passed while nobody waited for the database."""
        self.started += seconds

    @property
    def seconds_for_others(self) -> float:
        """How long others may still be asked for context, so that the answer comes within a second."""
        return self.started + OTHERS_SECONDS - time.monotonic()

    def spend_on_others(self, seconds: float) -> None:
        """Time that just passed in asking others. The database was not waited for, but the answer still is due."""
        end = max(self.started + self.seconds, time.monotonic() + AFTERWARDS_SECONDS)
        self.started += seconds
        self.seconds = end - self.started


# How many outages the process had seen when a connection was last used.
_outages: WeakKeyDictionary[BaseDatabaseWrapper, int] = WeakKeyDictionary()


def current_patience() -> Patience | None:
    """That of this thread's request; None where nobody waits for an answer."""
    limit = current_limit()
    return limit if isinstance(limit, Patience) else None


@contextmanager
def limited(patience: Patience) -> Iterator[Patience]:
    """Whatever waits for the database in this block fails with an OperationalError once the patience is over."""
    database = connections[DEFAULT_DB_ALIAS]
    if _outages.get(database, 0) != pulse.outages:
        _outages[database] = pulse.outages
        drop_connection()  # it may be dead without knowing it
    if pulse.can_be_read:
        wait_for_lock(SHORT_MS)
    with within(patience):
        yield patience


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
            if died:  # it may have been done then, and found as it stands now
                wait_until_kept()
        except DATABASE_ERRORS as error:
            if not is_busy(error):
                drop_connection()
                # Found as it stands, and told as stored, it would be acknowledged after all.
                if isinstance(error.__cause__, OnOneServerAlone):
                    raise
                # A fresh connection failed as well, so it is not just a dead one left from the last outage.
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
    if pulse.is_away and pulse.can_be_read:  # it is known to be busy, and nothing is wrong with the connection
        return
    drop_connection()
    if not pulse.is_in_doubt:
        logger.error("the database does not answer", extra={"error": str(error).strip()})
        pulse.doubt()


def drop_connection() -> None:
    """Have the next statement connect again. A transaction around us keeps the connection, and fails by itself."""
    if not connection.in_atomic_block:
        connection.close()
