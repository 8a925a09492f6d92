"""Rules fire: each once for each subject, with a delivery for each of its actions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from django.utils import timezone

from automations.deliveries.making import Made, make, store_all
from automations.facts import session_facts, values_of
from automations.models import Firing, Rule
from automations.rules.once import insert_new
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


@dataclass(frozen=True)
class Prepared:
    """A firing with all that follows from it, nothing of it stored yet."""

    firing: Firing
    made: Sequence[Made]


def event_of(session: Session, happened_at: datetime) -> Event:
    return Event(f"session {session.pk}", happened_at, session)


def fire(rule: Rule, event: Event) -> bool:
    """Fire the rule, unless it did on this subject. To be called in a transaction. Returns whether it did."""
    return store_firings(Preparing().prepare([(rule, event)])) == 1


class Preparing:
    """Fills in what follows from events. It only reads, so that whoever stores it writes for a moment alone.

    One for some events at a time: it remembers what it read.
    """

    def __init__(self) -> None:
        self._now = timezone.now()
        self._thresholds: dict[tuple[int, str], int] = {}
        self._lately: dict[int, int] = {}
        self._facts: dict[int, dict[str, object]] = {}

    def prepare(self, found: Iterable[tuple[Rule, Event]]) -> list[Prepared]:
        """A rule sees only what happened since it was switched on. What repeats itself among the events is left out."""
        return [self._prepared(rule, event) for rule, event in found if self._is_news(rule, event)]

    def _is_news(self, rule: Rule, event: Event) -> bool:
        if rule.active_since is None or event.happened_at < rule.active_since:
            return False
        subject = rule.pk, event.subject
        if self._thresholds.get(subject, -1) >= event.threshold:
            return False
        self._thresholds[subject] = event.threshold
        return True

    def _prepared(self, rule: Rule, event: Event) -> Prepared:
        firing = Firing(
            rule=rule,
            session=event.session,
            subject=event.subject,
            threshold=event.threshold,
            fired_at=self._now,
        )
        actions = list(rule.actions.all())
        if any(action.destination.is_for_people for action in actions) and self._are_too_many(rule):
            firing.awaits_digest = True
            actions = [action for action in actions if not action.destination.is_for_people]
        session, happened_at = event.session, event.happened_at
        values = values_of(rule, session, happened_at, key=_key(firing), facts=self._facts_of(session))
        values |= event.values
        made = [make(action, values, happened_at=happened_at, session=session, firing=firing) for action in actions]
        return Prepared(firing, made)

    def _are_too_many(self, rule: Rule) -> bool:
        """Counts those of other workers only as far as they are stored: a few more are no harm."""
        if rule.pk not in self._lately:
            since = self._now - IN_TIME
            told = Firing.objects.filter(rule=rule, fired_at__gt=since, awaits_digest=False)
            self._lately[rule.pk] = told[:MOST_FOR_PEOPLE].count()
        if self._lately[rule.pk] >= MOST_FOR_PEOPLE:
            return True
        self._lately[rule.pk] += 1
        return False

    def _facts_of(self, session: Session | None) -> Mapping[str, object]:
        if session is None:
            return {}
        if session.pk not in self._facts:
            self._facts[session.pk] = session_facts(session)
        return self._facts[session.pk]


def store_firings(prepared: Sequence[Prepared]) -> int:
    """Store those that are new, with their deliveries. To be called in a transaction. Returns how many were new."""
    news = _without_lower_thresholds(prepared)
    new = insert_new([one.firing for one in news])
    made = []
    for one in news:
        if one.firing.pk is not None:
            made += [_anew(of_action, one.firing) for of_action in one.made]
    store_all(made)
    return new


def _anew(made: Made, firing: Firing) -> Made:
    """As if it was never stored: of a transaction that was rolled back, both have ids that are gone."""
    made.delivery.pk, made.delivery.firing = None, firing
    return made


def _without_lower_thresholds(prepared: Sequence[Prepared]) -> Sequence[Prepared]:
    """Another worker may have told of a higher one since these were prepared. The rules are locked: it may be at it."""
    of_usage = [one.firing for one in prepared if one.firing.threshold]
    if not of_usage:
        return prepared
    rules = Rule.objects.filter(pk__in={firing.rule_id for firing in of_usage}).order_by("pk")
    locked = list(rules.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True))
    told = Firing.objects.filter(rule__in=locked, subject__in={firing.subject for firing in of_usage})
    highest = {
        (rule, subject): threshold
        for rule, subject, threshold in told.order_by("threshold").values_list("rule", "subject", "threshold")
    }
    return [
        one
        for one in prepared
        if not one.firing.threshold or one.firing.threshold > highest.get((one.firing.rule_id, one.firing.subject), 0)
    ]


def _key(firing: Firing) -> str:
    """The event's own, known before anything is stored: the same however often it is prepared."""
    return sha256(f"{firing.rule_id} {firing.threshold} {firing.subject}".encode()).hexdigest()[:32]
