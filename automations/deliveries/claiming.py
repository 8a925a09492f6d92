"""Which deliveries are sent next, and by whom: leases, by the database's clock."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from automations.models import Attempt, Delivery, Destination
from sessions_app.database.pieces import bulk_transaction

# A worker that was killed has its deliveries taken up that long afterwards. No attempt takes as long.
LEASE = timedelta(seconds=60)

State = Delivery.State


@dataclass(frozen=True)
class Claim:
    """A delivery that is ours to send until its lease ends."""

    delivery: Delivery
    lease: uuid.UUID


def claim(most: int) -> list[Claim]:
    """Up to `most` deliveries that are due, each destination within what it takes at once and in a second.

    Paused destinations have none. Of one session's deliveries to a destination, the earliest unfinished alone is due.
    """
    if most <= 0 or not due().exists():
        return []
    claims: list[Claim] = []
    with bulk_transaction():
        now = database_now()
        _finish_what_may_be_over(now)
        wanted = Destination.objects.filter(Exists(due().filter(destination=OuterRef("pk"))))
        for destination in _locked(wanted):
            free = min(most - len(claims), _room_of(destination, now))
            if free > 0:
                claims += _lease(due().filter(destination=destination).order_by("next_attempt_at", "pk")[:free], now)
    return claims


def due() -> QuerySet[Delivery]:
    """Unfinished ones whose time has come, or whose lease is over."""
    earlier = Delivery.objects.filter(
        destination=OuterRef("destination"),
        session=OuterRef("session"),
        finished_at__isnull=True,
        pk__lt=OuterRef("pk"),
    )
    return Delivery.objects.filter(
        Q(state=State.WAITING, next_attempt_at__lte=Now()) | Q(state=State.SENDING, lease_until__lte=Now()),
        ~Exists(earlier),
        finished_at__isnull=True,
        destination__paused_at__isnull=True,
    )


def _locked(destinations: QuerySet[Destination]) -> Sequence[Destination]:
    """Those that no other worker claims for now. The one that waited longest comes first."""
    return list(destinations.order_by("pk").select_for_update(skip_locked=True, of=("self",)))


def _room_of(destination: Destination, now: datetime) -> int:
    """How many more it takes now."""
    under_way = Delivery.objects.filter(destination=destination, state=State.SENDING, lease_until__gt=now).count()
    second = now - timedelta(seconds=1)
    lately = Attempt.objects.filter(delivery__destination=destination, started_at__gt=second).count()
    return min(destination.at_once - under_way, destination.per_second - lately - under_way)


def _lease(deliveries: QuerySet[Delivery], now: datetime) -> list[Claim]:
    claims = []
    for delivery in deliveries.select_related("destination", "session"):
        lease = uuid.uuid4()
        claims.append(Claim(delivery, lease))
        Delivery.objects.filter(pk=delivery.pk).update(
            state=State.SENDING, lease=lease, lease_until=now + LEASE, attempts_made=F("attempts_made") + 1
        )
        delivery.attempts_made += 1
    return claims


def _finish_what_may_be_over(now: datetime) -> None:
    """What is too late is skipped. A WhatsApp message of a worker that died may have been sent, and is not repeated."""
    unfinished = Delivery.objects.filter(finished_at__isnull=True)
    late = unfinished.filter(not_after__lt=now).exclude(state=State.SENDING, lease_until__gt=now)
    late.update(state=State.SKIPPED, finished_at=now, lease=None, lease_until=None)
    unsure = unfinished.filter(destination__kind=Destination.Kind.WHATSAPP, state=State.SENDING, lease_until__lte=now)
    unsure.update(state=State.UNKNOWN, finished_at=now, lease=None, lease_until=None)


def database_now() -> datetime:
    """By the clock that all workers share. To be asked while there is a destination."""
    now: datetime = Destination.objects.annotate(now=Now()).values_list("now", flat=True)[0]
    return now
