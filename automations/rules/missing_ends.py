"""Sessions whose end did not come in time."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from automations.apart import each_alone, leave_to_log
from automations.models import Firing, Rule, Trigger
from automations.rules.firing import Event, Prepared, Preparing, event_of, store_firings
from automations.rules.matching import holds, subject_of
from sessions_app.database.pieces import bulk_transaction
from sessions_app.models import Session

# What went missing while no worker ran is told for that long afterwards.
LOOK_BACK = timedelta(days=7)
AT_ONCE, FIRINGS_AT_ONCE = 500, 40


def tell_missing_ends(should_stop: Callable[[], bool] = lambda: False) -> None:
    """Fire rules on the sessions that are missing their end since the rule was switched on. Safe to repeat."""
    now = timezone.now()
    for rule in Rule.objects.active(Trigger.MISSING_END):
        for sessions in _missing(rule, now):
            if should_stop():
                return
            found = [
                (rule, event_of(session, _missing_at(session, now)))
                for session in sessions
                if holds(rule, subject_of(session))
            ]
            _fire(found)


def _fire(found: Sequence[tuple[Rule, Event]]) -> None:
    prepared = Preparing().prepare(found)
    for start in range(0, len(prepared), FIRINGS_AT_ONCE):
        each_alone(prepared[start : start + FIRINGS_AT_ONCE], _store, leave_to_log("a missing end cannot be told"))


def _store(piece: Sequence[Prepared]) -> None:
    with bulk_transaction():
        store_firings(piece)


def _missing(rule: Rule, now: datetime) -> Iterator[list[Session]]:
    """Some at a time, by when they went missing: those that the rule's conditions leave out hide none of the others."""
    assert rule.active_since is not None
    since = max(rule.active_since, now - LOOK_BACK)
    told = Firing.objects.filter(rule=rule, session=OuterRef("pk"))
    missing = Session.objects.in_state(Session.State.MISSING_END, now).filter(
        Q(missing_from__gte=since) | Q(declared_missing_at__gte=since), ~Exists(told)
    )
    missing = missing.select_related("customer", "tier", "channel", "agent").order_by("missing_from", "pk")
    some = list(missing[:AT_ONCE])
    while some:
        yield some
        last = some[-1]
        after = Q(missing_from__gt=last.missing_from) | Q(missing_from=last.missing_from, pk__gt=last.pk)
        some = list(missing.filter(after)[:AT_ONCE]) if len(some) == AT_ONCE else []


def _missing_at(session: Session, now: datetime) -> datetime:
    assert session.missing_from is not None
    return min(moment for moment in (session.missing_from, session.declared_missing_at, now) if moment is not None)
