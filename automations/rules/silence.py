"""LiveTok's webhook is silent at an hour that used to be busy. Hours are judged by their day of the week."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from automations.models import Rule, Silence, Trigger
from automations.rules.conditions import Subject, failed_condition
from automations.rules.firing import Event, fire
from automations.rules.matching import conditions_of
from customers.zones import company_zone
from sessions_app.database.pieces import bulk_transaction
from sessions_app.models import WebhookEvent
from sessions_app.spool.files import spool_files

HOUR = timedelta(hours=1)
WEEKS, BUSY = 4, 10


def look_for_silence(should_stop: Callable[[], bool] = lambda: False) -> None:
    """Tell rules of a silence at its start and at its end. Safe to repeat, by any number of workers."""
    now = timezone.now()
    going_on = Silence.objects.filter(ended_at__isnull=True).order_by("started_at").first()
    rules = list(Rule.objects.active(Trigger.SILENT))
    if going_on is not None:
        heard_at = _events().filter(received_at__gt=going_on.started_at).order_by("received_at").first()
        if heard_at is not None:
            _end(going_on, heard_at, rules)
    elif rules:
        last = _events().order_by("-received_at").first()
        # What waits on disk came meanwhile, and is stored soon.
        if last is not None and now - last >= HOUR and is_busy_hour(now) and not any(spool_files()):
            _start(last, now, rules)


def is_busy_hour(now: datetime) -> bool:
    """Whether the hour before the same time of day had ten events or more, in each of the last four weeks."""
    local = now.astimezone(company_zone())
    for week in range(1, WEEKS + 1):
        until = (local - timedelta(weeks=week)).astimezone(company_zone())
        events = WebhookEvent.objects.filter(received_at__gt=until - HOUR, received_at__lte=until)
        if events[:BUSY].count() < BUSY:
            return False
    return True


def _events() -> "QuerySet[WebhookEvent, datetime]":
    return WebhookEvent.objects.values_list("received_at", flat=True)


def _start(last: datetime, now: datetime, rules: Iterable[Rule]) -> None:
    with bulk_transaction():
        silence, is_new = Silence.objects.get_or_create(started_at=last)
        if is_new:
            for rule in _wanting(silence, rules):
                fire(rule, _event("silent since", silence, now))


def _end(silence: Silence, heard_at: datetime, rules: Iterable[Rule]) -> None:
    with bulk_transaction():
        Silence.objects.filter(pk=silence.pk, ended_at__isnull=True).update(ended_at=heard_at)
        for rule in _wanting(silence, rules):
            fire(rule, _event("heard again after", silence, heard_at))


def _wanting(silence: Silence, rules: Iterable[Rule]) -> Iterator[Rule]:
    """Rules for that day and hour: the last event decides, so that who is told of the start is told of the end."""
    at = Subject(silence.started_at.astimezone(company_zone()))
    return (rule for rule in rules if not failed_condition(conditions_of(rule), at))


def _event(what: str, silence: Silence, happened_at: datetime) -> Event:
    since = silence.started_at.astimezone(company_zone())
    words = {"event.label": f"LiveTok's webhook: {what} {since:%A %H:%M}"}
    return Event(f"{what} {silence.started_at.isoformat()}", happened_at, values=words)
