"""Closing a month, so that its statements stay; and with it billing what has changed in months closed before."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from functools import partial

from django.contrib.auth.models import User
from django.db.models import Max, QuerySet
from django.utils import timezone

from customers.models import Customer
from customers.zones import company_zone, zone_named
from sessions_app.billing.corrections import (
    LISTED_AFTER,
    Correction,
    corrections_of,
    customers_after,
    roundings_of,
)
from sessions_app.billing.statements import Month, Statement, customers_of, roundings_now, statements
from sessions_app.database.pieces import in_pieces
from sessions_app.models import PastMonthWrite, StatementLine, StatementMonth
from sessions_app.periods import local_day, starts_at
from sessions_app.sums.pruned import is_month_whole, sessions_since

CUSTOMERS_AT_ONCE = 1000
# Of so many a month is recounted in one transaction, which on SQLite others wait for.
CORRECTIONS_AT_ONCE = 50


class MonthNotOver(Exception):
    """Somewhere among the customers the month still runs."""


class MonthIsGone(Exception):
    """Some of its sessions were deleted by age."""


class MonthIsClosed(Exception):
    """It was closed before."""


def closable_from(month: Month) -> datetime:
    """When the month is over in the time zones of all customers and of the company."""
    return max(starts_at(month.after, zone_named(name)) for name in zones_in_use())


def zones_in_use() -> set[str]:
    """The customers' time zones; blank is the company's."""
    return {"", *Customer.objects.order_by().values_list("time_zone", flat=True).distinct()}


def close_month(month: Month, user: User) -> StatementMonth:
    """Write a line for every customer with a session in the month, and keep them for good; and beside them, as lines of
    their own, what has changed in the months that were closed before.

    In short transactions, so that LiveTok never waits; each line is of one snapshot, and whatever comes after it is a
    correction, billed with the month that is closed next. A closing that was cut short goes on where it stopped.
    """
    began = timezone.now()
    if began < closable_from(month):
        raise MonthNotOver
    if not is_month_whole(month.first_day, sessions_since()):
        raise MonthIsGone
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
    # Closed so soon after its end that some write may not be on the list: recounted whole, this once.
    for before in _closed_before(closed).filter(changes_are_listed=False).order_by("pk"):
        _recount(before, closed)
        _keep_to_list(before, began)
    _recount_listed(closed)
    _keep_to_list(closed, closed.closed_at)
    StatementMonth.objects.filter(pk=closed.pk, finished_at__isnull=True).update(finished_at=timezone.now())
    closed.refresh_from_db()
    return closed


def _closed_before(closed: StatementMonth) -> QuerySet[StatementMonth]:
    """Those whose sessions are all there: of others, a recount would take back what was billed."""
    since = sessions_since()
    found = StatementMonth.objects.filter(finished_at__isnull=False).exclude(pk=closed.pk)
    if since is None:
        return found
    return found.filter(first_day__gt=local_day(since, company_zone()))


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
        drawn_call_seconds=billed.counted.drawn_call_seconds,
        included_minutes=statement.included_minutes,
        over_seconds=billed.over_seconds,
        price_per_minute_over=statement.price,
        currency=statement.currency,
        sum=billed.sum,
    )
