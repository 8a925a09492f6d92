"""A paused destination: what waits for it, what failed before it was paused, and how it goes on."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, DateTimeField, DurationField, ExpressionWrapper, F, Min, Value
from django.db.models.functions import Greatest, Now

from automations.models import Delivery, Destination

State = Delivery.State


@dataclass(frozen=True)
class Held:
    """What a destination holds up: how many wait, the oldest since when, and how many failed before it was paused."""

    waiting: int
    since: datetime | None
    failed: int


def held_by(destination: Destination) -> Held:
    """Two queries. `failed`: since the first of the failures in a row that it was paused for."""
    waiting = Delivery.objects.filter(destination=destination, finished_at__isnull=True)
    found = waiting.aggregate(count=Count("pk"), since=Min("created_at"))
    failed = 0
    if destination.failing_since is not None:
        given_up = Delivery.objects.filter(destination=destination, state=State.FAILED)
        failed = given_up.filter(finished_at__gte=destination.failing_since).count()
    return Held(found["count"], found["since"], failed)


def resume(destination: Destination) -> None:
    """Let it send again, and forget what made it fail. To be called in a transaction, with the destination locked.

    A message ages by the time in which it could have gone out: the time of the pause is added to its "not later than".
    """
    if destination.paused_at is None:
        return
    begun = Greatest(F("created_at"), Value(destination.paused_at, output_field=DateTimeField()))
    held_up = ExpressionWrapper(Now() - begun, output_field=DurationField())
    limited = Delivery.objects.filter(
        destination=destination, finished_at__isnull=True, not_after__isnull=False, created_at__lt=Now()
    )
    limited.update(not_after=ExpressionWrapper(F("not_after") + held_up, output_field=DateTimeField()))
    destination.paused_at, destination.paused_because = None, ""
    destination.failures_in_row, destination.failing_since = 0, None
    destination.save()
