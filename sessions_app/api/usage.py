"""Usage against the limits over the API."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from customers.access import find_customer, limits_of, zone_of
from customers.api.base import ApiView
from customers.api.customers import phone_of
from customers.api.schema import READING, answers
from customers.limits import Limit, Metric, Period, smallest_amount
from customers.models import Customer
from customers.scheduled import tier_at
from sessions_app.api.serializers import UsageQuery, UsageSerializer
from sessions_app.decision.rules import Balance, Usage
from sessions_app.periods import span_of
from sessions_app.usage.counting import PERIODS
from sessions_app.usage.used import usage_at


class UsageView(ApiView):
    query_serializer = UsageQuery

    @extend_schema(
        operation_id="get_usage",
        tags=["usage"],
        parameters=[UsageQuery],
        responses=answers({200: UsageSerializer}, 404, *READING),
    )
    def get(self, request: Request) -> Response:
        """What a customer has used of the limits in the day, week and month that hold `at`."""
        customer, phone = _asked_for(self.query)
        return Response(UsageSerializer(usage_of(customer, phone, self.query.get("at") or timezone.now())).data)


def _asked_for(query: dict[str, Any]) -> tuple[Customer, str | None]:
    if "phone" in query:
        phone = phone_of(query["phone"], "phone")
        customer = find_customer(phone, "")
        if customer is None:
            raise NotFound(f"No customer has the number {phone}.")
        return customer, phone
    customer = find_customer("", query["external_id"])
    if customer is None:
        raise NotFound(f'There is no customer with external id "{query["external_id"]}".')
    number = customer.numbers.first()
    return customer, number.key if number else None


def usage_of(customer: Customer, phone: str | None, at: datetime) -> dict[str, Any]:
    zone = zone_of(customer)
    tier = tier_at(customer, at)
    usage = usage_at(customer.pk, at, zone, tier.call_hold_minutes)
    limits = limits_of(tier, customer, at)
    return {
        "phone": phone,
        "customer": customer.external_id,
        "customer_id": customer.pk,
        "tier": tier.slug,
        "time_zone": str(zone),
        "at": at,
        "concurrent_sessions": usage.open_sessions(),
        **_limits(limits, Period.NONE, usage),
        **{period.value: _period(limits, period, usage, at, zone) for period in PERIODS},
        "top_ups": [_top_up(balance) for balance in usage.balances],
    }


def _top_up(balance: Balance) -> dict[str, Any]:
    return {
        "id": balance.top_up_id,
        "metric": balance.metric.value,
        "from": balance.made_on,
        "amount": balance.amount,
        "used": balance.used,
        "left": balance.left,
    }


def _period(limits: Iterable[Limit], period: Period, usage: Usage, at: datetime, zone: ZoneInfo) -> dict[str, Any]:
    span = span_of(period, at, zone)
    return {
        "starts_at": span.starts_at.astimezone(zone),
        "resets_at": span.resets_at.astimezone(zone),
        "sessions": usage.sessions(period),
        "call_minutes": usage.call_seconds(period) / 60,
        "call_minutes_open": usage.held_seconds(period) / 60,
        **_limits(limits, period, usage),
    }


def _limits(limits: Iterable[Limit], period: Period, usage: Usage) -> dict[str, Any]:
    within = [limit for limit in limits if limit.period is period]
    unscoped = [limit for limit in within if limit.channel is None and limit.agent is None]
    smallest = {metric.value: smallest_amount(unscoped, metric, period) for metric in Metric}
    return {
        "limits": {metric: amount for metric, amount in smallest.items() if amount is not None},
        "all_limits": [_used(limit, usage) for limit in within],
    }


def _used(limit: Limit, usage: Usage) -> dict[str, Any]:
    used = usage.used(limit) if limit.metric.is_measured else None
    left = None if used is None or limit.amount is None else max(0.0, limit.amount - used)
    return {
        "metric": limit.metric.value,
        "channel": limit.channel,
        "agent": limit.agent,
        "hard": limit.hard,
        "origin": limit.origin,
        "amount": limit.amount,
        "used": used,
        "left": left,
    }
