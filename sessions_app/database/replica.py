"""The replica that reports read, where there is one: whether it may be read now, and what this thread reads.

Reading goes through `read_connection()` where it is no queryset's; Django's router sends the querysets.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, Error, ProgrammingError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app.database.patience import DATABASE_ERRORS
from sessions_app.database.shared_connections import REPLICA_ALIAS, take_replica
from sessions_app.database.waiting import Deadline, within

logger = logging.getLogger("frontdesk.database")

T = TypeVar("T")

MOST_BEHIND = timedelta(seconds=30)
# How long it is believed what was seen of the replica, and, where it did not answer, that it does not.
SEEN_SECONDS = 1.0
AWAY_SECONDS = 5.0
# Nobody has asked for so long after that: then whoever asks next waits for a look.
FORGOTTEN_SECONDS = 10.0
# What a look may take; and how long a statement may say nothing before somebody looks whether the replica lives.
LOOK_SECONDS = 1.0
SILENT_SECONDS = 2.0

_NEWEST_BEAT = "SELECT max(beat_at) FROM sessions_app_node"
_NOW = "SELECT clock_timestamp()"
_STOPPED = "57014"  # by a time limit, which the primary would not keep either
# It has not come as far as the tables of this version yet.
_NOT_THERE_YET = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)

AWAY = "the replica for reports does not answer"
NO_HEARTBEAT = "the replica for reports has no heartbeat of a worker"
REFUSES = "the replica for reports refuses what it is asked"
FAILED = "the replica for reports broke off what it was asked"
WROTE = "the replica for reports may lack what you just changed"


@dataclass(frozen=True)
class Seen:
    """What a look found: the replica has all that was committed before `as_of`; or why it is not read.

    `behind` is by how much, where that is known, read or not; `error` is what the replica said, for the log.
    """

    as_of: datetime | None = None
    problem: str = ""
    behind: timedelta | None = None
    error: str = ""


class Reading:
    """What one request reads: the replica, until it fails, or the primary. `problem` says why not the replica."""

    def __init__(self, seen: Seen) -> None:
        self.as_of, self.problem = seen.as_of, seen.problem
        self._heard_at = time.monotonic()

    @property
    def is_of_replica(self) -> bool:
        return not self.problem

    def go_on_from_primary(self, problem: str) -> None:
        self.as_of, self.problem = None, problem

    @property
    def is_over(self) -> bool:
        """Whether to wait no longer for a statement: a replica that is frozen says nothing, nor does one whose machine
        is gone."""
        if not self.is_of_replica or time.monotonic() - self._heard_at < SILENT_SECONDS:
            return False
        if not _takes_connections():
            return True
        self._heard_at = time.monotonic()
        return False


class _Lookout:
    """One for a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = Seen()
        self._believed_until = 0.0

    def seen(self) -> Seen:
        with self._lock:
            since = time.monotonic() - self._believed_until
            if since >= 0:
                # To see that it still is away may take seconds.
                if self._seen.problem == AWAY and since < FORGOTTEN_SECONDS:
                    self._believed_until = time.monotonic() + AWAY_SECONDS
                    threading.Thread(target=self._look_beside, name="replica", daemon=True).start()
                else:
                    self._believe(_look())
            return self._seen

    def _look_beside(self) -> None:
        try:
            found = _look()
        except Error as error:  # the primary's, whose requests tell of it
            logger.info("nobody could look at the replica for reports", extra={"error": str(error).strip()})
        else:
            with self._lock:
                self._believe(found)
        finally:
            connections.close_all()

    def _believe(self, found: Seen) -> None:
        if found.problem != self._seen.problem:
            logger.warning(found.problem or "the replica for reports is read", extra={"error": found.error})
        self._seen = found
        self._believed_until = time.monotonic() + (AWAY_SECONDS if found.problem == AWAY else SEEN_SECONDS)

    def look_again(self) -> None:
        self._believed_until = min(self._believed_until, time.monotonic())


_lookout = _Lookout()
_local = threading.local()


