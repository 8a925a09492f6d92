"""Used of limit for all customers at once, in hand-written SQL. A test holds it equal to `standing`."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from customers.limits import Metric, Period
from customers.models import Customer, LimitOverride, TierLimit, TopUp
from customers.validity import valid_sql
from customers.zones import zone_named
from sessions_app.database.replica import read_connection
from sessions_app.models import DailyUsage, Session
from sessions_app.periods import Span, local_day, span_of
from sessions_app.usage.counting import FILLED_BY, OPEN_COLUMNS, PERIODS, OpenSession, held_seconds, was_open_at
from sessions_app.usage.standing import standings, with_limits

MEASURED = (Period.DAY, Period.MONTH)
MOST_NAMED = 1000


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

# What a caller sends along as JSON, as a table: which customers it asks for, and their days by the time zone.
_SENT = {
    "postgresql": """
asked AS (SELECT CAST(id AS bigint) AS customer_id FROM jsonb_array_elements_text(%(asked)s::jsonb) AS sent(id)),
zones AS (SELECT * FROM jsonb_to_recordset(%(zones)s::jsonb) AS sent(zone text, period text, first date, after date))
""",
    "sqlite": """
asked AS (SELECT CAST(value AS integer) AS customer_id FROM json_each(%(asked)s)),
zones AS (SELECT value ->> 'zone' AS zone, value ->> 'period' AS period, value ->> 'first' AS first,
    value ->> 'after' AS after FROM json_each(%(zones)s))""",
}

# The hard limits in force that are `wanted`: `access.limits_of` for everybody, or for those asked for `only`.
_LIMITS = f"""
limits AS (
    SELECT customer.id AS customer_id, customer.time_zone AS zone, own.metric, own.period, own.amount,
        COALESCE(own.channel_id, '') AS channel, COALESCE(own.agent_id, '') AS agent
    FROM {_CUSTOMERS} customer JOIN {_TIER_LIMITS} own ON own.tier_id = customer.tier_id
    WHERE own.hard AND {{wanted}} {{only}} AND NOT EXISTS (
            SELECT 1 FROM {_OVERRIDES} instead
            WHERE instead.customer_id = customer.id AND instead.metric = own.metric AND instead.period = own.period
                AND COALESCE(instead.channel_id, '') = COALESCE(own.channel_id, '')
                AND COALESCE(instead.agent_id, '') = COALESCE(own.agent_id, '')
                AND {valid_sql("instead")})
    UNION ALL
    SELECT customer.id, customer.time_zone, own.metric, own.period, own.amount,
        COALESCE(own.channel_id, ''), COALESCE(own.agent_id, '')
    FROM {_OVERRIDES} own JOIN {_CUSTOMERS} customer ON customer.id = own.customer_id
    WHERE own.hard AND {{wanted}} {{only}} AND {valid_sql("own")}
)"""

_METRICS = ", ".join(f"'{metric}'" for metric in FILLED_BY)
_USED_UP = f"own.amount > 0 AND own.metric IN ({_METRICS}) AND own.period IN ('day', 'month')"
_MINUTES = "own.amount IS NOT NULL AND own.metric = 'call_minutes'"

# A day's sum in the limit's own unit, never as a whole number: databases would divide it without the rest.
_CASES = " ".join(
    f"WHEN '{metric}' THEN (used.{column} - used.drawn_{column}) / {unit}.0"
    for metric, (column, unit) in FILLED_BY.items()
)
_IN_ITS_UNIT = f"CASE limits.metric {_CASES} END"

# What is recorded of each limit. What open sessions hold is added outside (`_uses`): joined to this, a database that
# takes thousands of them for a few would go through all of them for each limit.
_RECORDED = f"""
recorded AS (
    SELECT limits.customer_id, limits.metric, limits.period, limits.channel, limits.agent, limits.amount, COALESCE((
        SELECT CAST(SUM({_IN_ITS_UNIT}) AS float) FROM {_DAILY_USAGE} used
        WHERE used.customer_id = limits.customer_id AND used.day >= zones.first AND used.day < zones.after
            AND (limits.channel = '' OR limits.channel = used.channel)
            AND (limits.agent = '' OR limits.agent = used.agent)
    ), 0) AS used
    FROM limits JOIN zones ON zones.zone = limits.zone AND zones.period = limits.period
)"""
_SHARES = f"""{_RECORDED},
shares AS (SELECT customer_id, period, MAX(used / amount) AS share FROM recorded GROUP BY customer_id, period)"""


class Use(NamedTuple):
    """What is used of a limit; a blank channel or agent is all of them."""

    customer_id: int
    period: str
    channel: str
    agent: str
    amount: int
    used: float


def group_sizes(now: datetime) -> dict[tuple[Period, str], int]:
    """How many customers are in each group, by period and the group's slug. Those without a limit are in none."""
    # Customers with open sessions are worked out here, and the database leaves them out: `_RECORDED` says why.
    held = _held(now, MEASURED)
    cases = " ".join(f"WHEN share < {group.high} THEN '{group.slug}'" for group in GROUPS[:-1])
    sql = f"SELECT period, CASE {cases} ELSE '{GROUPS[-1].slug}' END AS slug, COUNT(*) FROM shares GROUP BY 1, 2"
    rows = _run(_SHARES, sql, now, but=list(held))
    sizes = Counter({(Period(period), slug): count for period, slug, count in rows})
    sizes.update((period, _group_of(share).slug) for (_, period), share in _shares(list(held), now, held).items())
    return dict(sizes)


