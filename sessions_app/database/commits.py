"""Commits that are known to be as safe as the database makes them."""

import logging
from functools import cache

from django.db import NotSupportedError, ProgrammingError, connection

logger = logging.getLogger("frontdesk.database")

# Whatever writes to the log will do; this needs no table and leaves no row.
_WRITE = "SELECT pg_logical_emit_message(true, 'frontdesk', '')"


def wait_until_kept() -> None:
    """Return once all that was committed before is as safe as what is committed now: where PostgreSQL has a
    synchronous standby, there too.

    Whoever reads also finds what is on this server alone, say because its commit's wait was broken off. Log comes
    after log, so a commit that waits answers for all before it. Raises the database's errors, but where it lacks the
    function, or keeps it from us: nothing is waited for then, and the log says so. Not for transactions.
    """
    if connection.vendor != "postgresql":
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(_WRITE)
    except (ProgrammingError, NotSupportedError) as error:
        _tell_once(str(error).strip())


@cache
def _tell_once(error: str) -> None:
    logger.error("it cannot be seen whether a standby has what was committed", extra={"error": error})
