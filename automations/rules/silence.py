"""LiveTok's webhook is silent at an hour that used to be busy. Hours are judged by their day of the week."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from automations.models import Firing, Rule, Silence, Trigger
from automations.rules.conditions import Subject
from automations.rules.firing import Event, fire
from automations.rules.matching import holds
from customers.zones import company_zone
from sessions_app.database.pieces import bulk_transaction
from sessions_app.models import WebhookEvent
from sessions_app.spool.files import spool_files
from sessions_app.webhook.playing import of_livetok

HOUR = timedelta(hours=1)
WEEKS, BUSY = 4, 10
SILENT_SINCE = "silent since"


def look_for_silence(should_stop: Callable[[], bool] = lambda: False) -> None:
    """Tell rules of a silence at its start and at its end. Safe to repeat, by any number of workers."""
    now = timezone.now()
    going_on = Silence.objects.filter(ended_at__isnull=True).order_by("started_at").first()
    rules = list(Rule.objects.active(Trigger.SILENT))
    if going_on is not None:
        heard_at = _events().filter(received_at__gt=going_on.started_at).order_by("received_at").first()
        if heard_at is not None:
            _end(going_on, heard_at, rules)
        elif not any(spool_files()):
            _go_on(going_on, now, rules)
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
    return of_livetok(WebhookEvent.objects.all()).values_list("received_at", flat=True)


def _start(last: datetime, now: datetime, rules: Iterable[Rule]) -> None:
    with bulk_transaction():
        silence, _ = Silence.objects.get_or_create(started_at=last)
        _tell(silence, now, rules)


def _go_on(silence: Silence, now: datetime, rules: Sequence[Rule]) -> None:
    """A rule whose hours begin meanwhile is told, too."""
    told = set(_told(silence, rules).values_list("rule", flat=True))
    untold = [rule for rule in rules if rule.pk not in told and holds(rule, _moment(now))]
    if untold and is_busy_hour(now):
        with bulk_transaction():
            _tell(silence, now, untold)


def _tell(silence: Silence, now: datetime, rules: Iterable[Rule]) -> None:
    """Rules for this day and hour: the moment at which the silence is noticed decides, not that of the last event."""
    for rule in rules:
        if holds(rule, _moment(now)):
            fire(rule, _event(SILENT_SINCE, silence, now))


def _end(silence: Silence, heard_at: datetime, rules: Sequence[Rule]) -> None:
    """Who was told of the start is told of the end."""
    with bulk_transaction():
        Silence.objects.filter(pk=silence.pk, ended_at__isnull=True).update(ended_at=heard_at)
        told = set(_told(silence, rules).values_list("rule", flat=True))
        for rule in rules:
            if rule.pk in told:
                fire(rule, _event("heard again after", silence, heard_at))


def _told(silence: Silence, rules: Sequence[Rule]) -> "QuerySet[Firing]":
    return Firing.objects.filter(rule__in=[rule.pk for rule in rules], subject=_subject(SILENT_SINCE, silence))


def _moment(now: datetime) -> Subject:
    return Subject(now.astimezone(company_zone()))


def _subject(what: str, silence: Silence) -> str:
    return f"{what} {silence.started_at.isoformat()}"


def _event(what: str, silence: Silence, happened_at: datetime) -> Event:
    since = silence.started_at.astimezone(company_zone())
    words = {"event.label": f"LiveTok's webhook: {what} {since:%A %H:%M}"}
    return Event(_subject(what, silence), happened_at, values=words)
