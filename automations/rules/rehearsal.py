"""On which of the last days' sessions a rule would have fired. Reads in pieces, and holds nothing in between."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, prefetch_related_objects
from django.utils import timezone

from automations.models import Rule, Trigger
from automations.rules.conditions import failed_condition
from automations.rules.matching import conditions_of, set_off_by, subject_of
from customers.models import Customer
from sessions_app.models import Session

LOOK_BACK = timedelta(days=7)
MOST_SESSIONS = 20_000
MOST_SECONDS = 10.0
MOST_SHOWN = 50
AT_ONCE = 1000

# They fire on a customer's sum, or on nothing at all.
NOT_OF_SESSIONS = frozenset({Trigger.USAGE_REACHED, Trigger.SILENT})
# What matching reads, and what a line shows.
_COLUMNS = (
    "session_id", "number", "is_test", "started_at", "tier", "channel", "agent", "customer", "reason", "allowed",
    "duration_seconds", "stated_seconds", "flags", "begin_received_at", "end_received_at", "missing_from",
    "declared_missing_at", "number_received", "customer__name", "customer__source", "customer__external_id",
)  # fmt: skip

# What no trigger of that kind can be set off by is not read; `set_off_by` decides of the rest.
_MAY_SET_OFF = {
    Trigger.BEGAN_ALLOWED: Q(allowed=True),
    Trigger.BEGAN_DENIED: Q(allowed=False),
    Trigger.ENDED: Q(end_received_at__isnull=False),
    Trigger.END_CORRECTED: Q(flags__contains="ends_differ"),
    Trigger.MISSING_END: Q(allowed=True, end_received_at__isnull=True),
    Trigger.NEW_CALLER: Q(customer__source=Customer.Source.FIRST_CONTACT),
}


@dataclass(frozen=True)
class Rehearsal:
    """`sessions` are the newest that matched, `fired` is how many did, of `looked_at`. `is_whole`: all were."""

    sessions: tuple[Session, ...]
    fired: int
    looked_at: int
    is_whole: bool
    since: datetime


def can_be_rehearsed(rule: Rule) -> bool:
    return rule.trigger not in NOT_OF_SESSIONS


def rehearse(
    rule: Rule, *, most: int = MOST_SESSIONS, seconds: float = MOST_SECONDS, enough: int | None = None
) -> Rehearsal:
    """As if the rule, as it is now, had been on for the last seven days; the newest `most` sessions of its trigger.

    Ends after about `seconds`, or with `enough` that matched, with what it has by then. Not for usage and silence.
    """
    until = time.monotonic() + seconds
    since = timezone.now() - LOOK_BACK
    prefetch_related_objects([rule], "tiers", "channels", "agents", "customers")
    conditions = conditions_of(rule)
    shown: list[Session] = []
    fired = looked_at = 0
    for session in _sessions(rule, since):
        if looked_at == most or fired == enough or time.monotonic() > until:
            return Rehearsal(tuple(shown), fired, looked_at, False, since)
        looked_at += 1
        # The cheaper question first.
        if not failed_condition(conditions, subject_of(session)) and set_off_by(rule, session):
            fired += 1
            shown += [session] if len(shown) < MOST_SHOWN else []
    return Rehearsal(tuple(shown), fired, looked_at, True, since)


def _sessions(rule: Rule, since: datetime) -> Iterator[Session]:
    """Those that the trigger may be set off by, the newest first."""
    sessions = Session.objects.filter(_MAY_SET_OFF[Trigger(rule.trigger)], started_at__gte=since)
    if not rule.covers_tests:
        sessions = sessions.filter(is_test=False)
    sessions = sessions.select_related("customer").only(*_COLUMNS).order_by("-started_at", "-pk")
    piece = list(sessions[:AT_ONCE])
    while piece:
        yield from piece
        if len(piece) < AT_ONCE:
            return
        last = piece[-1]
        older = Q(started_at__lt=last.started_at) | Q(started_at=last.started_at, pk__lt=last.pk)
        piece = list(sessions.filter(older, started_at__lte=last.started_at)[:AT_ONCE])
