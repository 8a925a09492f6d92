"""What followed a session, for its page: which rules fired, what they sent, and why the others did not."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from automations.facts import rule_page
from automations.models import Delivery, Firing, Occurrence, Rule, Trigger
from automations.rules.conditions import failed_condition
from automations.rules.matching import conditions_of, happened_at, subject_of, triggers_of
from automations.rules.usage_alerts import reached, uses_of
from automations.wording import STATE_KINDS, STATES, kept_link
from customers.history import moment_words
from customers.limits import Limit
from sessions_app.models import Session
from sessions_app.reports.parts import Part
from sessions_app.wording import short_number, used_number

WAITS = "It waits to be judged by the worker."
CHANGED = "It would fire as both are now: the rule, or the session, was changed afterwards."


@dataclass(frozen=True)
class Sent:
    """A delivery in words."""

    delivery: Delivery
    state_words: str
    state_kind: str
    kept: str


@dataclass(frozen=True)
class Line:
    """A rule, and what it did. `why_not` are sentences where it did not fire, `note` is one where it did."""

    rule: Rule
    page: str
    fired_at: datetime | None = None
    threshold: int = 0
    sent: Sequence[Sent] = ()
    note: str = ""
    why_not: Sequence[str] = field(default_factory=list)


def what_followed(session: Session, user: Any) -> Part | None:
    """The part of a session's page, for staff who may see rules; none where no rule is on and none fired."""
    if not user.has_perm("automations.view_rule"):
        return None
    firings = list(Firing.objects.filter(session=session).select_related("rule").order_by("fired_at", "pk"))
    has_fired = {firing.rule_id for firing in firings}
    of_sessions = Rule.objects.filter(Q(is_active=True) | Q(pk__in=has_fired)).exclude(trigger=Trigger.SILENT)
    rules = list(of_sessions.prefetch_related("tiers", "channels", "agents", "customers"))
    if not rules:
        return None
    sent = _sent_by(firings)
    lines = [_fired(firing, sent[firing.pk]) for firing in firings]
    lines += _not_fired([rule for rule in rules if rule.pk not in has_fired], session)
    may_see = user.has_perm("automations.view_delivery")
    return Part("automations/what_followed.html", {"lines": lines, "may_see_deliveries": may_see})


def _sent_by(firings: Iterable[Firing]) -> Mapping[int, list[Sent]]:
    found: dict[int, list[Sent]] = defaultdict(list)
    deliveries = Delivery.objects.filter(firing__in=[firing.pk for firing in firings]).select_related("destination")
    for delivery in deliveries.defer("body").order_by("pk"):
        assert delivery.firing_id is not None
        words, kind = STATES[delivery.state], STATE_KINDS.get(delivery.state, "")
        kept = kept_link(delivery.kept_value, delivery.kept_link) if delivery.kept_value else ""
        found[delivery.firing_id].append(Sent(delivery, words, kind, kept))
    return found


def _fired(firing: Firing, sent: Sequence[Sent]) -> Line:
    rule = firing.rule
    note = ""
    if firing.awaits_digest:
        note = "It fired too often for people at that time: this one is told of with others, in one message."
    elif not sent:
        note = "Nothing of it is kept: it was told of with others, or its deliveries were deleted by their age."
    return Line(rule, rule_page(rule.pk), firing.fired_at, firing.threshold, sent, note)


def _not_fired(rules: Sequence[Rule], session: Session) -> list[Line]:
    if not rules:
        return []
    triggers = triggers_of(session) | {Trigger.USAGE_REACHED}
    limits = _limits(session) if any(rule.trigger == Trigger.USAGE_REACHED for rule in rules) else []
    told = _told(rules, limits)
    named = {"session_id": session.session_id, "is_test": session.is_test, "number": session.number}
    otherwise = WAITS if Occurrence.objects.filter(**named).exists() else CHANGED
    lines = []
    for rule in rules:
        because = _conditions_words(rule, session, triggers)
        if not because and rule.trigger == Trigger.USAGE_REACHED:
            because = _usage_words(rule, limits, told)
        lines.append(Line(rule, rule_page(rule.pk), why_not=because or [otherwise]))
    return lines


def _conditions_words(rule: Rule, session: Session, triggers: Collection[str]) -> list[str]:
    """As `matching.why_not`, and whether it was off then; nothing where it was on and all conditions hold."""
    if rule.trigger not in triggers:
        return [f"It waits for this: {rule.get_trigger_display()}."]
    failed = failed_condition(conditions_of(rule), subject_of(session))
    return _off_then(rule, session) + ([failed] if failed else [])


def _off_then(rule: Rule, session: Session) -> list[str]:
    at = happened_at(rule.trigger, session)
    if rule.active_since is None or at is None or at >= rule.active_since:
        return []
    return [f"It was off then, and was switched on later, at {moment_words(rule.active_since)}."]


@dataclass(frozen=True)
class _LimitNow:
    subject: str
    words: str
    use: Any


def _limits(session: Session) -> list[_LimitNow]:
    if session.is_test:
        return []
    found: list[_LimitNow] = []
    seen: set[Limit] = set()
    for subject, standing, use in uses_of(session):
        limit = use.limit
        if use.share is not None and limit.period:
            scope = f" on {limit.channel}" if limit.channel else ""
            scope += f" with agent {limit.agent_words}" if limit.agent else ""
            used = f"{used_number(use.used or 0)} of {short_number(limit.amount or 0)}"
            # Of a session over midnight, an earlier period is the second of its limit.
            earlier = f" from {standing.spans[limit.period].first_day:%-d %B}" if limit in seen else ""
            seen.add(limit)
            words = f"{used} {limit.metric.words} a {limit.period}{earlier}{scope} ({round(use.share * 100)} %)"
            found.append(_LimitNow(subject, words, use))
    return found


def _told(rules: Sequence[Rule], limits: Sequence[_LimitNow]) -> dict[tuple[int, str], int]:
    """The highest threshold that was told of each limit, by rule and subject."""
    if not limits:
        return {}
    of_usage = [rule.pk for rule in rules if rule.trigger == Trigger.USAGE_REACHED]
    found = Firing.objects.filter(rule__in=of_usage, subject__in=[limit.subject for limit in limits])
    # Of two, the higher comes last and stands.
    return {(firing.rule_id, firing.subject): firing.threshold for firing in found.order_by("threshold")}


def _usage_words(rule: Rule, limits: Sequence[_LimitNow], told: Mapping[tuple[int, str], int]) -> list[str]:
    """Which limits stand where, as they are counted now; empty where one should have been told of."""
    at = " and ".join(f"{threshold} %" for threshold in sorted(rule.thresholds))
    if not limits:
        return [f"It tells at {at} of a limit, and there is none in a period."]
    words, untold = [f"It tells at {at} of a limit. In the periods of this session, as they are counted now:"], False
    for limit in limits:
        before = told.get((rule.pk, limit.subject), 0)
        untold = untold or reached(rule, limit.use) > before
        words.append(limit.words + (f", told at {before} % on another session" if before else "") + ".")
    return [] if untold else words
