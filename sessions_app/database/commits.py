"""Commits that are known to be as safe as the database makes them."""

from django.db import connection

# Whatever writes to the log will do; this needs no table and leaves no row.
_WRITE = "SELECT pg_logical_emit_message(true, 'frontdesk', '')"


def wait_until_kept() -> None:
    """Return once all that was committed before is as safe as what is committed now: where PostgreSQL has a
    synchronous standby, there too.

    Whoever reads also finds what is on this server alone, say because its commit's wait was broken off. Log comes
    after log, so a commit that waits answers for all before it. Raises the database's errors. Not for transactions.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_WRITE)
