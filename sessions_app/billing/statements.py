"""Statements for billing: what each customer used in a month.

A session belongs, whole, to the month in which it starts in the time zone that it is counted in; limits alone split it
at midnight. Its duration is rounded by its tier, and only then added up.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import (
    BooleanField,
    Case,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)

from customers.access import zone_of
from customers.currencies import price_of
from customers.models import Customer, Tier
from customers.past_limits import monthly_call_minutes
from sessions_app.livetok.events import LONGEST_DURATION_SECONDS
from sessions_app.models import DENIED, DailyUsage, Session, StatementLine
from sessions_app.periods import starts_at
from sessions_app.usage.own_days import on_own_days

Roundings = Mapping[int | None, int]


# Where each day begins first.
EARLIEST_ZONE = ZoneInfo("Etc/GMT-14")


@dataclass(frozen=True)
class Month:
    first_day: date

    @classmethod
    def holding(cls, day: date) -> "Month":
        return cls(day.replace(day=1))

    @cached_property
    def after(self) -> date:
        return (self.first_day + timedelta(days=31)).replace(day=1)

    @property
    def last_day(self) -> date:
        return self.after - timedelta(days=1)

    @property
    def next(self) -> "Month":
        return Month(self.after)

    @property
    def previous(self) -> "Month":
        return Month.holding(self.first_day - timedelta(days=1))

    def __str__(self) -> str:
        return f"{self.first_day:%Y-%m}"

    def has_begun(self, now: datetime) -> bool:
        """Anywhere on earth."""
        return now >= starts_at(self.first_day, EARLIEST_ZONE)

    def last_instant(self, zone: ZoneInfo) -> datetime:
        return starts_at(self.after, zone) - timedelta(microseconds=1)


@dataclass(frozen=True)
class Use:
    """Of one channel, or of a difference. `billed_seconds` are rounded session by session."""

    sessions: int = 0
    seconds: int = 0
    billed_seconds: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(
            self.sessions + other.sessions,
            self.seconds + other.seconds,
            self.billed_seconds + other.billed_seconds,
        )

    def __sub__(self, other: "Use") -> "Use":
        return self + Use(-other.sessions, -other.seconds, -other.billed_seconds)


@dataclass(frozen=True)
class Counted:
    """A customer's sessions of a month by channel, and the billed seconds that count toward call minutes.

    Of these, `drawn_call_seconds` came from top-ups, which were paid for otherwise.
    """

    channels: Mapping[str, Use] = field(default_factory=dict)
    billed_call_seconds: int = 0
    drawn_call_seconds: int = 0

    @property
    def total(self) -> Use:
        return sum(self.channels.values(), Use())

    def __add__(self, other: "Counted") -> "Counted":
        names = sorted({*self.channels, *other.channels})
        sums = {name: self.channels.get(name, Use()) + other.channels.get(name, Use()) for name in names}
        return Counted(
            {name: use for name, use in sums.items() if use != Use()},
            self.billed_call_seconds + other.billed_call_seconds,
            self.drawn_call_seconds + other.drawn_call_seconds,
        )

    def __neg__(self) -> "Counted":
        channels = {name: Use() - use for name, use in self.channels.items()}
        return Counted(channels, -self.billed_call_seconds, -self.drawn_call_seconds)

    def seconds_over(self, included_minutes: int) -> int:
        """Billed call seconds, but for those from top-ups, beyond those that are included."""
        return max(0, self.billed_call_seconds - self.drawn_call_seconds - included_minutes * 60)


@dataclass(frozen=True)
class Statement:
    """`included_minutes` of None: unlimited. `is_stored` tells a closed line from one that is counted now.

    `price` is of a minute over; None: the tier had none. `stored_sum` is what a closed line came to.
    """

    customer_number: int
    customer_name: str
    external_id: str
    tier: str
    counted: Counted
    included_minutes: int | None
    price: Decimal | None
    currency: str
    is_stored: bool = False
    stored_sum: Decimal | None = None

    @property
    def over_seconds(self) -> int | None:
        """None where all are included."""
        return None if self.included_minutes is None else self.counted.seconds_over(self.included_minutes)

    @property
    def sum(self) -> Decimal | None:
        """What the minutes over come to, in `currency`; None without a price, or where all minutes are included."""
        return self.stored_sum if self.is_stored else sum_over(self.over_seconds, self.price, self.currency)


def sum_over(over_seconds: int | None, price: Decimal | None, currency: str) -> Decimal | None:
    return None if over_seconds is None or price is None else price_of(over_seconds, price, currency)


def roundings_now() -> dict[int | None, int]:
    return dict(Tier.objects.values_list("pk", "rounding_seconds"))


def customers_of(month: Month, after: int = 0) -> QuerySet[Customer]:
    """Those with a session in the month, of the customers after an id."""
    days = DailyUsage.objects.filter(
        # Said of both: else PostgreSQL reads all usage up to there each time.
        customer__gt=after,
        customer=OuterRef("pk"),
        day__gte=month.first_day,
        day__lt=month.after,
        sessions__gt=0,
    )
    return Customer.objects.filter(Exists(days), pk__gt=after)


def count(customer_ids: Sequence[int], month: Month, roundings: Roundings) -> dict[int, Counted]:
    """What the sessions of the customers come to now, in one snapshot."""
    return _counted(_sessions_of(customer_ids, month), "customer_id", roundings)


def count_by_day(customer_id: int, month: Month, roundings: Roundings) -> dict[date, Counted]:
    """The same of one customer by the days on which the sessions start in their own zones; days without are left out.

    All days together are what `count` finds.
    """
    sessions = _sessions_of([customer_id], month)
    ends = [
        When(
            time_zone=name,
            started_at__lt=starts_at(month.first_day + timedelta(days=number), ZoneInfo(name)),
            then=Value(number),
        )
        for name in sessions.order_by().values_list("time_zone", flat=True).distinct()
        for number in range(1, month.last_day.day + 1)
    ]
    if not ends:
        return {}
    # The first day whose end is later than the session's start.
    numbered = sessions.annotate(day_number=Case(*ends, output_field=IntegerField()))
    counted = _counted(numbered, "day_number", roundings)
    return {month.first_day.replace(day=number): counted[number] for number in sorted(counted)}


def _counted(sessions: QuerySet[Session], by: str, roundings: Roundings) -> dict[int, Counted]:
    rows = (
        sessions.order_by()
        .annotate(draws=_DRAWS_MINUTES)
        .values(by, "channel_id", "tier_id", "counts_toward_call_minutes", "draws")
        .annotate(
            of_sessions=Count("pk"),
            exact=Sum(_SECONDS),
            **{f"by_{step}": Sum(_rounded(step)) for step in Tier.Rounding.values},
        )
    )
    channels: dict[int, dict[str, Use]] = defaultdict(dict)
    calls: dict[int, int] = defaultdict(int)
    drawn: dict[int, int] = defaultdict(int)
    row: dict[str, Any]
    for row in rows:
        # Summed with every rounding: a closed month goes by those that it was closed with, and no row of a session
        # knows them.
        billed = row[f"by_{roundings.get(row['tier_id'], Tier.Rounding.EXACT.value)}"]
        found, channel = channels[row[by]], row["channel_id"] or ""
        found[channel] = found.get(channel, Use()) + Use(row["of_sessions"], row["exact"], billed)
        calls[row[by]] += billed if row["counts_toward_call_minutes"] else 0
        drawn[row[by]] += billed if row["counts_toward_call_minutes"] and row["draws"] else 0
    return {key: Counted(dict(sorted(found.items())), calls[key], drawn[key]) for key, found in channels.items()}


_DRAWS_MINUTES = ExpressionWrapper(Q(minutes_top_up_id__isnull=False), output_field=BooleanField())
_SECONDS = Case(
    When(
        end_received_at__isnull=False,
        duration_seconds__gte=0,
        duration_seconds__lte=LONGEST_DURATION_SECONDS,
        then=F("duration_seconds"),
    ),
    default=Value(0),
    output_field=IntegerField(),
)


def _rounded(step: int) -> Any:
    # Whole numbers, so that both databases divide without the rest: this rounds up.
    return (_SECONDS + (step - 1)) / step * step


def _sessions_of(customer_ids: Sequence[int], month: Month) -> QuerySet[Session]:
    """Those that count, and start in the month where they are counted: what `usage.contribution` counts as sessions."""
    counting = Session.objects.filter(customer_id__in=list(customer_ids), is_test=False).exclude(DENIED)
    return on_own_days(counting, [(month.first_day, month.after)])


def statements(customers: Sequence[Customer], month: Month, roundings: Roundings) -> list[Statement]:
    """Each customer's statement as it would be now, in their order."""
    counted = count([customer.pk for customer in customers], month, roundings)
    included = monthly_call_minutes(
        customers, {customer.pk: month.last_instant(zone_of(customer)) for customer in customers}
    )
    tiers = Tier.objects.in_bulk({row.tier_id for row in included.values()})
    return [
        Statement(
            customer.pk,
            customer.name or customer.external_id or customer.numbered,
            customer.external_id or "",
            str(tiers.get(included[customer.pk].tier_id, "")),
            counted.get(customer.pk, Counted()),
            included[customer.pk].minutes,
            included[customer.pk].price,
            included[customer.pk].currency,
        )
        for customer in customers
    ]


def stored_statement(line: StatementLine) -> Statement:
    channels = {name: Use(*use) for name, use in line.channels.items()}
    return Statement(
        line.customer_number,
        line.customer_name,
        line.external_id,
        line.tier,
        Counted(channels, line.billed_call_seconds, line.drawn_call_seconds),
        line.included_minutes,
        line.price_per_minute_over,
        line.currency,
        is_stored=True,
        stored_sum=line.sum,
    )
