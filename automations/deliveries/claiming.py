"""Which deliveries are sent next, and by whom: leases, by the database's clock."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from automations.models import Attempt, Delivery, Destination
from sessions_app.database.pieces import bulk_transaction

# A worker that was killed has its deliveries taken up that long afterwards. No attempt takes as long.
LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
# The first, and one after each wait of `results.AGAIN_AFTER`. A lease that ended without a result is one, too.
MOST_ATTEMPTS = 7
NO_RESULT = (
    f"No result came within {LEASE.total_seconds():.0f} seconds: the worker that sent it was ended, or was cut off "
    "from the database."
)

State = Delivery.State


@dataclass(frozen=True)
class Claim:
    """A delivery that is ours to send until its lease ends."""

    delivery: Delivery
    lease: uuid.UUID


def claim(most: int, *, kept_free: int = 0) -> list[Claim]:
    """Up to `most` deliveries that are due, each destination within what it takes at once and in a second.

    Destinations that failed last get none of the last `kept_free`: who does not answer takes nobody else's place.
    Paused destinations have none. Of one session's deliveries to a destination, the earliest unfinished alone is due.
    """
    if most <= 0:
        return []
    # Most looks find nothing: so all is read first, which takes no turn.
    is_something_over = _late().exists() or _unsure().exists() or _lost().exists()
    wanted = list(_open_destinations().values_list("pk", flat=True))
    if not (wanted or is_something_over):
        return []
    with bulk_transaction():
        if is_something_over:
            _finish_what_may_be_over()
        # Of two workers, one claims for a destination. No key: whoever stores a delivery for it holds that.
        locked = Destination.objects.filter(pk__in=wanted).order_by("pk")
        locked = locked.select_for_update(skip_locked=True, of=("self",), no_key=True)
        found = _with_room(list(locked.values_list("pk", flat=True)))
        return _lease(_shared_out(found, most, kept_free))


def due() -> QuerySet[Delivery]:
    """Unfinished ones whose time has come, or whose lease is over."""
    earlier = Delivery.objects.filter(
        destination=OuterRef("destination"),
        session=OuterRef("session"),
        finished_at__isnull=True,
        pk__lt=OuterRef("pk"),
    )
    return Delivery.objects.filter(
        Q(state=State.WAITING) | Q(state=State.SENDING, lease_until__lte=Now()),
        ~Exists(earlier),
        next_attempt_at__lte=Now(),
        finished_at__isnull=True,
    )


def _open_destinations() -> QuerySet[Destination]:
    """Those for which something is due, and which take one more now."""
    return _rooms().filter(Exists(due().filter(destination=OuterRef("pk"))), Q(at_once__gt=F("under_way"), room__gt=0))


def _rooms() -> "QuerySet[Destination]":
    """Unpaused ones, with how many are `under_way`, and the `room` that is left within this second."""
    sending = Delivery.objects.filter(destination=OuterRef("pk"), state=State.SENDING, lease_until__gt=Now())
    # A lease tells when it began.
    begun = sending.filter(lease_until__gt=Now() + LEASE - SECOND)
    through = Attempt.objects.filter(started_at__gt=Now() - SECOND, delivery__destination=OuterRef("pk"))
    annotated = Destination.objects.filter(paused_at__isnull=True).annotate(
        under_way=_count(sending, "destination"),
        room=F("per_second") - _count(begun, "destination") - _count(through, "delivery__destination"),
    )
    return annotated.order_by("pk")


def _count(rows: QuerySet[Any], by: str) -> Coalesce:
    return Coalesce(Subquery(rows.order_by().values(by).annotate(count=Count("pk")).values("count")), 0)


def _with_room(pks: Collection[int]) -> list[Destination]:
    """Asked again once they are locked. Who failed last comes last, else who has waited longest comes first."""
    oldest = due().filter(destination=OuterRef("pk")).order_by("next_attempt_at").values("next_attempt_at")[:1]
    rooms = _rooms().filter(pk__in=pks).annotate(oldest=Subquery(oldest)).filter(oldest__isnull=False)
    return sorted(rooms, key=lambda destination: (destination.failures_in_row > 0, destination.oldest))  # type: ignore[attr-defined]


def _shared_out(destinations: list[Destination], most: int, kept_free: int) -> list[Delivery]:
    found: list[Delivery] = []
    for destination in destinations:
        free = most - len(found) - (kept_free if destination.failures_in_row else 0)
        free = min(free, destination.at_once - destination.under_way, destination.room)  # type: ignore[attr-defined]
        if free > 0:
            some = due().filter(destination=destination).order_by("next_attempt_at", "pk")[:free]
            for delivery in some:
                delivery.destination = destination
                found.append(delivery)
    return found


def _lease(deliveries: list[Delivery]) -> list[Claim]:
    if not deliveries:
        return []
    _note_no_result([delivery for delivery in deliveries if delivery.state == State.SENDING])
    lease = uuid.uuid4()
    Delivery.objects.filter(pk__in=[delivery.pk for delivery in deliveries]).update(
        state=State.SENDING, lease=lease, lease_until=Now() + LEASE, attempts_made=F("attempts_made") + 1
    )
    for delivery in deliveries:
        delivery.attempts_made += 1
    return [Claim(delivery, lease) for delivery in deliveries]


def _finish_what_may_be_over() -> None:
    """What is too late is skipped. A WhatsApp message of a worker that died may have been sent, and is not repeated.

    Locked one by one: two workers that finish the same would wait for each other.
    """
    for rows, state in ((_late(), State.SKIPPED), (_unsure(), State.UNKNOWN)):
        found = list(rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True))
        if found:
            Delivery.objects.filter(pk__in=found).update(state=state, finished_at=Now(), lease=None, lease_until=None)
    lost = list(_lost().select_for_update(skip_locked=True, of=("self",)))
    if lost:
        _note_no_result(lost)
        Delivery.objects.filter(pk__in=[delivery.pk for delivery in lost]).update(
            state=State.FAILED, finished_at=Now(), lease=None, lease_until=None
        )


def _note_no_result(deliveries: Collection[Delivery]) -> None:
    """Of those whose lease ended."""
    attempts = []
    for delivery in deliveries:
        assert delivery.lease_until is not None
        attempts.append(
            Attempt(
                delivery=delivery,
                started_at=delivery.lease_until - LEASE,
                seconds=LEASE.total_seconds(),
                error=NO_RESULT,
            )
        )
    Attempt.objects.bulk_create(attempts)


def _late() -> QuerySet[Delivery]:
    """Of a paused destination nothing is: `pausing.resume` gives its messages the time that they were held up."""
    unfinished = Delivery.objects.filter(
        finished_at__isnull=True, not_after__lt=Now(), destination__paused_at__isnull=True
    )
    return unfinished.filter(Q(state=State.WAITING) | Q(lease_until__lte=Now()))


def _unsure() -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        destination__kind=Destination.Kind.WHATSAPP, state=State.SENDING, lease_until__lte=Now()
    )


def _lost() -> QuerySet[Delivery]:
    """Those whose last attempt brought no result either: what ends its worker would go out again without end."""
    return Delivery.objects.filter(
        state=State.SENDING, lease_until__lte=Now(), attempts_made__gte=MOST_ATTEMPTS
    ).exclude(destination__kind=Destination.Kind.WHATSAPP)


def database_now() -> datetime:
    """By the clock that all workers share. To be asked while there is a destination."""
    now: datetime = Destination.objects.annotate(now=Now()).values_list("now", flat=True)[0]
    return now
