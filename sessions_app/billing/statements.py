"""Statements for billing: what each customer used in a month, and closing a month so that it stays.

A session belongs, whole, to the month in which it starts in the time zone that it is counted in; limits alone split it
at midnight. Its duration is rounded by its tier, and only then added up.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, partial
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Case, Count, Exists, F, IntegerField, Max, OuterRef, QuerySet, Sum, Value, When
from django.utils import timezone

from customers.access import zone_of
from customers.models import Customer, Tier
from customers.past import monthly_call_minutes
from sessions_app.database.pieces import in_pieces
from sessions_app.livetok.events import LONGEST_DURATION_SECONDS
from sessions_app.models import DENIED, DailyUsage, PastMonthWrite, Session, StatementLine, StatementMonth
from sessions_app.periods import starts_at
from sessions_app.usage.own_days import on_own_days

CUSTOMERS_AT_ONCE = 1000
# Of so many a month is recounted in one transaction, which on SQLite others wait for.
CORRECTIONS_AT_ONCE = 50
# Zones are up to sixteen hours from UTC. The rest is for whoever takes a session's hour for the running one, and does
# not list its write, but stands still before it sends it.
LISTED_AFTER = timedelta(days=2)

Roundings = Mapping[int | None, int]


class MonthNotOver(Exception):
    """Somewhere among the customers the month still runs."""


class MonthIsClosed(Exception):
    """It was closed before."""


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
    """A customer's sessions of a month by channel, and the billed seconds that count toward call minutes."""

    channels: Mapping[str, Use] = field(default_factory=dict)
    billed_call_seconds: int = 0

    @property
    def total(self) -> Use:
        return sum(self.channels.values(), Use())

    def __add__(self, other: "Counted") -> "Counted":
        names = sorted({*self.channels, *other.channels})
        sums = {name: self.channels.get(name, Use()) + other.channels.get(name, Use()) for name in names}
        return Counted(
            {name: use for name, use in sums.items() if use != Use()},
            self.billed_call_seconds + other.billed_call_seconds,
        )

    def __neg__(self) -> "Counted":
        return Counted({name: Use() - use for name, use in self.channels.items()}, -self.billed_call_seconds)


@dataclass(frozen=True)
class Statement:
    """`included_minutes` of None: unlimited. `is_stored` tells a closed line from one that is counted now."""

    customer_number: int
    customer_name: str
    external_id: str
    tier: str
    counted: Counted
    included_minutes: int | None
    is_stored: bool = False

    @property
    def over_seconds(self) -> int | None:
        """Billed call seconds beyond those that are included."""
        if self.included_minutes is None:
            return None
        return max(0, self.counted.billed_call_seconds - self.included_minutes * 60)


@dataclass(frozen=True)
class Correction:
    """What is to be billed of a closed month beyond its lines: late or corrected ends, late begins, customers merged.

    `statement` names the customer as it was closed, and what was included.
    """

    statement: Statement
    counted: Counted
    over_seconds: int | None


def roundings_now() -> dict[int | None, int]:
    return dict(Tier.objects.values_list("pk", "rounding_seconds"))


def customers_of(month: Month, after: int = 0) -> QuerySet[Customer]:
    """Those with a session in the month, of the customers after an id."""
    days = DailyUsage.objects.filter(
        # Said of both: else PostgreSQL reads all usage up to there anew each time.
        customer__gt=after,
        customer=OuterRef("pk"),
        day__gte=month.first_day,
        day__lt=month.after,
        sessions__gt=0,
    )
    return Customer.objects.filter(Exists(days), pk__gt=after)


def count(customer_ids: Sequence[int], month: Month, roundings: Roundings) -> dict[int, Counted]:
    """What the sessions of the customers come to now, of one moment."""
    rows = (
        _sessions_of(customer_ids, month)
        .order_by()
        .values("customer_id", "channel_id", "tier_id", "counts_toward_call_minutes")
        .annotate(
            of_sessions=Count("pk"),
            exact=Sum(_SECONDS),
            **{f"by_{step}": Sum(_rounded(step)) for step in Tier.Rounding.values},
        )
    )
    channels: dict[int, dict[str, Use]] = defaultdict(dict)
    calls: dict[int, int] = defaultdict(int)
    row: dict[str, Any]
    for row in rows:  # type: ignore[assignment]
        billed = row[f"by_{roundings.get(row['tier_id'], Tier.Rounding.EXACT.value)}"]
        of_customer, channel = channels[row["customer_id"]], row["channel_id"] or ""
        of_customer[channel] = of_customer.get(channel, Use()) + Use(row["of_sessions"], row["exact"], billed)
        calls[row["customer_id"]] += billed if row["counts_toward_call_minutes"] else 0
    return {pk: Counted(dict(sorted(of_customer.items())), calls[pk]) for pk, of_customer in channels.items()}


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
            str(customer),
            customer.external_id or "",
            str(tiers.get(included[customer.pk].tier_id, "")),
            counted.get(customer.pk, Counted()),
            included[customer.pk].minutes,
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
        Counted(channels, line.billed_call_seconds),
        line.included_minutes,
        is_stored=True,
    )