def reading_of_reports(*, has_just_written: bool) -> Reading | None:
    """What a request for a report is to read, decided for all of it; None where there is no replica."""
    seen = seen_replica()
    if seen is None:
        return None
    return Reading(Seen(problem=WROTE) if has_just_written else seen)


def seen_replica() -> Seen | None:
    """How it stands, a second ago at most; None where there is none. Raises the primary's errors.

    Of one that does not answer: how it stood at the last look, fifteen seconds ago at most, while a thread looks again.
    """
    return None if take_replica() is None else _lookout.seen()


def current_reading() -> Reading | None:
    """This thread's; None where it reads the primary alone."""
    return getattr(_local, "reading", None)


@contextmanager
def reading_from(reading: Reading | None) -> Iterator[None]:
    """Have this thread read so. Whatever is written goes to the primary, and is not seen here."""
    before, _local.reading = current_reading(), reading
    try:
        if reading is not None and reading.is_of_replica:
            with within(reading):
                yield
        else:
            yield
    finally:
        _local.reading = before


def read_alias() -> str:
    reading = current_reading()
    return REPLICA_ALIAS if reading is not None and reading.is_of_replica else DEFAULT_DB_ALIAS


def read_connection() -> BaseDatabaseWrapper:
    """This thread's connection for reading by hand-written SQL."""
    return connections[read_alias()]


def steadily(read: Callable[[], T]) -> T:
    """What `read` returns; where the replica fails meanwhile, all of it again from the primary, and so what follows.

    It must be safe to repeat, and leave nothing to be read later.
    """
    reading = current_reading()
    if reading is None or not reading.is_of_replica:
        return read()
    try:
        return read()
    except Error as error:
        if not _is_of_replica(error):
            raise
        logger.warning(FAILED, extra={"error": str(error).strip()})
        reading.go_on_from_primary(FAILED)
        _lookout.look_again()
    return read()


def _is_of_replica(error: Error) -> bool:
    """Whether the primary would do better. What breaks off a read for recovery's sake is an OperationalError: 40001,
    40P01 or 57P04 (PostgreSQL's `ProcessInterrupts`)."""
    if getattr(error.__cause__, "sqlstate", None) == _STOPPED:
        return False
    return isinstance(error, DATABASE_ERRORS) or isinstance(error.__cause__, _NOT_THERE_YET)


class Router:
    """Querysets read what the thread reads. Nothing is ever written to the replica, or migrated there."""

    def db_for_read(self, model: type[Any], **hints: Any) -> str:
        return read_alias()

    def db_for_write(self, model: type[Any], **hints: Any) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db != REPLICA_ALIAS


def _look() -> Seen:
    """How old the newest heartbeat is there, by the primary's clock, which wrote it."""
    now = _value(connections[DEFAULT_DB_ALIAS], _NOW)
    try:
        with within(Deadline(LOOK_SECONDS)):
            beat = _value(connections[REPLICA_ALIAS], _NEWEST_BEAT)
    except ProgrammingError as error:
        is_missing = isinstance(error.__cause__, psycopg.errors.UndefinedTable)
        return Seen(problem=NO_HEARTBEAT if is_missing else REFUSES, error=str(error).strip())
    except Error as error:
        connections[REPLICA_ALIAS].close()
        return Seen(problem=AWAY, error=str(error).strip())
    if beat is None:
        return Seen(problem=NO_HEARTBEAT)
    behind = max(now - beat, timedelta())
    if behind > MOST_BEHIND:
        return Seen(problem=f"the replica for reports is {behind.total_seconds():.0f} seconds behind", behind=behind)
    return Seen(as_of=beat, behind=behind)


def _value(database: BaseDatabaseWrapper, sql: str) -> Any:
    with database.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def _takes_connections() -> bool:
    """Whether the replica says anything to a new connection: that of who asks is busy. A refusal is an answer: one that
    has too many connections still works for those that it has."""
    try:
        psycopg.connect(**connections[REPLICA_ALIAS].get_connection_params()).close()
    except psycopg.errors.ConnectionTimeout:
        return False
    except psycopg.Error:
        return True
    return True
