"""Sessions whose end did not come in time."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from automations.models import Firing, Rule, Trigger
from automations.rules.conditions import failed_condition
from automations.rules.firing import Preparing, event_of, store_firings
from automations.rules.matching import conditions_of, subject_of
from sessions_app.database.pieces import in_pieces
from sessions_app.models import Session

# What went missing while no worker ran is told for that long afterwards.
LOOK_BACK = timedelta(days=7)
AT_ONCE, FIRINGS_AT_ONCE = 500, 40


def tell_missing_ends(should_stop: Callable[[], bool] = lambda: False) -> None:
    """Fire rules on the sessions that are missing their end since the rule was switched on. Safe to repeat."""
    now = timezone.now()
    for rule in Rule.objects.active(Trigger.MISSING_END):
        if should_stop():
            return
        conditions = conditions_of(rule)
        found = [
            event_of(session, _missing_at(session, now))
            for session in _missing(rule, now)
            if not failed_condition(conditions, subject_of(session))
        ]
        in_pieces(Preparing().prepare((rule, event) for event in found), store_firings, batch=FIRINGS_AT_ONCE)


def _missing(rule: Rule, now: datetime) -> list[Session]:
    assert rule.active_since is not None
    since = max(rule.active_since, now - LOOK_BACK)
    told = Firing.objects.filter(rule=rule, session=OuterRef("pk"))
    missing = Session.objects.in_state(Session.State.MISSING_END, now).filter(
        Q(missing_from__gte=since) | Q(declared_missing_at__gte=since), ~Exists(told)
    )
    return list(missing.select_related("customer", "tier", "channel", "agent").order_by("missing_from")[:AT_ONCE])


def _missing_at(session: Session, now: datetime) -> datetime:
    assert session.missing_from is not None
    return min(moment for moment in (session.missing_from, session.declared_missing_at, now) if moment is not None)
