"""One `setup` at a time: on this machine by a lock on a file, on all that share a PostgreSQL by one of a transaction.

Not by a lease, as recurring jobs: on an empty database there is no table for one yet. The transaction has a connection
of its own and stays open meanwhile, so that a pooler leaves it its server connection, too; it holds nothing else.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

LOOK_EVERY_SECONDS = 0.2
# Any number that nobody else takes: it names the lock.
POSTGRESQLS_LOCK = 0x46726F6E74646573


@contextmanager
def one_setup_at_a_time(say: Callable[[str], object]) -> Iterator[None]:
    """Wait until no other one runs; `say` is told where that takes a while. Whoever dies lets go of its locks."""
    descriptor = os.open(settings.DATA_DIR / "setup-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait(lambda: _locked_file(descriptor), say)
        if connection.vendor == "postgresql":
            with _transaction_of_its_own() as database:
                _wait(lambda: _locked_database(database), say)
                yield
        else:
            yield
    finally:
        os.close(descriptor)


def _wait(is_mine: Callable[[], bool], say: Callable[[str], object]) -> None:
    if is_mine():
        return
    say("Another setup is running; this one waits for it.")
    while not is_mine():
        time.sleep(LOOK_EVERY_SECONDS)


def _locked_file(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _transaction_of_its_own() -> Iterator[BaseDatabaseWrapper]:
    database = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        database.set_autocommit(False)
        yield database
    finally:
        database.close()  # which frees its lock


def _locked_database(database: BaseDatabaseWrapper) -> bool:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [POSTGRESQLS_LOCK])
        return bool(cursor.fetchone()[0])
