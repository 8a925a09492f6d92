"""What follows the demo's last sessions: rules with what they did, at places that do not exist. Nothing is sent.

Every destination is paused, and their hosts are of the domain `.example`, which leads nowhere (RFC 2606, 2).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from automations.deliveries.making import make
from automations.facts import values_of
from automations.models import Action, Attempt, Delivery, Destination, Firing, Rule, Source, Trigger
from automations.rules.firing import Event, event_of
from automations.rules.matching import happened_at, why_not
from automations.rules.usage_alerts import usage_events
from automations.texts.destinations import SECRET_ADDRESSES
from automations.texts.messages import DEFAULT_MAIL, DEFAULT_SUBJECT
from automations.texts.presets import SLACK, ZENDESK
from customers.models import Tier
from sessions_app.demo.rhythm import dice
from sessions_app.models import Session

LOOK_BACK = timedelta(days=7)
MOST_LOOKED_AT, MOST_FIRINGS, LOOKED_AT_FOR_USAGE = 1500, 12, 150
PAUSED = "This is a demo: nothing is sent."
DESK = "https://desk.example"
State = Delivery.State


@dataclass(frozen=True)
class Outcome:
    """What came of a delivery. `statuses`: of its attempts, None where no answer came."""

    state: State
    statuses: Sequence[int | None]


DELIVERED = Outcome(State.DELIVERED, [201])
# For each destination, in turn.
OUTCOMES = {
    "Sales in Slack": (DELIVERED, DELIVERED, Outcome(State.DELIVERED, [429, 200]), Outcome(State.SKIPPED, [503])),
    "Help desk": (Outcome(State.WAITING, [503]), DELIVERED, DELIVERED, Outcome(State.FAILED, [503, 422]), DELIVERED),
    "Mails": (DELIVERED,),
    "WhatsApp": (Outcome(State.UNKNOWN, [None]), DELIVERED, DELIVERED),
}
ANSWERS = {
    422: '{"error": "RecordInvalid", "description": "Requester: the e-mail address is not valid"}',
    429: "Too Many Requests",
    503: "Service Unavailable",
}
NO_ANSWER = "The request went out to livetok.example, but no whole answer came in time."


def make_followed(seed: int, until: datetime) -> None:
    """Rules, their destinations and a source, and what followed the sessions of the last week before `until`."""
    rng = dice(seed, "followed")
    rules = _make_rules(until)
    _make_source()
    since = until - LOOK_BACK
    related = Session.objects.select_related("customer", "tier", "channel", "agent")
    newest = list(
        related.filter(started_at__gt=since, started_at__lte=until, is_test=False).order_by("-started_at", "-pk")[
            :MOST_LOOKED_AT
        ]
    )
    for rule in rules:
        found = list(islice(_fired_on(rule, newest, since, until), MOST_FIRINGS))
        for place, event in enumerate(found):
            _fire(rng, rule, event, place)


def _fired_on(rule: Rule, newest: Sequence[Session], since: datetime, until: datetime) -> Iterator[Event]:
    """The newest first, each subject once."""
    told: set[str] = set()
    for session in newest if rule.trigger != Trigger.USAGE_REACHED else newest[:LOOKED_AT_FOR_USAGE]:
        at = happened_at(rule.trigger, session)
        if at is None or not since <= at <= until:
            continue
        if rule.trigger == Trigger.USAGE_REACHED:
            events = [event for _, event in usage_events([rule], session, at)]
        else:
            events = [] if why_not(rule, session) else [event_of(session, at)]
        for event in events:
            if event.subject not in told:
                told.add(event.subject)
                yield event


def _fire(rng: Random, rule: Rule, event: Event, place: int) -> None:
    fired_at = event.happened_at + timedelta(seconds=rng.uniform(0.3, 1.5))
    firing = Firing.objects.create(
        rule=rule, session=event.session, subject=event.subject, threshold=event.threshold, fired_at=fired_at
    )
    key = f"{rng.getrandbits(128):032x}"
    values = {**values_of(rule, event.session, event.happened_at, key=key), **event.values}
    for action in rule.actions.select_related("destination"):
        outcomes = OUTCOMES[action.destination.name]
        made = make(action, values, happened_at=event.happened_at, session=event.session, firing=firing)
        # What cannot be filled in failed at once.
        outcome = Outcome(State.FAILED, ()) if made.error else outcomes[place % len(outcomes)]
        _keep(rng, made.delivery, outcome, made.error, fired_at)


def _keep(rng: Random, delivery: Delivery, outcome: Outcome, error: str, at: datetime) -> None:
    is_mail = delivery.destination.kind == Destination.Kind.EMAIL
    statuses = [250] if is_mail and not error else list(outcome.statuses)
    tried = [at + timedelta(minutes=2 * place, seconds=rng.uniform(0.1, 0.9)) for place in range(len(statuses) or 1)]
    delivery.state, delivery.attempts_made = outcome.state, len(statuses)
    delivery.created_at, delivery.next_attempt_at = at, tried[-1]
    delivery.finished_at = None if outcome.state == State.WAITING else tried[-1]
    if error:
        delivery.body = b""
    answer = json.dumps({"ticket": {"id": rng.randrange(40_000, 50_000)}})
    if outcome.state == State.DELIVERED and delivery.kept_pointer:
        delivery.kept_value = str(json.loads(answer)["ticket"]["id"])
        delivery.kept_link = f"{DESK}/agent/tickets/{delivery.kept_value}"
    delivery.save()
    if error:
        Attempt.objects.create(delivery=delivery, started_at=at, seconds=0, error=error[:500])
    for moment, status in zip(tried, statuses, strict=False):
        Attempt.objects.create(
            delivery=delivery,
            started_at=moment,
            seconds=10.0 if status is None else round(rng.uniform(0.05, 0.8), 3),
            status=status,
            error=NO_ANSWER if status is None else "",
            answer=ANSWERS.get(status or 0, answer if status == 201 and delivery.kept_pointer else ""),
        )


def _make_rules(until: datetime) -> list[Rule]:
    paused: dict[str, Any] = {"paused_at": until, "paused_because": PAUSED}

    def destination(name: str, kind: str, address: str = "", **fields: Any) -> Destination:
        return Destination.objects.create(name=name, kind=kind, address=address, **paused, **fields)

    slack = SECRET_ADDRESSES["slack"].replace("hooks.slack.com", "chat.example")
    chat = destination("Sales in Slack", "slack", slack, owner_email="it@company.example")
    desk = destination("Help desk", "http", f"{DESK}/api/v2/tickets.json", preset=ZENDESK.slug)
    mails = destination("Mails", "email")
    whatsapp = destination("WhatsApp", "whatsapp", "https://livetok.example/v1")
    mail = {"subject": DEFAULT_SUBJECT, "text": DEFAULT_MAIL}
    ticket = {"body": ZENDESK.body, "kept_pointer": ZENDESK.kept_pointer}
    thanks = {
        "recipient": "{{ session.number }}",
        "template_name": "thanks_for_your_call",
        "text": "{{ customer.name | default: 'there' }}",
    }
    best = Tier.objects.filter(customers__isnull=False).order_by("-slug").distinct().first()
    return [
        _rule(until, "Sales hears of the best customers", Trigger.BEGAN_ALLOWED, chat, {"body": SLACK.body}, tier=best),
        _rule(
            until,
            "A ticket for each long call",
            Trigger.ENDED,
            desk,
            {**ticket, "kept_link": f"{DESK}/agent/tickets/{{{{ kept.value }}}}"},
            least_duration_seconds=300,
        ),
        _rule(until, "Thanks by WhatsApp", Trigger.ENDED, whatsapp, thanks, least_duration_seconds=900),
        _rule(until, "Denied callers", Trigger.BEGAN_DENIED, mails, {**mail, "recipient": "desk@company.example"}),
        _rule(
            until,
            "Limits that are nearly used up",
            Trigger.USAGE_REACHED,
            mails,
            {**mail, "recipient": "accounts@company.example"},
            thresholds=[80, 100],
        ),
    ]


def _rule(
    until: datetime,
    name: str,
    trigger: Trigger,
    destination: Destination,
    action: dict[str, str],
    tier: Tier | None = None,
    **conditions: Any,
) -> Rule:
    since = until - LOOK_BACK
    rule = Rule.objects.create(name=name, trigger=trigger, is_active=True, active_since=since, **conditions)
    if tier is not None:
        rule.tiers.add(tier)
    Action.objects.create(rule=rule, destination=destination, **action)
    return rule


def _make_source() -> None:
    """Off, so that nobody waits for what is not there."""
    Source.objects.create(
        name="Shop",
        address="https://shop.example/customers/{{ customer.external_id }}",
        pointers="last_order = /orders/0/title\norders_so_far = /order_count",
    )
