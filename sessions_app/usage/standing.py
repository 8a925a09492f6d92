"""How customers stand against their limits now: any number of them in a fixed number of statements."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Prefetch, QuerySet

from customers.access import zone_of
from customers.limits import Limit, Metric, Period, effective_limits
from customers.models import Customer, LimitOverride, TierLimit
from sessions_app.decision.rules import Usage
from sessions_app.models import Session
from sessions_app.periods import Span, span_of
from sessions_app.usage.counting import FILLED_BY, OPEN_COLUMNS, PERIODS, OpenSession, usage_from
from sessions_app.usage.drawn import valid_top_ups
from sessions_app.usage.used import recorded_sums


@dataclass(frozen=True)
class LimitUse:
    """A limit in force with what is used of it, in its own unit; None where that is not measured."""

    limit: Limit
    used: float | None

    @property
    def left(self) -> float | None:
        if self.used is None or self.limit.amount is None:
            return None
        return max(0.0, self.limit.amount - self.used)

    @property
    def share(self) -> float | None:
        """Used of the limit, 1 being all of it; None for unlimited, none at all, and what is not measured."""
        return self.used / self.limit.amount if self.used is not None and self.limit.amount else None


@dataclass(frozen=True)
class Standing:
    customer: Customer
    zone: ZoneInfo
    spans: Mapping[Period, Span]
    usage: Usage
    limits: tuple[Limit, ...]

    @cached_property
    def uses(self) -> tuple[LimitUse, ...]:
        return tuple(
            LimitUse(limit, self.usage.used(limit) if limit.metric.is_measured else None) for limit in self.limits
        )

    def fullest(self, period: Period) -> LimitUse | None:
        """Of the hard limits of call minutes and sessions in a period, of any scope, the one used most."""
        found = [
            use
            for use in self.uses
            if use.limit.hard and use.limit.period is period and use.limit.metric in FILLED_BY and use.share is not None
        ]
        return max(found, key=lambda use: use.share or 0.0, default=None)

    @property
    def top_up_minutes_left(self) -> float:
        """Of all valid top-ups together: what lifts any limit of call minutes that is used up."""
        return sum(balance.left for balance in self.usage.balances_of(Metric.CALL_MINUTES))

    def tightest_minutes(self, channel: str | None, agent: str | None) -> LimitUse | None:
        """Of the hard limits of call minutes that apply to a session, the one with the least left."""
        found = [
            use
            for use in self.uses
            if use.limit.hard
            and use.limit.metric is Metric.CALL_MINUTES
            and use.left is not None
            and use.limit.applies_to(channel, agent)
        ]
        return min(found, key=lambda use: use.left or 0.0, default=None)


def with_limits(customers: QuerySet[Customer], now: datetime) -> QuerySet[Customer]:
    """Customers with their tier, its limits and the overrides that are valid now, ready for `standings`."""
    # In no order: it would join channels, and limits in force have their own. Agents are read for their names.
    return customers.select_related("tier").prefetch_related(
        Prefetch("tier__limits", TierLimit.objects.select_related("agent").order_by()),
        Prefetch(
            "overrides",
            LimitOverride.objects.valid_at(now).select_related("agent").order_by(),
            to_attr="valid_overrides",
        ),
    )


def limits_in_force_of(customer: Customer) -> tuple[Limit, ...]:
    """Of a customer read by `with_limits`."""
    overrides: Iterable[LimitOverride] = customer.valid_overrides  # type: ignore[attr-defined]
    return effective_limits(
        (limit.as_limit() for limit in customer.tier.limits.all()), (override.as_limit() for override in overrides)
    )


def standings(customers: Sequence[Customer], now: datetime) -> dict[int, Standing]:
    """How each of the customers, read by `with_limits`, stands at `now`. Equal to `usage.usage_at` of each."""
    spans = {customer.pk: _spans(now, zone_of(customer)) for customer in customers}
    sums = _recorded(spans)
    open_sessions = _open_sessions(spans.keys(), now)
    top_ups = valid_top_ups({customer.pk: zone_of(customer) for customer in customers}, now)
    return {
        customer.pk: Standing(
            customer,
            zone_of(customer),
            spans[customer.pk],
            usage_from(
                sums.get(customer.pk, []),
                open_sessions.get(customer.pk, []),
                now,
                spans[customer.pk],
                customer.tier.call_hold_minutes,
                top_ups=top_ups.get(customer.pk, ()),
            ),
            limits_in_force_of(customer),
        )
        for customer in customers
    }


def _spans(now: datetime, zone: ZoneInfo) -> dict[Period, Span]:
    return {period: span_of(period, now, zone) for period in PERIODS}


def _recorded(spans: Mapping[int, Mapping[Period, Span]]) -> dict[int, list[Mapping[str, Any]]]:
    """By customer. Those for whom it is the same day are asked for together; the world knows three at once at most."""
    together: dict[date, list[int]] = defaultdict(list)
    for customer_id, of_customer in spans.items():
        together[of_customer[Period.DAY].first_day].append(customer_id)
    found: dict[int, list[Mapping[str, Any]]] = {}
    for same_day in together.values():
        found |= recorded_sums(same_day, spans[same_day[0]])
    return found


def _open_sessions(customer_ids: Iterable[int], now: datetime) -> dict[int, list[OpenSession]]:
    held = Session.objects.holding_at(now).filter(customer_id__in=list(customer_ids))
    found: dict[int, list[OpenSession]] = defaultdict(list)
    for customer_id, *row in held.values_list("customer_id", *OPEN_COLUMNS):
        found[customer_id].append(OpenSession(*row))
    return found
