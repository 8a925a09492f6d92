"""Whether the database lives: what requests have seen of it, and a look of our own where they see nothing.

One that somebody else keeps locked, that has no room left, is read-only or waits for its standby takes no writing, but
can be read.
"""

import gc
import logging
import threading
import time
from typing import Literal

from django.db import DEFAULT_DB_ALIAS, Error, connection, connections, transaction
from psycopg.errors import ConnectionTimeout

from sessions_app.database.commits import wait_until_kept
from sessions_app.database.postgresql.base import DatabaseWrapper
from sessions_app.database.shared_connections import a_free_one_answers, leave_behind
from sessions_app.database.sqlite.lock import SHORT_MS, is_busy, wait_for_lock
from sessions_app.database.waiting import Deadline, within

logger = logging.getLogger("frontdesk.database")

# A database that does not answer our own look within that time is away.
LOOK_SECONDS = 0.4
LOOK_AGAIN_SECONDS = 0.05


class Pulse:
    """One for a process. In doubt, a thread looks after the database until it answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # All by time.monotonic().
        self._doubted_at: float | None = None
        self._failed_at = 0.0
        self._is_only_busy = False
        self.heard_at = 0.0
        # Connections from before the last outage may be dead without knowing it.
        self.outages = 0

    @property
    def is_in_doubt(self) -> bool:
        """Whether somebody looks after the database."""
        return self._doubted_at is not None

    @property
    def is_away(self) -> bool:
        """Whether it takes no writing, as far as we know."""
        doubted_at = self._doubted_at
        if doubted_at is None:
            return False
        return self._failed_at > self.heard_at or time.monotonic() - max(doubted_at, self.heard_at) > LOOK_SECONDS

    @property
    def can_be_read(self) -> bool:
        """Whether asking it is worth while."""
        return self._is_only_busy or not self.is_away

    def beat(self) -> None:
        """The database has done something for us."""
        self.heard_at = time.monotonic()

    def doubt(self) -> None:
        """Look after the database, where nobody does already."""
        with self._lock:
            if self._doubted_at is not None:
                return
            self._doubted_at = time.monotonic()
            self._is_only_busy = False
        try:
            threading.Thread(target=self._look_until_it_answers, name="pulse", daemon=True).start()
        except RuntimeError:  # the system gives us no thread: then the next one in doubt has to try
            self._doubted_at = None
            logger.exception("nobody looks after the database")

    def _look_until_it_answers(self) -> None:
        started, told = time.monotonic(), ""
        try:
            while (seen := _look()) != "answers":
                self._is_only_busy = seen == "busy"
                if seen == "away":
                    self._failed_at = time.monotonic()
                if seen != told and (seen == "away" or time.monotonic() - started > LOOK_SECONDS):
                    logger.error("the database is away" if seen == "away" else "the database takes no writing")
                    told = seen
                time.sleep(LOOK_AGAIN_SECONDS)
        finally:
            seconds = time.monotonic() - started
            if seconds > LOOK_SECONDS or self._failed_at > started:
                self.outages += 1
                leave_behind()
                logger.warning("the database is back", extra={"seconds": round(seconds, 1)})
            self.beat()
            self._doubted_at = None
            self._is_only_busy = False
            gc.collect()  # errors lie in cycles with their tracebacks, and hold connections that were closed


def _look() -> Literal["answers", "busy", "away"]:
    """Whether the database can do its work: PostgreSQL answers, SQLite lets us write. Busy: it can only be read."""
    wait_for_lock(SHORT_MS)
    try:
        connection.ensure_connection()
    except Error as error:
        if is_busy(error):
            return "busy"
        # A server with too many connections turns a new one away, but still serves those that stand.
        took_too_long = isinstance(error.__cause__, ConnectionTimeout)
        return "answers" if not took_too_long and a_free_one_answers(LOOK_SECONDS) else "away"
    try:
        if connection.vendor == "postgresql":
            return _look_at_postgresql()
        with transaction.atomic():
            return "answers" if connection.is_usable() else "away"
    except Error as error:
        return "busy" if is_busy(error) or _can_be_read() else "away"
    finally:
        connection.close()


def _look_at_postgresql() -> Literal["answers", "busy", "away"]:
    """A pooler takes connections for one that is away; one that is read-only, full or without its standby answers."""
    if not connection.is_usable():
        return "busy" if _can_be_read() else "away"
    try:
        with within(Deadline(LOOK_SECONDS)):
            wait_until_kept()
    except Error:
        return "busy"
    return "answers"


def _can_be_read() -> bool:
    """Whether a database that we may not write to, say because the disk is full, still answers."""
    database = connections[DEFAULT_DB_ALIAS]
    return database.told_read_only() is not None if isinstance(database, DatabaseWrapper) else database.is_usable()


pulse = Pulse()
