"""Which tier, and which limits of it, hold at a moment where changes are scheduled: said once for rows, once in SQL.

Of a tier or customer it is the newest change that has come and is not settled; else what held before the earliest
settled one that comes later; else its own row. A property test holds both equal.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from django.db.models import Q, QuerySet

from customers.limits import Limit
from customers.models import Customer, CustomerChange, Tier, TierChange, TierChangeLimit, TierLimit

AChange = TypeVar("AChange", TierChange, CustomerChange)
# Of a customer whose tier changes, the one that holds.
_TIER_THEN = "CASE WHEN {0}.in_force_at IS NULL THEN {0}.tier_id ELSE {0}.before_id END"


def tier_at(customer: Customer, now: datetime) -> Tier:
    """The tier that serves a stored customer at `now`. Others of its fields are as they are."""
    change = _deciding(CustomerChange.objects.filter(customer=customer).select_related("tier", "before"), now)
    if change is None:
        return customer.tier
    return change.tier if change.in_force_at is None or change.before is None else change.before


def tier_limits_at(tier: Tier, now: datetime) -> list[Limit]:
    """The tier's limits at `now`, agents with their names."""
    change = _deciding(TierChange.objects.filter(tier=tier), now)
    rows: Iterable[TierLimit | TierChangeLimit]
    if change is None:
        rows = TierLimit.objects.filter(tier=tier).select_related("agent")
    else:
        rows = change.limits.filter(before=change.in_force_at is not None).select_related("agent")
    return [row.as_limit() for row in rows]


def _deciding(changes: QuerySet[AChange], now: datetime) -> AChange | None:
    """One statement for both kinds, since there are few of either."""
    come = Q(in_force_at__isnull=True, starts_at__lte=now)
    found = list(changes.filter(come | Q(in_force_at__isnull=False, starts_at__gt=now)).order_by("starts_at"))
    waiting = [change for change in found if change.in_force_at is None]
    return waiting[-1] if waiting else found[0] if found else None


def deciding_sql(changes: str, column: str, owner: str) -> str:
    """The id of the change that decides, of those in the table whose column is `owner`; the moment is `now`."""
    mine = f"SELECT id FROM {changes} WHERE {column} = {owner}"
    come = f"{mine} AND in_force_at IS NULL AND starts_at <= %(now)s ORDER BY starts_at DESC LIMIT 1"
    later = f"{mine} AND in_force_at IS NOT NULL AND starts_at > %(now)s ORDER BY starts_at LIMIT 1"
    return f"COALESCE(({come}), ({later}))"


def tier_id_sql(customer: str) -> str:
    """The tier of the customer by its alias, where a change decides it; else NULL."""
    changes = CustomerChange._meta.db_table
    which = deciding_sql(changes, "customer_id", f"{customer}.id")
    return f"(SELECT {_TIER_THEN.format('moved')} FROM {changes} AS moved WHERE moved.id = {which})"