def corrections_of(closed: StatementMonth, numbers: Sequence[int]) -> dict[int, Correction]:
    """By customer, the difference of a recount to the lines of a closed month, corrections billed since among them.

    Customers without a difference are left out. What is included stays as it was first billed.
    """
    month, roundings = Month(closed.first_day), roundings_of(closed)
    counted = count(numbers, month, roundings)
    lines: dict[int, list[StatementLine]] = defaultdict(list)
    for line in StatementLine.objects.filter(of_month=month.first_day, customer_number__in=numbers).order_by("pk"):
        lines[line.customer_number].append(line)
    newcomers = list(Customer.objects.filter(pk__in=[number for number in counted if number not in lines]))
    told = {}
    if newcomers:
        told = {statement.customer_number: statement for statement in statements(newcomers, month, roundings)}
    told |= {number: stored_statement(of_customer[0]) for number, of_customer in lines.items()}
    found = {}
    for number, statement in sorted(told.items()):
        correction = _correction(statement, counted.get(number, Counted()), lines[number])
        if correction.counted != Counted():
            found[number] = correction
    return found


def _correction(statement: Statement, counted: Counted, lines: Sequence[StatementLine]) -> Correction:
    billed = sum((stored_statement(line).counted for line in lines), Counted())
    over = None
    if statement.included_minutes is not None:
        over_now = max(0, counted.billed_call_seconds - statement.included_minutes * 60)
        over = over_now - sum(line.over_seconds or 0 for line in lines)
    return Correction(statement, counted + -billed, over)


def customers_after(closed: StatementMonth, after: int, most: int) -> list[int]:
    """Of a closed month, the next customers with a line or a session, by their ids; those who are gone included."""
    month = Month(closed.first_day)
    lines = StatementLine.objects.filter(of_month=month.first_day, customer_number__gt=after)
    billed = lines.order_by("customer_number").values_list("customer_number", flat=True).distinct()
    now = customers_of(month, after).order_by("pk").values_list("pk", flat=True)
    return sorted({*billed[:most], *now[:most]})[:most]


def closable_from(month: Month) -> datetime:
    """When the month is over in the time zones of all customers and of the company."""
    names = set(Customer.objects.order_by().values_list("time_zone", flat=True).distinct()) | {""}
    return max(starts_at(month.after, ZoneInfo(name or settings.TIME_ZONE)) for name in names)


def close_month(month: Month, user: User) -> StatementMonth:
    """Write a line for every customer with a session in the month, and keep them for good; and beside them, as lines of
    their own, what has changed in the months that were closed before.

    In short transactions, so that LiveTok never waits; each line is of one moment, and whatever comes after it is a
    correction, billed with the month that is closed next. A closing that was cut short goes on where it stopped.
    """
    began = timezone.now()
    if began < closable_from(month):
        raise MonthNotOver
    closed, _ = StatementMonth.objects.get_or_create(
        first_day=month.first_day,
        defaults={
            "closed_by": user,
            "closed_at": began,
            "roundings": {str(pk): step for pk, step in roundings_now().items()},
        },
    )
    if closed.finished_at is not None:
        raise MonthIsClosed
    for some in _chunks(month):
        told = statements(some, month, roundings_of(closed))
        lines = [_line(closed, statement, statement, of_month=month.first_day) for statement in told]
        # Of two closings at once the first one's line stays.
        in_pieces(
            (line for line in lines if line.sessions),
            partial(StatementLine.objects.bulk_create, ignore_conflicts=True),
        )
    for before in _closed_before(closed).filter(changes_are_listed=False).order_by("pk"):
        _recount(before, closed)
        _keep_to_list(before, began)
    _recount_listed(closed)
    _keep_to_list(closed, closed.closed_at)
    StatementMonth.objects.filter(pk=closed.pk, finished_at__isnull=True).update(finished_at=timezone.now())
    closed.refresh_from_db()
    return closed


