"""Which limits are used up often, by day, week and month: worked out from the daily sums for all customers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple, TypeAlias

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateField, F, Func, Q, Sum
from django.db.models.sql.compiler import SQLCompiler

from customers.access import zone_of
from customers.limits import Limit, Metric, Period
from customers.models import Customer, LimitOverride, TierLimit
from sessions_app.models import DailyUsage
from sessions_app.periods import ONE_DAY, days_of, first_of_earlier, local_day
from sessions_app.usage.counting import FILLED_BY
from sessions_app.usage.standing import limits_in_force_of, with_limits


@dataclass(frozen=True)
class Often:
    """When a limit is used up often: `percent` of it in `at_least` of the last `periods`, this one included."""

    periods: int
    percent: int
    at_least: int


# How often a limit of each period has to be used up for its customer to be one who should upgrade.
CLOSE_PERCENT = 80
OFTEN = {
    Period.DAY: Often(14, CLOSE_PERCENT, 5),
    Period.WEEK: Often(4, CLOSE_PERCENT, 2),
    Period.MONTH: Often(2, 100, 1),
}
CUSTOMERS_AT_ONCE = 500


class Filled(NamedTuple):
    """The first days of the periods that `OFTEN` looks at in which a limit was used to 80 % or more, and wholly."""

    customer_id: int
    limit: Limit
    close: list[date]
    reached: list[date]

    @property
    def is_often(self) -> bool:
        often = OFTEN[self.limit.period]
        return len(self.close if often.percent == CLOSE_PERCENT else self.reached) >= often.at_least


class FirstDay(Func):
    """The first day of the week or month that a day lies in, worked out by the database itself, which SQLite's own
    functions do."""

    output_field = DateField()
    # By period: PostgreSQL's word and SQLite's.
    WORDS = {Period.WEEK: ("week", "'-6 days', 'weekday 1'"), Period.MONTH: ("month", "'start of month'")}

    def __init__(self, day: str, period: Period) -> None:
        super().__init__(day)
        self.period = period

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> tuple[str, Any]:
        template = f"CAST(date_trunc('{self.WORDS[self.period][0]}', %(expressions)s) AS date)"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> tuple[str, Any]:
        return self.as_sql(
            compiler, connection, template=f"date(%(expressions)s, {self.WORDS[self.period][1]})", **context
        )


def often_filled(now: datetime) -> list[Filled]:
    """The limits that are in force now and were used up often, of every customer."""
    ids = _may_have_filled(now)
    some_at_once = (ids[first : first + CUSTOMERS_AT_ONCE] for first in range(0, len(ids), CUSTOMERS_AT_ONCE))
    return [filled for some in some_at_once for filled in filled_of(some, now) if filled.is_often]


def _may_have_filled(now: datetime) -> list[int]:
    """The customers who may have used a limit up often, and others: one pass over the sums leaves few.

    Whoever used less since the first of a limit's periods than it takes to be used up often has not done so.
    """
    enough: dict[int, Q] = defaultdict(Q)
    asked: dict[str, Sum] = {}
    # It may be yesterday somewhere.
    first = {period: _oldest(period, now.date() - ONE_DAY) for period in OFTEN}
    for limit in TierLimit.objects.filter(hard=True, amount__gt=0, metric__in=FILLED_BY).order_by():
        column, unit = FILLED_BY[Metric(limit.metric)]
        period = Period(limit.period)
        often, total = OFTEN[period], f"{column}_{period}"
        least = (limit.amount or 0) * unit * often.percent * often.at_least // 100
        enough[limit.tier_id] |= Q(**{f"{total}__gte": least})
        asked[total] = Sum(column, filter=Q(day__gte=first[period]))
    overridden = LimitOverride.objects.filter(hard=True, amount__gt=0, metric__in=FILLED_BY).order_by()
    found = set(overridden.values_list("customer_id", flat=True))
    if not enough:
        return sorted(found)
    wanted = Q()
    for tier_id, of_tier in enough.items():
        wanted |= Q(of_tier, customer__tier_id=tier_id)
    used = DailyUsage.objects.filter(day__gte=min(first.values())).order_by().values("customer_id", "customer__tier_id")
    sums = used.annotate(**asked)
    return sorted(found.union(sums.filter(wanted).values_list("customer_id", flat=True)))


def _oldest(period: Period, today: date) -> date:
    """The first day of the first of the periods that `OFTEN` looks at."""
    return first_of_earlier(period, days_of(period, today)[0], OFTEN[period].periods - 1)


def filled_of(customer_ids: Sequence[int], now: datetime) -> Iterator[Filled]:
    """How each limit of some customers was used up that is hard, in force now, and uses up within a period."""
    limits: dict[Period, dict[int, list[Limit]]] = {period: defaultdict(list) for period in OFTEN}
    today: dict[int, date] = {}
    for customer in with_limits(Customer.objects.filter(pk__in=customer_ids), now):
        today[customer.pk] = local_day(now, zone_of(customer))
        for limit in limits_in_force_of(customer):
            if limit.hard and limit.amount and limit.metric in FILLED_BY:
                limits[limit.period][customer.pk].append(limit)
    for period, of_customers in limits.items():
        used = _used(period, {pk: today[pk] for pk in of_customers}) if of_customers else {}
        for customer_id, of_customer in of_customers.items():
            for limit in of_customer:
                yield _filled(customer_id, limit, used.get(customer_id, ()))


# Of a period: its first day, the channel and agent, and what was used by FILLED_BY's columns.
Used: TypeAlias = tuple[date, str, str, dict[str, int]]


def _used(period: Period, today: Mapping[int, date]) -> dict[int, list[Used]]:
    """What customers used in each of the periods, by customer; `today` is each one's."""
    first, last = _oldest(period, min(today.values())), max(today.values())
    days = DailyUsage.objects.filter(customer_id__in=list(today), day__gte=first, day__lte=last).order_by()
    of_period = F("day") if period is Period.DAY else FirstDay("day", period)
    rows = days.annotate(first=of_period).values_list("customer_id", "first", "channel", "agent")
    oldest = {day: _oldest(period, day) for day in set(today.values())}
    found: dict[int, list[Used]] = defaultdict(list)
    sums = (Sum(F("sessions") - F("drawn_sessions")), Sum(F("call_seconds") - F("drawn_call_seconds")))
    for customer_id, first_day, channel, agent, sessions, seconds in rows.annotate(
        of_sessions=sums[0], of_calls=sums[1]
    ):
        if oldest[today[customer_id]] <= first_day <= today[customer_id]:
            found[customer_id].append((first_day, channel, agent, {"sessions": sessions, "call_seconds": seconds}))
    return found


def _filled(customer_id: int, limit: Limit, used: Iterable[Used]) -> Filled:
    column, unit = FILLED_BY[limit.metric]
    sums: Counter[date] = Counter()
    for first_day, channel, agent, amounts in used:
        if limit.applies_to(channel, agent):
            sums[first_day] += amounts[column]
    whole = (limit.amount or 0) * unit
    # In whole numbers: what is just used up is so.
    close, reached = (
        sorted(day for day, amount in sums.items() if amount * 100 >= whole * percent)
        for percent in (CLOSE_PERCENT, 100)
    )
    return Filled(customer_id, limit, close, reached)


def which_filled(customer_id: int, limit: Limit, now: datetime) -> Filled | None:
    """Of one customer's limit; None where it has no such limit now. Of `limit` its key alone matters."""
    return next((filled for filled in filled_of([customer_id], now) if filled.limit.key == limit.key), None)
