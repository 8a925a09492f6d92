"""Used of limit for all customers at once, in hand-written SQL. A test holds it equal to `standing`."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from customers.limits import Period
from customers.models import Customer, LimitOverride, TierLimit
from sessions_app.models import DailyUsage, Session
from sessions_app.periods import local_day, span_of
from sessions_app.usage import OpenSession, held_seconds

MEASURED = (Period.DAY, Period.MONTH)


@dataclass(frozen=True)
class FullDays:
    """Which days count as full: those of the last `days` on which `share` of a daily limit was used."""

    days: int
    share: float
    words: str


FULL_DAYS = {
    "reached": FullDays(30, 1, "at a daily limit"),
    "close": FullDays(14, 0.8, "at 80 % of a daily limit or more"),
}


@dataclass(frozen=True)
class Group:
    """Customers whose fullest limit of a period is used from `low` up to but not including `high`."""

    slug: str
    label: str
    low: float
    high: float


GROUPS = (
    Group("0-50", "0–50 %", 0, 0.5),
    Group("50-80", "50–80 %", 0.5, 0.8),
    Group("80-100", "80–100 %", 0.8, 1),
    Group("100", "100 % and over", 1, float("inf")),
)

_CUSTOMERS, _DAILY_USAGE = Customer._meta.db_table, DailyUsage._meta.db_table
_TIER_LIMITS, _OVERRIDES = TierLimit._meta.db_table, LimitOverride._meta.db_table

# What a caller sends along as JSON, as a table: each customer's days by the time zone, and what open sessions hold.
_SENT = {
    "postgresql": """
zones AS (SELECT * FROM jsonb_to_recordset(%(zones)s::jsonb) AS sent(zone text, period text, first date, after date)),
held AS (SELECT * FROM jsonb_to_recordset(%(held)s::jsonb)
    AS sent(customer_id bigint, period text, channel text, agent text, minutes float))""",
    "sqlite": """
zones AS (SELECT value ->> 'zone' AS zone, value ->> 'period' AS period, value ->> 'first' AS first,
    value ->> 'after' AS after FROM json_each(%(zones)s)),
held AS (SELECT value ->> 'customer_id' AS customer_id, value ->> 'period' AS period, value ->> 'channel' AS channel,
    value ->> 'agent' AS agent, value ->> 'minutes' AS minutes FROM json_each(%(held)s))""",
}

# The hard limits in force that can be used up: `access.limits_of` for everybody.
_LIMITS = f"""
limits AS (
    SELECT customer.id AS customer_id, customer.time_zone AS zone, own.metric, own.period, own.amount,
        COALESCE(own.channel_id, '') AS channel, COALESCE(own.agent_id, '') AS agent
    FROM {_CUSTOMERS} customer JOIN {_TIER_LIMITS} own ON own.tier_id = customer.tier_id
    WHERE own.hard AND own.amount > 0 AND own.metric IN ('call_minutes', 'sessions') AND own.period IN ('day', 'month')
        {{only}} AND NOT EXISTS (
            SELECT 1 FROM {_OVERRIDES} instead
            WHERE instead.customer_id = customer.id AND instead.metric = own.metric AND instead.period = own.period
                AND COALESCE(instead.channel_id, '') = COALESCE(own.channel_id, '')
                AND COALESCE(instead.agent_id, '') = COALESCE(own.agent_id, '')
                AND (instead.valid_from IS NULL OR instead.valid_from <= %(now)s)
                AND (instead.valid_until IS NULL OR instead.valid_until > %(now)s))
    UNION ALL
    SELECT customer.id, customer.time_zone, own.metric, own.period, own.amount,
        COALESCE(own.channel_id, ''), COALESCE(own.agent_id, '')
    FROM {_OVERRIDES} own JOIN {_CUSTOMERS} customer ON customer.id = own.customer_id
    WHERE own.hard AND own.amount > 0 AND own.metric IN ('call_minutes', 'sessions') AND own.period IN ('day', 'month')
        {{only}} AND (own.valid_from IS NULL OR own.valid_from <= %(now)s)
        AND (own.valid_until IS NULL OR own.valid_until > %(now)s)
)"""

_WITHIN_SCOPE = """(limits.channel = '' OR limits.channel = {table}.channel)
        AND (limits.agent = '' OR limits.agent = {table}.agent)"""

_SHARES = f"""
shares AS (
    SELECT customer_id, period, MAX(share) AS share FROM (
        SELECT limits.customer_id, limits.period, (
            COALESCE((
                SELECT SUM(
                    CASE limits.metric WHEN 'sessions' THEN used.sessions * 1.0 ELSE used.call_seconds / 60.0 END
                ) FROM {_DAILY_USAGE} used
                WHERE used.customer_id = limits.customer_id AND used.day >= zones.first AND used.day < zones.after
                    AND {_WITHIN_SCOPE.format(table="used")}
            ), 0) + COALESCE((
                SELECT SUM(held.minutes) FROM held
                WHERE limits.metric = 'call_minutes' AND held.customer_id = limits.customer_id
                    AND held.period = limits.period AND {_WITHIN_SCOPE.format(table="held")}
            ), 0)
        ) / limits.amount AS share
        FROM limits JOIN zones ON zones.zone = limits.zone AND zones.period = limits.period
    ) each_limit GROUP BY customer_id, period
)"""


def group_sizes(now: datetime) -> dict[tuple[Period, str], int]:
    """How many customers are in each group, by period and the group's slug. Those without a limit are in none."""
    cases = " ".join(f"WHEN share < {group.high} THEN '{group.slug}'" for group in GROUPS[:-1])
    sql = f"SELECT period, CASE {cases} ELSE '{GROUPS[-1].slug}' END AS slug, COUNT(*) FROM shares GROUP BY 1, 2"
    return {(Period(period), slug): count for period, slug, count in _run(_SHARES, sql, now)}


