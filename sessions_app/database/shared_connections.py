"""Requests take a database connection and give it back; the one that was given back last is taken first.

Django keeps one for each thread, and the web server has its threads take requests in turn. So every thread that a burst
once called for, sixteen at most, would have its connection used by turns from then on: each is a process of
PostgreSQL's, with a memory of its own that the processor's caches have lost since. Sharing them, four requests at a
time need about four, and a tenth more sessions per second were answered. A connection is given back a moment after the
answer went out, so that a caller's very next request may still find it taken, and open another.

The replica for reports is shared likewise, among the requests that may read reports; LiveTok's hold none of it.
"""

import logging
import time
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import DEFAULT_DB_ALIAS, Error, close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger("frontdesk.database")

LOOK_EVERY_SECONDS = 0.01
REPLICA_ALIAS = "reports"

_free: list[BaseDatabaseWrapper] = []
_free_of_replica: list[BaseDatabaseWrapper] = []


def a_free_one_answers(within_seconds: float) -> bool:
    """Whether a connection that no request uses still serves. False where none is given back in that time."""
    give_up_at = time.monotonic() + within_seconds
    while time.monotonic() < give_up_at:
        try:
            database = _free.pop()
        except IndexError:
            time.sleep(LOOK_EVERY_SECONDS)
            continue
        is_usable = database.is_usable()
        if is_usable:
            _free.append(database)
        else:
            database.close()
        return is_usable
    return False


def share_connections() -> None:
    """Have every request from now on take a connection."""
    request_started.disconnect(close_old_connections)
    request_started.connect(_take)
    request_started.connect(_look_after)
    request_finished.connect(_give_back)


def take_replica() -> BaseDatabaseWrapper | None:
    """This thread's connection to the replica for reports, opened once it is used; None where there is no replica."""
    if REPLICA_ALIAS not in settings.DATABASES:
        return None
    if all(database.alias != REPLICA_ALIAS for database in connections.all(initialized_only=True)):
        _take_one(REPLICA_ALIAS, _free_of_replica)
        connections[REPLICA_ALIAS].close_if_unusable_or_obsolete()
    return connections[REPLICA_ALIAS]


def leave_behind() -> None:
    """Close the connections that no request uses: after an outage they may be dead without knowing it."""
    while _free:
        with suppress(IndexError):  # a request was quicker
            _free.pop().close()


def _take(**request: Any) -> None:
    if connections.all(initialized_only=True):  # the thread's last request was broken off
        return
    _take_one(DEFAULT_DB_ALIAS, _free)


def _look_after(**request: Any) -> None:
    """As `close_old_connections` does. Django catches no error that comes so early, and LiveTok would get 500."""
    for database in connections.all(initialized_only=True):
        try:
            database.close_if_unusable_or_obsolete()
        except Error as error:
            logger.warning("a connection was left behind", extra={"error": str(error).strip()})
            _take_one(database.alias, [])


def _take_one(alias: str, free: list[BaseDatabaseWrapper]) -> None:
    try:
        connections[alias] = free.pop()
    except IndexError:
        database = connections.create_connection(alias)
        # Django refuses a connection to every thread but the one that made it, unless it is told so.
        database.inc_thread_sharing()
        connections[alias] = database


def _give_back(**request: Any) -> None:
    for database in connections.all(initialized_only=True):
        del connections[database.alias]
        # Who was broken off in a transaction leaves it in a state that nobody else shall begin with.
        if database.connection is not None and not database.in_atomic_block:
            (_free_of_replica if database.alias == REPLICA_ALIAS else _free).append(database)
