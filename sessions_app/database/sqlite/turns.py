"""Taking turns to write on SQLite, which lets one write at a time and has the others look again after ever longer naps.

Threads of a process wait by a lock, which wakes the next one at once; the first of each process by a lock on a file
beside the database, which the system frees when a process dies.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.db import OperationalError, connection

from sessions_app.database.patience import current_patience

# Where no request's patience ends it first, a turn is waited for that long; longer by whoever writes much.
TURN_SECONDS = 5.0
BULK_TURN_SECONDS = 60.0
LOOK_EVERY_SECONDS = 0.1
# A turn takes about a millisecond. The system could wake us when it is over, but would then wait without an end.
LOOK_AT_FILE_EVERY_SECONDS = 0.0003

_turn = threading.Lock()


@contextmanager
def turn_to_write(seconds: float | None = None) -> Iterator[None]:
    """Be the only one in the block, of all who ask here. Raises OperationalError where the turn does not come in time.

    Nothing on PostgreSQL, nor within a transaction of Django's, which has the database's own lock.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    give_up_at = time.monotonic() + (TURN_SECONDS if seconds is None else seconds)
    while not _turn.acquire(timeout=LOOK_EVERY_SECONDS):
        _require_patience(give_up_at)
    try:
        with _turn_of_process(give_up_at):
            yield
    finally:
        _turn.release()


@contextmanager
def _turn_of_process(give_up_at: float) -> Iterator[None]:
    if connection.is_in_memory_db():  # type: ignore[attr-defined]
        yield
        return
    file = _turn_file(f"{connection.settings_dict['NAME']}-turn")
    while not _locked(file):
        _require_patience(give_up_at)
        time.sleep(LOOK_AT_FILE_EVERY_SECONDS)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


@cache
def _turn_file(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperationalError(str(error)) from error


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _require_patience(give_up_at: float) -> None:
    patience = current_patience()
    if patience.is_over if patience else time.monotonic() > give_up_at:
        raise OperationalError("database is locked")
