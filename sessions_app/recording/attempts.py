"""An event's transaction, tried again where events that came at once stood in each other's way; and its locks.

A session's caller is serialised by the customer's row (on SQLite by the transaction). Locks are taken customer first,
session second. Whoever loses an insert, or finds a row changed between reading and locking it, starts over.
"""

from collections.abc import Callable

from django.db import IntegrityError, OperationalError, connection

from customers.models import Customer
from sessions_app.database.prepared import djangos_transaction
from sessions_app.livetok.events import SessionEvent
from sessions_app.models import Session
from sessions_app.recording.log import Outcome
from sessions_app.recording.writing import line_up

ATTEMPTS = 5
# Deadlock and serialisation failure (PostgreSQL, appendix A): the transaction is sound and may be tried again.
TRANSIENT_SQLSTATES = frozenset({"40P01", "40001"})


class ChangedMeanwhile(Exception):
    """What was read without a lock is not what the lock found."""


class NotOrdinary(Exception):
    """An event that has to be stored step by step."""


def ordinarily(work: Callable[[], Outcome | None], *, attempts: int) -> Outcome | None:
    """Work that locks nothing, again where another event came between reading and writing. None where it did not do."""
    for _ in range(attempts):
        try:
            outcome = work()
        except NotOrdinary:
            return None
        except (IntegrityError, OperationalError) as error:  # say, the customer was merged into another meanwhile
            if not may_work_next_time(error):
                raise
            return None
        if outcome is not None:
            return outcome
    return None


def in_transaction(event: SessionEvent, work: Callable[[], Outcome]) -> Outcome:
    """Work that locks what it reads."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with djangos_transaction():
                if attempt > 1:  # else many at once for one session id could turn each other away over and over
                    line_up(event.session_id)
                return work()
        except (IntegrityError, OperationalError, ChangedMeanwhile) as error:
            if attempt == ATTEMPTS or not may_work_next_time(error):
                raise
    raise AssertionError("the last attempt returns or raises")


def may_work_next_time(error: Exception) -> bool:
    """Whether events that came at once stood in each other's way. A database that is away is none of that."""
    return not isinstance(error, OperationalError) or getattr(error.__cause__, "sqlstate", None) in TRANSIENT_SQLSTATES


def locked(session: Session) -> Session:
    """The session with its row, and before it its customer's row, locked. On SQLite the transaction has locked it."""
    if not connection.features.has_select_for_update:
        return session
    # Without the key: rows that merely refer to it (FOR KEY SHARE), such as another session of the customer, need not
    # wait.
    if session.customer_id is not None:
        Customer.objects.select_for_update(no_key=True).filter(pk=session.customer_id).first()
    fresh = Session.objects.select_for_update(of=("self",), no_key=True).get(pk=session.pk)
    if _standing(fresh) != _standing(session):
        raise ChangedMeanwhile
    return fresh


def _standing(session: Session) -> tuple[object, ...]:
    return session.customer_id, session.caller.identity, session.has_begin, bytes(session.end_body or b"")
