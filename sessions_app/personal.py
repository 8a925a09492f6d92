"""What sessions, and all that is made of them, know of a customer: this app's part in `customers.personal`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from customers.models import Customer
from customers.personal.erasing import SESSIONS
from customers.personal.parts import Counted, Part
from customers.personal.traces import Traces
from sessions_app.database.pieces import rows_in_pieces
from sessions_app.models import DailyUsage, Session, StatementLine, SupersededEnd, WebhookEvent, packed_or_plain
from sessions_app.recording.erasing import erase_at_once, erase_sessions, sessions_of, spool_in_the_way

SESSIONS_AT_ONCE = 100


def _counted(customer: Customer, traces: Traces) -> Iterable[Counted]:
    found = sum(Session.objects.filter(condition).count() for condition in sessions_of(customer.pk, traces))
    yield Counted(SESSIONS, found, "LiveTok's id, times, duration, channel, agent, and the checks with their amounts")
    yield Counted("days of usage", DailyUsage.objects.filter(customer=customer).count(), "all of it: it names nobody")
    yield Counted("lines of closed months", _lines(customer, traces).count(), "all but name and external id")


def _lines(customer: Customer, traces: Traces) -> QuerySet[StatementLine]:
    return StatementLine.objects.filter(customer_number__in=[customer.pk, *traces.former_ids])


def _known(customer: Customer, traces: Traces) -> Mapping[str, Iterable[Any]]:
    return {
        "sessions": _sessions(customer, traces),
        "usage_by_day": DailyUsage.objects.filter(customer=customer).order_by("pk").values(),
        "statements": _lines(customer, traces).order_by("pk").values(),
    }


def _sessions(customer: Customer, traces: Traces) -> Iterator[dict[str, Any]]:
    """Some at a time, each with its corrections and LiveTok's requests."""
    for condition in sessions_of(customer.pk, traces):
        some: list[int] = []
        for _, pk in rows_in_pieces(Session.objects.filter(condition), "started_at", "pk", key=2):
            some.append(pk)
            if len(some) == SESSIONS_AT_ONCE:
                yield from _with_events(some)
                some = []
        yield from _with_events(some)


def _with_events(pks: Sequence[int]) -> Iterator[dict[str, Any]]:
    sessions = list(Session.objects.filter(pk__in=pks).order_by("started_at", "pk").values())
    ends: dict[int, list[Any]] = {}
    for end in SupersededEnd.objects.filter(session__in=pks).values():
        ends.setdefault(end["session_id"], []).append(end)
    ids = {session["session_id"] for session in sessions}
    # An id that LiveTok used again has requests of another caller as well, which are nobody else's business.
    shared = set(Session.objects.filter(session_id__in=ids).exclude(pk__in=pks).values_list("session_id", flat=True))
    events: dict[str, list[Any]] = {}
    for event in WebhookEvent.objects.filter(session_id__in=ids - shared).order_by("pk").values():
        events.setdefault(event["session_id"], []).append(event)
    for session in sessions:
        named = dict(session)
        for name in ("facts", "trace"):
            named[name] = packed_or_plain(named.pop(f"packed_{name}"), named.pop(f"plain_{name}"))
        more = {"superseded_ends": ends.get(session["id"], []), "requests": events.get(session["session_id"], [])}
        yield named | more


PART = Part(
    counted=_counted,
    known=_known,
    at_once=erase_at_once,
    further=erase_sessions,
    in_the_way=spool_in_the_way,
)
