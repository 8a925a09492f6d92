"""The limits and prices as they were at a past moment, read back from the history of each record."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models

from customers.limits import Limit, Metric, Period, effective_limits
from customers.models import Customer, LimitOverride, Tier, TierLimit
from customers.validity import Validity


@dataclass(frozen=True)
class Included:
    """A customer's tier at a moment, and the month's call minutes in force then; None where they are unlimited.

    `price` is the tier's then, of a minute over them; None where it had none.
    """

    tier_id: int
    minutes: int | None
    price: Decimal | None
    currency: str


def monthly_call_minutes(customers: Sequence[Customer], moments: Mapping[int, datetime]) -> dict[int, Included]:
    """The limit of call minutes a month, for all channels and agents, of each customer at its own moment.

    Hard or soft. A customer or tier that was not stored yet at the moment is taken as stored first.
    """
    ids = [customer.pk for customer in customers]
    past_customers = _histories(Customer, {"id__in": ids})
    tier_limits = _by(_histories(TierLimit, {}), "tier_id")
    overrides = _by(_histories(LimitOverride, {"customer_id__in": ids}), "customer_id")
    thens = {
        # The customer may have been made after the month, say by staff who named its past sessions' number.
        customer.pk: _as_stored_first(past_customers.get(customer.pk, []), moments[customer.pk], customer)
        for customer in customers
    }
    tiers = Tier.objects.in_bulk({then.tier_id for then in thens.values()})
    # Those that are gone since as well: the month goes by what held then.
    past_tiers = _histories(Tier, {"id__in": {then.tier_id for then in thens.values()}})
    found = {}
    for customer in customers:
        moment, then = moments[customer.pk], thens[customer.pk]
        standing = _standing(overrides.get(customer.pk, []), moment, customer.pk)
        valid = [row for row in standing if Validity.of(row).holds_at(moment)]
        rows = valid or _standing(tier_limits.get(then.tier_id, []), moment, then.tier_id)
        tier = _as_stored_first(past_tiers.get(then.tier_id, []), moment, tiers.get(then.tier_id))
        price, currency = (tier.price_per_minute_over, tier.currency) if tier else (None, "")
        found[customer.pk] = Included(then.tier_id, rows[0].amount if rows else None, price, currency)
    return found


def any_price_at(moments: Collection[datetime]) -> bool:
    """Whether a tier had a price of a minute over at one of the moments, as `monthly_call_minutes` tells it."""
    histories, today = _histories(Tier, {}), Tier.objects.in_bulk()
    thens = (
        _as_stored_first(histories.get(pk, []), moment, today.get(pk))
        for pk in {*histories, *today}
        for moment in moments
    )
    return any(then.price_per_minute_over is not None for then in thens)


def limits_at(customer: Customer, moment: datetime) -> tuple[Limit, ...]:
    """Every limit that held for the customer at the moment, in the order of `effective_limits`."""
    then = _as_stored_first(_histories(Customer, {"id": customer.pk}).get(customer.pk, []), moment, customer)
    of_tier = _histories(TierLimit, {"tier_id": then.tier_id}).values()
    overrides = _rows_at(_histories(LimitOverride, {"customer_id": customer.pk}).values(), moment)
    return effective_limits(
        (row.instance.as_limit() for row in _rows_at(of_tier, moment)),
        (row.instance.as_limit() for row in overrides if Validity.of(row).holds_at(moment)),
    )


def _as_stored_first(records: Sequence[Any], moment: datetime, today: Any) -> Any:
    """The row as it stood at the moment, else as it was first; as it is today where it has no history."""
    return _record_at(records, moment) or (records[0] if records else today)


def _histories(model: type[models.Model], mine: dict[str, Any]) -> dict[Any, list[Any]]:
    """The records of each row in order of time."""
    history: models.Manager[Any] = model.history  # type: ignore[attr-defined]
    found: dict[Any, list[Any]] = defaultdict(list)
    for record in history.filter(**mine).order_by("history_date", "history_id"):
        found[record.id].append(record)
    return found


def _by(histories: Mapping[Any, list[Any]], parent: str) -> dict[Any, list[list[Any]]]:
    """The histories of the rows that ever belonged to each parent."""
    found: dict[Any, list[list[Any]]] = defaultdict(list)
    for records in histories.values():
        for owner in {getattr(record, parent) for record in records}:
            found[owner].append(records)
    return found


def _record_at(records: Iterable[Any], moment: datetime) -> Any:
    """The row as it stood at the moment; None where there was none."""
    last = None
    for record in records:
        if record.history_date <= moment:
            last = record
    return None if last is None or last.history_type == "-" else last


def _standing(histories: Iterable[list[Any]], moment: datetime, owner: int) -> list[Any]:
    """The rows of the owner that limit a month's call minutes of all channels and agents at the moment."""
    return [
        row
        for row in _rows_at(histories, moment)
        if owner == (row.tier_id if hasattr(row, "tier_id") else row.customer_id)
        and row.metric == Metric.CALL_MINUTES
        and row.period == Period.MONTH
        and row.channel_id is None
        and row.agent_id is None
    ]


def _rows_at(histories: Iterable[list[Any]], moment: datetime) -> list[Any]:
    rows = (_record_at(records, moment) for records in histories)
    return [row for row in rows if row is not None]