def _closed_before(closed: StatementMonth) -> QuerySet[StatementMonth]:
    return StatementMonth.objects.filter(finished_at__isnull=False).exclude(pk=closed.pk)


def _keep_to_list(closed: StatementMonth, counted_from: datetime) -> None:
    """From now on look only at what is listed, if all that was not listed was stored before the sessions were counted.

    A month that is closed sooner is recounted once more, with the month that is closed next.
    """
    over = datetime.combine(Month(closed.first_day).after, time.min, tzinfo=UTC)
    if counted_from >= over + LISTED_AFTER:
        StatementMonth.objects.filter(pk=closed.pk).update(changes_are_listed=True)


def _recount(before: StatementMonth, closed: StatementMonth) -> None:
    """Bill all that has changed in a month closed before."""
    last = 0
    while numbers := customers_after(before, last, CUSTOMERS_AT_ONCE):
        last = numbers[-1]
        _bill_corrections(before, closed, numbers)


def _recount_listed(closed: StatementMonth) -> None:
    """Bill what has changed in the months closed before, going by the list alone.

    Whatever a row on the list tells of is stored, so the recount holds it. Rows that come meanwhile wait for the month
    that is closed next.
    """
    listed = PastMonthWrite.objects.filter(is_recounted=False, month__in=_closed_before(closed).values("pk"))
    newest, last = listed.aggregate(newest=Max("pk", default=0))["newest"], 0
    while writes := list(listed.filter(pk__gt=last, pk__lte=newest).order_by("pk")[:CUSTOMERS_AT_ONCE]):
        last = writes[-1].pk
        for before in StatementMonth.objects.filter(pk__in={write.month for write in writes}).order_by("pk"):
            numbers = {write.customer_number for write in writes if write.month == before.pk}
            _bill_corrections(before, closed, sorted(numbers))
        # By their ids: one with a lower number may be stored later.
        PastMonthWrite.objects.filter(pk__in=[write.pk for write in writes]).update(is_recounted=True)


def _bill_corrections(before: StatementMonth, closed: StatementMonth, numbers: Sequence[int]) -> None:
    in_pieces(corrections_of(before, numbers), partial(_bill, before, closed), batch=CORRECTIONS_AT_ONCE)


def _bill(before: StatementMonth, closed: StatementMonth, wrong: Sequence[int]) -> None:
    # Of two months closed at once, only one bills a correction: the other waits, and looks again.
    StatementMonth.objects.select_for_update().get(pk=before.pk)
    corrections = corrections_of(before, wrong)
    # A closing that was cut short has billed some already, which have changed again: with the next one.
    billed = closed.lines.filter(of_month=before.pk, customer_number__in=list(corrections))
    later = set(billed.values_list("customer_number", flat=True))
    StatementLine.objects.bulk_create(
        _line(closed, correction.statement, correction, of_month=before.first_day)
        for number, correction in corrections.items()
        if number not in later
    )
    PastMonthWrite.objects.bulk_create(
        PastMonthWrite(customer_number=number, month=before.first_day, noted_at=timezone.now())
        for number in sorted(later)
    )


def roundings_of(closed: StatementMonth) -> dict[int | None, int]:
    return {int(pk): step for pk, step in closed.roundings.items()}


def _chunks(month: Month) -> Iterator[list[Customer]]:
    last = 0
    while some := list(customers_of(month, last).order_by("pk")[:CUSTOMERS_AT_ONCE]):
        yield some
        last = some[-1].pk


def _line(
    closed: StatementMonth, statement: Statement, billed: Statement | Correction, *, of_month: date
) -> StatementLine:
    """What is billed of a customer that the statement names, with the month that is being closed."""
    total = billed.counted.total
    return StatementLine(
        month=closed,
        of_month=of_month,
        customer_number=statement.customer_number,
        customer_name=statement.customer_name,
        external_id=statement.external_id,
        tier=statement.tier,
        channels={
            name: [use.sessions, use.seconds, use.billed_seconds] for name, use in billed.counted.channels.items()
        },
        sessions=total.sessions,
        seconds=total.seconds,
        billed_seconds=total.billed_seconds,
        billed_call_seconds=billed.counted.billed_call_seconds,
        included_minutes=statement.included_minutes,
        over_seconds=billed.over_seconds,
    )
