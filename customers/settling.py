"""Scheduled changes that have come are written into the tier or customer: by the worker, and before any other edit.

What is decided does not wait for it (`scheduled`), nor change by it: until it is written the change itself tells what
holds, and afterwards what held before.
"""

import logging
from collections.abc import Callable, Iterable

from django.db import models
from django.utils import timezone

from customers.history import moment_words
from customers.models import Customer, CustomerChange, Tier, TierChange, TierChangeLimit, TierLimit
from customers.models.changes import Change
from customers.turns import short_transaction

logger = logging.getLogger(__name__)
KEY = ("metric", "period", "channel_id", "agent_id")
AMOUNT = ("amount", "hard")
PUT_INTO_FORCE = "Put into force at once"


def settle_due(should_stop: Callable[[], bool]) -> int:
    """Settle all that has come by our clock. Safe to be ended at any moment, and to be repeated."""
    now, settled = timezone.now(), 0
    tiers = TierChange.objects.filter(in_force_at__isnull=True, starts_at__lte=now)
    customers = CustomerChange.objects.filter(in_force_at__isnull=True, starts_at__lte=now)
    for tier_id in sorted(set(tiers.order_by().values_list("tier_id", flat=True))):
        if should_stop():
            return settled
        with short_transaction():
            for tier in Tier.objects.select_for_update(no_key=True).filter(pk=tier_id):
                settled += settle_tier(tier)
    for customer_id in sorted(set(customers.order_by().values_list("customer_id", flat=True))):
        if should_stop():
            return settled
        with short_transaction():
            found = Customer.objects.select_for_update(of=("self",), no_key=True).filter(pk=customer_id)
            settled += settle_customers(found)
    if settled:
        logger.info("scheduled changes settled", extra={"changes": settled})
    return settled


def settle_tier(tier: Tier, at_once: TierChange | None = None) -> int:
    """Write what has come into a locked tier's limits. Returns how many changes there were.

    `at_once` is one of them that nobody scheduled.
    """
    now, settled = timezone.now(), 0
    due = TierChange.objects.filter(tier=tier, in_force_at__isnull=True, starts_at__lte=now)
    # Each is locked, too: whoever cancels one at its moment locks it alone.
    for change in due.select_related("author").select_for_update(of=("self",)).order_by("starts_at"):
        stored = list(TierLimit.objects.filter(tier=tier))
        # Bulk, and so without history: the tier's own tells it.
        TierChangeLimit.objects.bulk_create(
            TierChangeLimit(change=change, before=True, **_values(row, KEY + AMOUNT)) for row in stored
        )
        _write(tier, {_key(row): row for row in stored}, change, why(change, is_scheduled=change != at_once))
        TierChange.objects.filter(pk=change.pk).update(in_force_at=now)
        settled += 1
    return settled


def _write(tier: Tier, stored: dict[tuple[object, ...], TierLimit], change: TierChange, words: str) -> None:
    wanted = {_key(row): row for row in change.limits.filter(before=False)}
    for key, limit in stored.items():
        if key not in wanted:
            _tell(limit, change, words)
            limit.delete()
    for key, row in wanted.items():
        limit = stored.get(key) or TierLimit(tier=tier, **_values(row, KEY))
        if limit.pk is None or _values(limit, AMOUNT) != _values(row, AMOUNT):
            limit.amount, limit.hard = row.amount, row.hard
            _tell(limit, change, words)
            limit.save()


def settle_customers(customers: Iterable[Customer]) -> int:
    """Write what has come into locked customers, those given included. Returns how many changes there were.

    Those who were erased stay as they are: nobody is served on their tier.
    """
    by_key = {customer.pk: customer for customer in customers}
    now, settled = timezone.now(), 0
    due = CustomerChange.objects.filter(customer__in=by_key, in_force_at__isnull=True, starts_at__lte=now)
    for change in due.select_related("author", "tier").select_for_update(of=("self",)).order_by("starts_at"):
        customer = by_key[change.customer_id]
        before = customer.tier_id
        if change.tier_id != before:
            customer.tier = change.tier
            _tell(customer, change, why(change))
            customer.save(update_fields=["tier"])
            del customer._history_date, customer._history_user, customer._change_reason  # type: ignore[attr-defined]
        CustomerChange.objects.filter(pk=change.pk).update(in_force_at=now, before=before)
        settled += 1
    return settled


def _tell(instance: models.Model, change: Change, words: str) -> None:
    """What the history says of the next save or delete: at the change's moment, by whoever scheduled it."""
    instance._history_date = change.starts_at  # type: ignore[attr-defined]
    instance._history_user = change.author  # type: ignore[attr-defined]
    instance._change_reason = words  # type: ignore[attr-defined]


def why(change: Change, *, is_scheduled: bool = True, with_note: bool = True) -> str:
    """The reason that the history gives; `editing.REASON_LENGTH` is the most."""
    words = f"Scheduled for {moment_words(change.starts_at)}" if is_scheduled else PUT_INTO_FORCE
    return f"{words}: {change.note}"[:100] if change.note and with_note else f"{words}."


def _key(row: models.Model) -> tuple[object, ...]:
    return tuple(_values(row, KEY).values())


def _values(row: models.Model, names: Iterable[str]) -> dict[str, object]:
    return {name: getattr(row, name) for name in names}
