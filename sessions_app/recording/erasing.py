"""Erasing sessions: what they count stays, what they say goes."""

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from customers.keyset import beyond
from customers.models import Customer, Erasure
from customers.personal.erasing import YOUNG, begin_erasing
from customers.personal.parts import ShouldStop, parts
from customers.personal.traces import Traces
from sessions_app.database.pieces import PAUSE_SECONDS, bulk_transaction
from sessions_app.decision.answer import as_bytes
from sessions_app.models import (
    ERASED,
    OF_NO_SESSION,
    CallerNumber,
    Session,
    StatementLine,
    SupersededEnd,
    WebhookEvent,
)
from sessions_app.recording.rows import add_flags
from sessions_app.recording.writing import take_turn
from sessions_app.spool.files import Line, Unreadable, files_set_aside, lines_of, spool_files
from sessions_app.sums.late import note_late_writes

# Each holds a lock, on SQLite the one of all writers, for some milliseconds.
SESSIONS_AT_ONCE = 50
EVENTS_AT_ONCE = 500
_ORDER = ("started_at", "pk")
_NEEDED = ("pk", "session_id", "started_at", "customer_id", "flags", "allowed", "answer", "begin_body", "end_body")


def spool_in_the_way() -> str:
    if not spool_files():
        return ""
    return (
        "Requests of LiveTok wait on disk to be stored, and may be of this customer. Nothing was erased. "
        "Repeat it once the health page says that none wait."
    )


def erase_set_aside(traces: Traces) -> None:
    """On this machine's disk: requests that could not be stored, and name the person."""
    for path in files_set_aside():
        if any(_is_named_in(line, traces) for line in lines_of(path)):
            path.unlink(missing_ok=True)


def _is_named_in(line: Line, traces: Traces) -> bool:
    try:
        request = line.request()
    except Unreadable:
        return traces.are_in(line.content)
    return traces.are_in(request.body, request.answer)


def sessions_of(customer_id: int, traces: Traces) -> list[Q]:
    """Conditions, each for an index: the customer's sessions, and those of the same caller that are nobody's."""
    found = [Q(customer_id=customer_id)]
    if traces.keys:
        found.append(Q(customer=None, phone_key__in=traces.keys))
    if traces.external_ids:
        found.append(Q(customer=None, phone_key="", external_id__in=traces.external_ids))
    return found


def erase_at_once(customer: Customer, traces: Traces) -> None:
    # Begins that have read the customer already read again, and find a stranger.
    take_turn(customer.pk)
    StatementLine.objects.filter(customer_number__in=[customer.pk, *traces.former_ids]).update(
        customer_name=f"Erased customer {customer.pk}", external_id=""
    )


def erase_sessions(erasure: Erasure, traces: Traces, is_last: bool, should_stop: ShouldStop) -> bool:
    """Those that are old enough, in short transactions. Whether none is left."""
    conditions = sessions_of(erasure.customer_id, traces)
    if is_last:
        conditions.append(_stored_late(erasure, traces))
    for condition in conditions:
        _erase_all(erasure, traces, condition, should_stop)
    if should_stop():
        return False
    if is_last:
        _erase_events_of_no_session(traces, should_stop)
        _forget_numbers(traces)
        erase_set_aside(traces)
        _erase_strays(erasure, traces)
    return not any(_unerased(condition).exists() for condition in conditions)


def _stored_late(erasure: Erasure, traces: Traces) -> Q:
    """Of requests that had come before, and waited on another machine's disk: they made a customer of the stranger."""
    since = erasure.requested_at
    return Q(
        phone_key__in=traces.keys,
        customer__created_at__gte=since,
        customer__source=Customer.Source.FIRST_CONTACT,
        begin_received_at__lt=since,
    )


def _erase_strays(erasure: Erasure, traces: Traces) -> None:
    """Customers whom such a request made, and who did not call since."""
    made = Customer.objects.filter(
        numbers__key__in=traces.keys,
        source=Customer.Source.FIRST_CONTACT,
        created_at__gte=erasure.requested_at,
        erasure=None,
    )
    for pk in made.values_list("pk", flat=True).distinct():
        theirs = Session.objects.filter(customer=pk)
        if theirs.exists() and not theirs.exclude(flags__contains=ERASED).exists():
            begin_erasing(pk, erasure.by)


def _unerased(condition: Q) -> Any:
    return Session.objects.filter(condition).exclude(flags__contains=ERASED)


