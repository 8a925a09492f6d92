"""One edit of many customers: in pieces, each a short transaction with a line of history for each customer.

Whoever was changed stays changed where a later piece fails; the same edit again goes on with the others.
"""

import logging
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from customers.editing import REASON_LENGTH, OverrideValues, check_period, lock_customers
from customers.limits import Limit, effective_limits, smallest_amount
from customers.models import Customer, LimitOverride, TierLimit
from customers.turns import FIRST_ROWS, PAUSE_SECONDS, next_rows, short_transaction

logger = logging.getLogger(__name__)

# One request works no longer than this, so that no proxy gives it up; the next one goes on.
WORK_SECONDS = 40.0
WHY = "Changed together with others."
# Of customers, locked: writes what they need, and returns those that were changed.
Write = Callable[[list[Customer], User], list[Customer]]


@dataclass
class Progress:
    """Of those looked at so far: `changed`, `left` as they were, `gone`. `last` is the key of the last one of them."""

    last: int = 0
    changed: int = 0
    left: int = 0
    gone: int = 0
    is_through: bool = False
    has_failed: bool = False


def edit_all(keys: Sequence[int], write: Write, told: str, user: User, progress: Progress) -> None:
    """Bring the edit to each of the customers with `keys`, which are in order, from where `progress` is.

    Stops when it has worked for long, and where the database does not take a piece, of which then nothing is stored.
    `told` is the line of the log.
    """
    give_up_at = time.monotonic() + WORK_SECONDS
    size, start = FIRST_ROWS, bisect_right(keys, progress.last)
    while start < len(keys) and time.monotonic() < give_up_at:
        piece = keys[start : start + size]
        started = time.perf_counter()
        try:
            with short_transaction():
                started = time.perf_counter()
                found = lock_customers(piece)
                changed = write(found, user)
                if changed:
                    LogEntry.objects.log_actions(user.pk, changed, CHANGE, change_message=told)
        except DatabaseError:
            logger.exception("an edit of many customers broke off after customer %s", progress.last)
            progress.has_failed = True
            break
        # How long others had to wait, so far as Python knows.
        size = next_rows(size, time.perf_counter() - started)
        start += len(piece)
        progress.last = piece[-1]
        progress.changed += len(changed)
        progress.left += len(found) - len(changed)
        progress.gone += len(piece) - len(found)
        time.sleep(PAUSE_SECONDS)
    progress.is_through = start >= len(keys)


def set_field(name: str, value: Any, keeping: Collection[Any] = ()) -> Write:
    """Such as the tier or the status, of those who have another one; who has one of `keeping` stays as it is."""

    stays = {getattr(value, "pk", value), *keeping}

    def write(customers: list[Customer], user: User) -> list[Customer]:
        customers = [customer for customer in customers if customer.serializable_value(name) not in stays]
        for customer in customers:
            setattr(customer, name, value)
        told = {"default_user": user, "default_change_reason": WHY[:REASON_LENGTH]}
        bulk_update_with_history(customers, Customer, [name], **told)
        return customers

    return write


def give_override(values: OverrideValues, *, less_too: bool = False) -> Write:
    """From now until its end, to whoever has none of the same kind in that time.

    Who would get less by it than now is left out, unless these are meant, too.
    """
    check_period(values.metric, values.period)

    def write(customers: list[Customer], user: User) -> list[Customer]:
        begins = replace(values, valid_from=timezone.now())
        keys = [customer.pk for customer in customers]
        left = having_one(keys, begins) | (set() if less_too else getting_less(keys, begins))
        customers = [customer for customer in customers if customer.pk not in left]
        rows = [LimitOverride(customer=customer, author=user, **vars(begins)) for customer in customers]
        told = {"default_user": user, "default_change_reason": WHY[:REASON_LENGTH]}
        bulk_create_with_history(rows, LimitOverride, **told)
        return customers

    return write


def having_one(keys: Sequence[int], values: OverrideValues) -> set[int]:
    """Who of these customers has an override of the same kind that is valid at some time of this one."""
    begins: datetime = values.valid_from or timezone.now()
    same = {name: getattr(values, name) for name in ("metric", "period", "channel_id", "agent_id")}
    found = LimitOverride.objects.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=begins), **same)
    if values.valid_until is not None:
        found = found.filter(Q(valid_from__isnull=True) | Q(valid_from__lt=values.valid_until))
    return set(found.filter(customer__in=keys).values_list("customer_id", flat=True))


def getting_less(keys: Sequence[int], values: OverrideValues) -> set[int]:
    """Whom of these customers the override would leave less, where it applies, than holds for them now."""
    given = LimitOverride(**vars(values)).as_limit()
    if not given.hard or given.amount is None:
        return set()
    same = {"metric": values.metric, "period": values.period}
    of_tier: dict[int, list[Limit]] = defaultdict(list)
    for row in TierLimit.objects.filter(**same):
        of_tier[row.tier_id].append(row.as_limit())
    own: dict[int, list[Limit]] = defaultdict(list)
    for override in LimitOverride.objects.valid_at(timezone.now()).filter(customer__in=keys, **same):
        own[override.customer_id].append(override.as_limit())
    tiers = Customer.objects.filter(pk__in=keys).values_list("pk", "tier_id")
    return {
        pk
        for pk, tier in tiers
        if _most(of_tier[tier], [*own[pk], given], given) < _most(of_tier[tier], own[pk], given)
    }


def _most(tier_limits: Sequence[Limit], overrides: Sequence[Limit], scope: Limit) -> float:
    """What is granted where `scope` applies; of two overrides of one key, the later counts."""
    limits = effective_limits(tier_limits, overrides)
    applying = [limit for limit in limits if limit.applies_to(scope.channel, scope.agent)]
    amount = smallest_amount(applying, scope.metric, scope.period)
    return inf if amount is None else amount
