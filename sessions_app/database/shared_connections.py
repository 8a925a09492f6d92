"""Requests take a database connection and give it back; the one that was given back last is taken first.

Django keeps one for each thread, and the web server has its threads take requests in turn. So every thread that a burst
once called for, sixteen at most, would have its connection used by turns from then on: each is a process of
PostgreSQL's, with a memory of its own that the processor's caches have lost since. Sharing them, four requests at a
time need about four, and a tenth more sessions per second were answered. A connection is given back a moment after the
answer went out, so that a caller's very next request may still find it taken, and open another.
"""

import time
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

LOOK_EVERY_SECONDS = 0.01

_free: list[BaseDatabaseWrapper] = []


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
    request_started.connect(close_old_connections)  # which looks after what was taken
    request_finished.connect(_give_back)


def _take(**request: Any) -> None:
    if connections.all(initialized_only=True):  # the thread's last request was broken off
        return
    try:
        connections[DEFAULT_DB_ALIAS] = _free.pop()
    except IndexError:
        database = connections.create_connection(DEFAULT_DB_ALIAS)
        # Django refuses a connection to every thread but the one that made it, unless it is told so.
        database.inc_thread_sharing()
        connections[DEFAULT_DB_ALIAS] = database


def _give_back(**request: Any) -> None:
    for database in connections.all(initialized_only=True):
        del connections[database.alias]
        # Who was broken off in a transaction leaves it in a state that nobody else shall begin with.
        if database.connection is not None and not database.in_atomic_block:
            _free.append(database)
