"""Reading several things in one snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from sessions_app.database.replica import read_alias, read_connection


@contextmanager
def one_snapshot() -> Iterator[None]:
    """What is read within is of one snapshot, whatever is written meanwhile. Nothing may be written within.

    On SQLite nobody has to wait for it, as they would for `transaction.atomic()`.
    """
    connection = read_connection()
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(using=read_alias()):
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