def members(period: Period, group: Group, now: datetime) -> set[int]:
    """The customers in a group."""
    sql = "SELECT customer_id FROM shares WHERE period = %(period)s AND share >= %(low)s"
    high = "" if group is GROUPS[-1] else " AND share < %(high)s"
    values = {"period": period.value, "low": group.low, "high": group.high}
    return {row[0] for row in _run(_SHARES, sql + high, now, values)}


def shares_of(customer_ids: Sequence[int], now: datetime) -> dict[tuple[int, Period], float]:
    """The share of the fullest limit by customer and period; for tests and for pages of customers."""
    rows = _run(_SHARES, "SELECT customer_id, period, share FROM shares", now, only=customer_ids)
    return {(customer_id, Period(period)): float(share) for customer_id, period, share in rows}


_DAYS = f"""
days AS (
    SELECT limits.customer_id, used.day, limits.metric, limits.channel, limits.agent,
        SUM(CASE limits.metric WHEN 'sessions' THEN used.sessions * 1.0 ELSE used.call_seconds / 60.0 END)
            / limits.amount AS share
    FROM limits JOIN zones ON zones.zone = limits.zone AND zones.period = 'past'
    JOIN {_DAILY_USAGE} used ON used.customer_id = limits.customer_id AND used.day >= zones.first
        AND used.day < zones.after AND {_WITHIN_SCOPE.format(table="used")}
    WHERE limits.period = 'day'
    GROUP BY 1, 2, 3, 4, 5, limits.amount
)"""


def full_days(
    now: datetime, *, days: int, share: float, at_least: int = 1, customer_ids: Sequence[int] | None = None
) -> dict[int, int]:
    """On how many of the last `days` local days, today among them, recorded use reached `share` of today's daily
    limit; customers with fewer than `at_least` such days are left out."""
    sql = """SELECT customer_id, COUNT(DISTINCT day) FROM days WHERE share >= %(share)s
        GROUP BY customer_id HAVING COUNT(DISTINCT day) >= %(at_least)s"""
    values = {"share": share, "at_least": at_least}
    return dict(_run(_DAYS, sql, now, values, only=customer_ids, past_days=days))


def which_full_days(now: datetime, which: FullDays, customer_id: int) -> list[date]:
    """The days that `full_days` counts of one customer, the first one first."""
    sql = "SELECT DISTINCT day FROM days WHERE share >= %(share)s ORDER BY day"
    rows = _run(_DAYS, sql, now, {"share": which.share}, only=[customer_id], past_days=which.days)
    return [day if isinstance(day, date) else date.fromisoformat(day) for (day,) in rows]


def _run(
    tables: str,
    select: str,
    now: datetime,
    values: dict[str, Any] | None = None,
    *,
    only: Sequence[int] | None = None,
    past_days: int = 1,
) -> Iterator[tuple[Any, ...]]:
    narrowed = "" if only is None else f"AND customer.id IN ({', '.join(str(int(pk)) for pk in only) or 'NULL'})"
    sql = f"WITH {_SENT[connection.vendor]}, {_LIMITS.format(only=narrowed)}, {tables} {select}"
    with connection.cursor() as cursor:
        cursor.execute(
            sql,
            {
                "zones": json.dumps(list(_zones(now, past_days, only))),
                "held": json.dumps(list(_held(now, only)) if tables is _SHARES else []),
                "now": connection.ops.adapt_datetimefield_value(now),
                **(values or {}),
            },
        )
        yield from cursor.fetchall()


def _zones(now: datetime, past_days: int, only: Iterable[int] | None) -> Iterator[dict[str, str]]:
    """The days that make up today, this month and the past days, in every zone that one of the customers has."""
    customers = Customer.objects.order_by() if only is None else Customer.objects.order_by().filter(pk__in=only)
    for name in customers.values_list("time_zone", flat=True).distinct():
        zone = ZoneInfo(name or settings.TIME_ZONE)
        for period in MEASURED:
            span = span_of(period, now, zone)
            yield _days(name, period.value, span.first_day, span.after_last_day)
        today = local_day(now, zone)
        yield _days(name, "past", today - timedelta(days=past_days - 1), today + timedelta(days=1))


def _days(zone: str, period: str, first: date, after: date) -> dict[str, str]:
    return {"zone": zone, "period": period, "first": first.isoformat(), "after": after.isoformat()}


def _held(now: datetime, only: Iterable[int] | None) -> Iterator[dict[str, Any]]:
    """What open sessions hold of the day and the month, as `usage.usage_from` counts it."""
    rows = Session.objects.holding_at(now).filter(customer__isnull=False, counts_toward_call_minutes=True)
    if only is not None:
        rows = rows.filter(customer_id__in=only)
    columns = ("channel_id", "agent_id", "counts_toward_call_minutes", "started_at", "open_until")
    of_customer = ("customer_id", "customer__time_zone", "customer__tier__call_hold_minutes")
    for customer_id, zone, hold, *row in rows.values_list(*of_customer, *columns):
        session = OpenSession(*row)
        if not session.was_open_at(now):
            continue
        for period in MEASURED:
            span = span_of(period, now, ZoneInfo(zone or settings.TIME_ZONE))
            yield {
                "customer_id": customer_id,
                "period": period.value,
                "channel": session.channel_id or "",
                "agent": session.agent_id or "",
                "minutes": held_seconds(session, now, span, hold * 60) / 60,
            }