def members(period: Period, group: Group, now: datetime) -> set[int]:
    """The customers in a group."""
    held = _held(now, MEASURED)
    sql = "SELECT customer_id FROM shares WHERE period = %(period)s AND share >= %(low)s"
    high = "" if group is GROUPS[-1] else " AND share < %(high)s"
    values = {"period": period.value, "low": group.low, "high": group.high}
    found = {row[0] for row in _run(_SHARES, sql + high, now, values, but=list(held))}
    shares = _shares(list(held), now, held)
    return found | {pk for (pk, of), share in shares.items() if of is period and _group_of(share) is group}


def _group_of(share: float) -> Group:
    return next(group for group in GROUPS if share < group.high)


def _shares(customer_ids: Sequence[int], now: datetime, held: "Held") -> dict[tuple[int, Period], float]:
    """The share of the fullest limit by customer and period."""
    shares: dict[tuple[int, Period], float] = {}
    for use in _uses(customer_ids, now, held):
        key = use.customer_id, Period(use.period)
        shares[key] = max(shares.get(key, 0.0), use.used / use.amount)
    return shares


def short_of_minutes(now: datetime, minutes: int, customer_ids: Sequence[int]) -> set[tuple[int, str, str]]:
    """The customers' limits of call minutes that have fewer left than so many, together with the customer's top-ups:
    the customer, and the channel and agent that the limit is for, blank for all."""
    uses = _uses(customer_ids, now, _held(now, PERIODS), wanted=_MINUTES, periods=PERIODS)
    short = [use for use in uses if use.amount - use.used < minutes]
    more = _top_up_minutes_left({use.customer_id for use in short}, now)
    return {
        (use.customer_id, use.channel, use.agent)
        for use in short
        if max(0.0, use.amount - use.used) + more.get(use.customer_id, 0.0) < minutes
    }


def _top_up_minutes_left(customer_ids: Iterable[int], now: datetime) -> dict[int, float]:
    """Of those alone who have a valid top-up of call minutes, who are few."""
    valid = TopUp.objects.valid_at(now).filter(customer__in=list(customer_ids), metric=Metric.CALL_MINUTES)
    customers = list(with_limits(Customer.objects.filter(pk__in=valid.order_by().values("customer")), now))
    return {pk: standing.top_up_minutes_left for pk, standing in standings(customers, now).items()}


