"""What fired too often for people is told in one message."""

from collections.abc import Callable
from datetime import datetime

from django.utils import timezone

from automations.apart import each_alone, leave_to_log
from automations.deliveries.making import DigestLine, make_digest
from automations.facts import address_of_this, deliveries_of_rule, page_of
from automations.models import Destination, Firing, Rule
from automations.rules.firing import IN_TIME
from customers.zones import company_zone
from sessions_app.database.pieces import bulk_transaction

MOST_LINES = 50


def send_digests(should_stop: Callable[[], bool] = lambda: False) -> None:
    """Tell what has waited for ten minutes, rule by rule. Safe to repeat, by any number of workers."""
    now = timezone.now()
    for rule in Rule.objects.filter(firings__awaits_digest=True).distinct():
        if should_stop():
            return
        each_alone([rule], lambda rules: _send_one(rules[0], now), leave_to_log("a digest cannot be sent"))


def _send_one(rule: Rule, now: datetime) -> None:
    with bulk_transaction():
        Rule.objects.select_for_update(of=("self",), no_key=True).get(pk=rule.pk)
        waiting = Firing.objects.filter(rule=rule, awaits_digest=True).order_by("pk")
        first = waiting.first()
        if first is not None and first.fired_at <= now - IN_TIME:
            _send(rule, list(waiting.select_related("session__customer")), first.fired_at)


def _send(rule: Rule, firings: list[Firing], since: datetime) -> None:
    lines = [DigestLine(f"“{rule.name}” fired {len(firings)} times more since {_clock(since)}:")]
    lines += [_line(firing) for firing in firings[:MOST_LINES]]
    if len(firings) > MOST_LINES:
        lines.append(DigestLine(f"and {len(firings) - MOST_LINES} more:", address_of_this(deliveries_of_rule(rule.pk))))
    told: set[int] = set()
    for action in rule.actions.select_related("destination"):
        destination = action.destination
        # WhatsApp's templates are of one session; what waits for one longer is too late for it.
        is_told = destination.pk in told or not (destination.is_chat or destination.kind == Destination.Kind.EMAIL)
        if not is_told:
            told.add(destination.pk)
            make_digest(destination, action, lines, timezone.now())
    Firing.objects.filter(pk__in=[firing.pk for firing in firings]).update(awaits_digest=False)


def _line(firing: Firing) -> DigestLine:
    session = firing.session
    if session is None:
        return DigestLine(f"{_clock(firing.fired_at)} {firing.subject}")
    name = session.customer.name if session.customer and session.customer.name else session.number_received
    words = f"{_clock(firing.fired_at)} {name or 'unknown caller'}"
    return DigestLine(words, page_of("reports:session", session.pk))


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(company_zone()):%H:%M}"
