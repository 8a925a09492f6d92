"""One edit of many customers: in pieces, each a short transaction with a line of history for each customer.

Whoever was changed stays changed where a later piece fails; the same edit again goes on with the others.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.db.models import Q, QuerySet
from django.utils import timezone
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from customers.editing import REASON_LENGTH, OverrideValues, check_period, lock_customers
from customers.models import Customer, LimitOverride, Tier
from customers.turns import FIRST_ROWS, PAUSE_SECONDS, next_rows, short_transaction

logger = logging.getLogger(__name__)

# One request works no longer than this, so that no proxy gives it up; the next one goes on.
WORK_SECONDS = 40.0
WHY = "Changed together with others."
# Writes what the customers with these keys, locked, need, and returns those that were changed.
Write = Callable[[Sequence[int], User], list[Customer]]


@dataclass
class Progress:
    """`changed` of those looked at so far; `last` is the key of the last one of them."""

    last: int
    changed: int = 0
    is_through: bool = False
    has_failed: bool = False


def edit_all(chosen: QuerySet[Customer], write: Write, told: str, user: User, *, after: int = 0) -> Progress:
    """Bring the edit to each of `chosen` beyond the key `after`, in their order. `told` is the line of the log.

    Stops when it has worked for long, and where the database does not take a piece, of which then nothing is stored.
    """
    progress = Progress(last=after)
    give_up_at = time.monotonic() + WORK_SECONDS
    rows = chosen.prefetch_related(None).order_by("pk")
    size = FIRST_ROWS
    while time.monotonic() < give_up_at:
        piece = list(rows.filter(pk__gt=progress.last).values_list("pk", flat=True)[:size])
        if not piece:
            progress.is_through = True
            break
        try:
            changed, seconds = _edit(piece, write, told, user)
        except DatabaseError:
            logger.exception("an edit of many customers broke off after customer %s", progress.last)
            progress.has_failed = True
            break
        progress.changed += changed
        progress.last = piece[-1]
        size = next_rows(size, seconds)
        time.sleep(PAUSE_SECONDS)
    return progress


def _edit(piece: Sequence[int], write: Write, told: str, user: User) -> tuple[int, float]:
    """How many were changed, and for how many seconds others had to wait, so far as Python knows."""
    with short_transaction():
        started = time.perf_counter()
        changed = write(piece, user)
        if changed:
            LogEntry.objects.log_actions(user.pk, changed, CHANGE, change_message=told)
    return len(changed), time.perf_counter() - started


def change_tier(tier: Tier) -> Write:
    def write(keys: Sequence[int], user: User) -> list[Customer]:
        customers = [customer for customer in lock_customers(keys) if customer.tier_id != tier.pk]
        for customer in customers:
            customer.tier = tier
        told = {"default_user": user, "default_change_reason": WHY[:REASON_LENGTH]}
        bulk_update_with_history(customers, Customer, ["tier"], **told)
        return customers

    return write


def give_override(values: OverrideValues) -> Write:
    """From now until its end, to whoever has none of the same kind in that time."""
    check_period(values.metric, values.period)

    def write(keys: Sequence[int], user: User) -> list[Customer]:
        customers = lock_customers(keys)
        begins = replace(values, valid_from=timezone.now())
        having = set(in_the_way(begins).filter(customer__in=keys).values_list("customer_id", flat=True))
        customers = [customer for customer in customers if customer.pk not in having]
        rows = [LimitOverride(customer=customer, author=user, **vars(begins)) for customer in customers]
        told = {"default_user": user, "default_change_reason": WHY[:REASON_LENGTH]}
        bulk_create_with_history(rows, LimitOverride, **told)
        return customers

    return write


def in_the_way(values: OverrideValues) -> QuerySet[LimitOverride]:
    """Overrides of the same metric, period, channel and agent that are valid at some time of these."""
    begins: datetime = values.valid_from or timezone.now()
    same = {name: getattr(values, name) for name in ("metric", "period", "channel_id", "agent_id")}
    found = LimitOverride.objects.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=begins), **same)
    if values.valid_until is not None:
        found = found.filter(Q(valid_from__isnull=True) | Q(valid_from__lt=values.valid_until))
    return found
