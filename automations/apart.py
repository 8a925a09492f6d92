"""Rows are written together; where one of them is at fault, each by itself, so that it holds up no other."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import InterfaceError, OperationalError

logger = logging.getLogger("frontdesk.automations")

# The database is away, or busy: no row is at fault, and all of it is tried again another time.
AWAY = (OperationalError, InterfaceError)

Row = TypeVar("Row")


def each_alone(
    rows: Sequence[Row], write: Callable[[Sequence[Row]], object], at_fault: Callable[[Row, Exception], object]
) -> None:
    """`write` all rows, in a transaction of its own. What fails is told to `at_fault`, row by row.

    Raises what is in AWAY, with some rows written and some not.
    """
    try:
        write(rows)
    except AWAY:
        raise
    except Exception as error:  # noqa: BLE001 - whoever is told of the row says so in the log
        if len(rows) == 1:
            at_fault(rows[0], error)
            return
        for row in rows:
            each_alone([row], write, at_fault)


def leave_to_log(what: str) -> Callable[[object, Exception], None]:
    """For `at_fault`: the log says why, and the row is tried again another time."""

    def tell(row: object, fault: Exception) -> None:
        logger.error(what, exc_info=fault, extra={"row": str(row)})

    return tell
