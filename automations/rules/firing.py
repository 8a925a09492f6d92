"""A rule fires: once for each subject, with a delivery for each of its actions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from automations.deliveries.making import make_delivery
from automations.facts import values_of
from automations.models import Firing, Rule
from sessions_app.models import Session

# Who reads messages is told of so many of one rule in that time; the rest comes as one message.
MOST_FOR_PEOPLE = 20
IN_TIME = timedelta(minutes=10)


@dataclass(frozen=True)
class Event:
    """What a rule fires on. `subject` names it for good; `happened_at` is by our clock.

    `values` are further ones for texts, by the names of `texts.names`.
    """

    subject: str
    happened_at: datetime
    session: Session | None = None
    threshold: int = 0
    values: Mapping[str, object] = field(default_factory=dict)


def event_of(session: Session, happened_at: datetime) -> Event:
    return Event(f"session {session.pk}", happened_at, session)


def fire(rule: Rule, event: Event) -> bool:
    """Fire the rule, unless it did on this subject. To be called in a transaction. Returns whether it did.

    A rule sees only what happened since it was switched on.
    """
    if rule.active_since is None or event.happened_at < rule.active_since:
        return False
    now = timezone.now()
    firing, is_new = Firing.objects.get_or_create(
        rule=rule,
        subject=event.subject,
        threshold=event.threshold,
        defaults={"session": event.session, "fired_at": now},
    )
    if not is_new:
        return False
    actions = list(rule.actions.all())
    for_people = [action for action in actions if action.destination.is_for_people]
    if for_people and _are_too_many(firing, now):
        Firing.objects.filter(pk=firing.pk).update(awaits_digest=True)
        actions = [action for action in actions if action not in for_people]
    values = values_of(rule, event.session, event.happened_at, key=f"{rule.pk}-{firing.pk}") | dict(event.values)
    for action in actions:
        make_delivery(action, values, happened_at=event.happened_at, session=event.session, firing=firing)
    return True


def _are_too_many(firing: Firing, now: datetime) -> bool:
    lately = Firing.objects.filter(rule=firing.rule, fired_at__gt=now - IN_TIME, awaits_digest=False)
    return lately.exclude(pk=firing.pk).count() >= MOST_FOR_PEOPLE