def _erase_all(erasure: Erasure, traces: Traces, condition: Q, should_stop: ShouldStop) -> None:
    old = timezone.now() - YOUNG
    due = Q(begin_received_at__lte=old) | Q(begin_received_at=None, end_received_at__lte=old)
    left = _unerased(condition).filter(due).order_by(*_ORDER)
    some = list(left.values_list(*_ORDER)[:SESSIONS_AT_ONCE])
    while some and not should_stop():
        with bulk_transaction():
            _erase_some(erasure, traces, [pk for _, pk in some])
        time.sleep(PAUSE_SECONDS)
        some = list(left.filter(beyond(_ORDER, some[-1])).values_list(*_ORDER)[:SESSIONS_AT_ONCE])


def _erase_some(erasure: Erasure, traces: Traces, pks: Sequence[int]) -> None:
    """All of them, or none where this is ended. Locked: an end that comes at once waits, and finds them erased."""
    locked = Session.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=pks).order_by("pk")
    sessions = [session for session in locked.only(*_NEEDED) if not session.is_erased]
    if not sessions:
        return
    _erase_events(sessions, traces)
    SupersededEnd.objects.filter(session__in=sessions).delete()
    for part in parts():
        part.of_sessions([session.pk for session in sessions])
    alike: dict[tuple[str, bytes], list[int]] = defaultdict(list)
    for session in sessions:
        add_flags(session, {ERASED})
        alike[session.flags, _nameless(session)].append(session.pk)
    for (flags, answer), some in alike.items():
        Session.objects.filter(pk__in=some).update(
            flags=flags,
            answer=answer,
            # A made-up caller: an end that names none is still its own, and a begin of another caller never.
            phone_key=f"ERASED-{erasure.customer_id}",
            number_received="",
            external_id="",
            packed_facts=None,
            plain_facts={},
            call_hold_minutes=None,
            begin_body=None,
            end_body=None,
        )
    # Sums tell callers who are no customers by a digest of their number.
    note_late_writes({session.started_at for session in sessions if session.customer_id is None})
    Erasure.objects.filter(pk=erasure.pk).update(sessions_erased=F("sessions_erased") + len(sessions))


def _nameless(session: Session) -> bytes:
    """What a begin that comes again is answered from now on: whether it was let in, and its limits."""
    try:
        limits = json.loads(bytes(session.answer or b"")).get("limits", {})
    except (ValueError, AttributeError):
        limits = {}
    return as_bytes({"allowed": session.allowed is not False, "context": {}, "limits": limits})


def _erase_events(sessions: Sequence[Session], traces: Traces) -> None:
    """The log's requests of these sessions; of an id that another caller's session has as well, theirs alone."""
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for session in sessions:
        bodies[session.session_id] |= {bytes(body) for body in (session.begin_body, session.end_body) if body}
    ends = SupersededEnd.objects.filter(session__in=sessions)
    for session_id, body in ends.values_list("session__session_id", "body"):
        bodies[session_id].add(bytes(body))
    others = Session.objects.filter(session_id__in=bodies).exclude(pk__in=[session.pk for session in sessions])
    shared = set(others.exclude(flags__contains=ERASED).values_list("session_id", flat=True))
    WebhookEvent.objects.filter(session_id__in=bodies.keys() - shared).delete()
    named = [
        pk
        for pk, session_id, body in WebhookEvent.objects.filter(session_id__in=shared).values_list(
            "pk", "session_id", "body"
        )
        if body is not None and (bytes(body) in bodies[session_id] or traces.are_in(body))
    ]
    WebhookEvent.objects.filter(pk__in=named).delete()


def _erase_events_of_no_session(traces: Traces, should_stop: ShouldStop) -> None:
    """Ignored and rejected requests whose body names the person."""
    last = 0
    while not should_stop():
        events = WebhookEvent.objects.filter(verdict__in=OF_NO_SESSION, pk__gt=last).order_by("pk")
        some = list(events.values_list("pk", "error", "body")[:EVENTS_AT_ONCE])
        if not some:
            return
        last = some[-1][0]
        named = [pk for pk, error, body in some if traces.are_in(error, body)]
        if named:
            with bulk_transaction():
                WebhookEvent.objects.filter(pk__in=named).delete()


def _forget_numbers(traces: Traces) -> None:
    """What a search finds numbers by, of those that no session has any more."""
    gone = [key for key in traces.keys if not Session.objects.filter(phone_key=key).exists()]
    if gone:
        with bulk_transaction():
            CallerNumber.objects.filter(key__in=gone).delete()