def _uses(
    customer_ids: Sequence[int],
    now: datetime,
    held: "Held",
    *,
    wanted: str = _USED_UP,
    periods: Iterable[Period] = MEASURED,
) -> Iterator[Use]:
    """What is used of each limit of some customers, what their open sessions hold included."""
    for row in _run(_RECORDED, "SELECT * FROM recorded", now, only=customer_ids, wanted=wanted, periods=periods):
        customer_id, metric, period, channel, agent, amount, used = row
        if metric == Metric.CALL_MINUTES:
            for of_channel, of_agent, minutes in held.get(customer_id, ()):
                if channel in ("", of_channel) and agent in ("", of_agent):
                    used += minutes[period]
        yield Use(customer_id, period, channel, agent, amount, used)


_DAYS = f"""
days AS (
    SELECT limits.customer_id, used.day, limits.metric, limits.channel, limits.agent,
        SUM({_IN_ITS_UNIT}) / limits.amount AS share
    FROM limits JOIN zones ON zones.zone = limits.zone AND zones.period = 'past'
    JOIN {_DAILY_USAGE} used ON used.customer_id = limits.customer_id AND used.day >= zones.first
        AND used.day < zones.after
        AND (limits.channel = '' OR limits.channel = used.channel) AND (limits.agent = '' OR limits.agent = used.agent)
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
    but: Sequence[int] = (),
    past_days: int = 1,
    wanted: str = _USED_UP,
    periods: Iterable[Period] = MEASURED,
) -> Iterator[tuple[Any, ...]]:
    """Of everybody `but` some, or of some `only`."""
    connection = read_connection()
    narrowed = f"AND customer.id {'NOT IN' if only is None else 'IN'} (SELECT customer_id FROM asked)"
    sql = f"WITH {_SENT[connection.vendor]}, {_LIMITS.format(wanted=wanted, only=narrowed)}, {tables} {select}"
    with connection.cursor() as cursor:
        cursor.execute(
            sql,
            {
                "asked": json.dumps(list(but if only is None else only)),
                "zones": json.dumps(list(_zones(now, past_days, periods, only))),
                "now": connection.ops.adapt_datetimefield_value(now),
                **(values or {}),
            },
        )
        yield from cursor.fetchall()


def _zones(
    now: datetime, past_days: int, periods: Iterable[Period], only: Sequence[int] | None
) -> Iterator[dict[str, str]]:
    """The days that make up the periods and the past days, in every zone that one of the customers has."""
    customers, named = Customer.objects.order_by(), _if_few(only)
    if named is not None:
        customers = customers.filter(pk__in=named)
    for name in customers.values_list("time_zone", flat=True).distinct():
        zone = zone_named(name)
        for period in periods:
            span = span_of(period, now, zone)
            yield _days(name, period.value, span.first_day, span.after_last_day)
        today = local_day(now, zone)
        yield _days(name, "past", today - timedelta(days=past_days - 1), today + timedelta(days=1))


def _days(zone: str, period: str, first: date, after: date) -> dict[str, str]:
    return {"zone": zone, "period": period, "first": first.isoformat(), "after": after.isoformat()}


# By customer, what each open session holds: its channel, agent and minutes by period.
Held: TypeAlias = dict[int, list[tuple[str, str, dict[str, float]]]]


def _held(now: datetime, periods: Iterable[Period]) -> Held:
    """What open sessions hold of the periods, as `usage.usage_from` counts it."""
    rows = Session.objects.holding_at(now).filter(
        customer__isnull=False, counts_toward_call_minutes=True, minutes_top_up_id=None
    )
    of_customer = ("customer_id", "customer__time_zone", "customer__tier__call_hold_minutes")
    found: Held = defaultdict(list)
    spans: dict[str, list[tuple[str, Span]]] = {}
    for customer_id, zone, hold, *row in rows.values_list(*of_customer, *OPEN_COLUMNS):
        session = OpenSession(*row)
        if not was_open_at(session, now):
            continue
        if zone not in spans:
            spans[zone] = [(period.value, span_of(period, now, zone_named(zone))) for period in periods]
        minutes = {period: held_seconds(session, now, span, hold * 60) / 60 for period, span in spans[zone]}
        found[customer_id].append((session.channel_id or "", session.agent_id or "", minutes))
    return found


def _if_few(only: Sequence[int] | None) -> Sequence[int] | None:
    """None where they are everybody, or too many to be named in a statement."""
    return None if only is None or len(only) > MOST_NAMED else only
