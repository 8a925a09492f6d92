"""The worker's part: summing hours once they are over, and counting again those that late writes have changed.

What is kept is counted in one snapshot, and then written in short transactions, since on SQLite others have to wait for
each. Pages do not trust it until the last of them: new hours lie beyond the mark, and changed ones on the list of late
writes. A late write that the snapshot shows is counted with it, and only then taken off the list; one that it does not
show stays on the list for the next time.

One process at a time keeps them, by a lease. What counts is that each of its transactions requires the lease: one that
slept while another took over would else write what it had counted before over what the other one counted since.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Exists, Max, Min, OuterRef, QuerySet
from django.db.models.functions import Reverse
from django.utils import timezone

from customers.zones import company_zone
from sessions_app.database.pieces import bulk_transaction, delete_in_pieces, in_pieces
from sessions_app.database.snapshots import one_snapshot
from sessions_app.leases import Held, turn_at
from sessions_app.models import (
    CallerNumber,
    DayCell,
    DayPeak,
    DaySums,
    HourSums,
    LateWrite,
    Session,
    SumsMark,
    WeekSums,
)
from sessions_app.periods import ONE_DAY, ONE_WEEK, Hour, hour_of, hours_of, local_day, starts_at, week_of
from sessions_app.sums.callers import pack, unpack
from sessions_app.sums.counting import Amounts, Cell, Sums, callers_apart, count_apart, within
from sessions_app.sums.peaks import LONGEST_WITHOUT_END, most_at_once
from sessions_app.sums.reading import sums_of_days

# An hour is summed when it has been over for so long: clocks of several machines may differ by as much.
GRACE = timedelta(minutes=5)
# What one snapshot is kept for.
SESSIONS_AT_ONCE = 5000
HOURS_AT_ONCE = 6
LATE_WRITES_AT_ONCE = 5000
PEAKS_EVERY = timedelta(minutes=5)

LEASE_NAME = "sums"

ShouldStop = Callable[[], bool]
Row = TypeVar("Row")


def keep_sums(should_stop: ShouldStop = lambda: False) -> None:
    """Bring the sums up to now, and the most sessions at once of the days that they belong to.

    Waits while another process does. Raises LeaseLost where one took over, since this one slept.
    """
    with turn_at(LEASE_NAME, should_stop) as held:
        if held is None:
            return
        if _mark().zone != company_zone().key:
            _forget(held)
        while not should_stop() and (_count_late(held) or _count_next(held) or _sum_next_week(held)):
            pass
        _find_peaks(held, should_stop)


def forget_sums() -> None:
    """Throw the sums away, to be counted again from the oldest session on. Waits and raises as `keep_sums` does."""
    with turn_at(LEASE_NAME) as held:
        assert held is not None
        _forget(held)


def _forget(held: Held) -> None:
    # Until all are gone, the mark is of no zone, and nobody trusts what is left.
    since = _mark().sessions_since
    _write_mark(held, until=None, peaks_at=None, stale_peaks=[], zone="")
    for rows in _countable(since):
        delete_in_pieces(rows.order_by("pk"), require=held.require)
    # What cannot be counted again stays as it is, by the days of the zone that it was counted in.
    _write_mark(held, zone=company_zone().key, until=since)


def _countable(since: datetime | None) -> list[QuerySet[Any]]:
    """All sums, but those of sessions that were deleted by age."""
    if since is None:
        return [model._default_manager.all() for model in (HourSums, DaySums, DayCell, WeekSums, DayPeak, CallerNumber)]
    hours = HourSums.objects.filter(starts_at__lt=since).aggregate(last=Max("day"))["last"]
    first = hours + ONE_DAY if hours else local_day(since, company_zone())
    return [
        HourSums.objects.filter(starts_at__gte=since),
        *(model._default_manager.filter(day__gte=first) for model in (DaySums, DayCell, DayPeak)),
        WeekSums.objects.filter(starts_on__gte=week_of(first)),
    ]


def _mark() -> SumsMark:
    return SumsMark.objects.get_or_create(pk=1, defaults={"zone": company_zone().key})[0]


def _write_mark(held: Held, **changes: Any) -> None:
    _mark()
    with _transaction(held):
        SumsMark.objects.filter(pk=1).update(**changes)


@contextmanager
def _transaction(held: Held) -> Iterator[None]:
    with bulk_transaction():
        held.require()
        yield


def _write_in_pieces(held: Held, rows: Iterable[Row], write: Callable[[list[Row]], object]) -> None:
    def write_some(some: list[Row]) -> None:
        held.require()
        write(some)

    in_pieces(rows, write_some)


def _count_next(held: Held) -> bool:
    """Sum the next hours that have sessions and are over for good, and pass those without. Whether the mark moved."""
    over_before = _over_before()
    zone, mark = company_zone(), _mark()
    with one_snapshot():
        hours, until = _hours_to_sum(mark.until, over_before)
        counted = _counted(hours)
    if not hours and (mark.until is None or until <= mark.until):
        return False
    _keep(held, counted)
    days = {hour.day for hour in hours} | ({local_day(mark.until, zone)} if mark.until else set())
    _sum_days(held, (day for day in days if starts_at(day + ONE_DAY, zone) <= until))
    # All of these hours are of one day.
    _write_mark(held, until=until, stale_peaks=_with(mark.stale_peaks, {hour.day for hour in hours[:1]}))
    return True


def _hours_to_sum(since: datetime | None, over_before: datetime) -> tuple[list[Hour], datetime]:
    """The next hours with sessions, if there are any, and until when all is summed with them."""
    until = hour_of(over_before, company_zone()).starts_at
    sessions = Session.objects.filter(started_at__gte=since) if since else Session.objects.all()
    first = sessions.aggregate(first=Min("started_at"))["first"]
    if first is None or first >= until:
        return [], until
    hours = _next_hours(first, until)
    return hours, hours[-1].ends_before


def _with(stale_peaks: Iterable[str], days: Iterable[date]) -> list[str]:
    return sorted({*stale_peaks, *(day.isoformat() for day in days)})


def _next_hours(first: datetime, until: datetime) -> list[Hour]:
    """The hours of a day from the one that holds `first`, as many as have few sessions together; at least one."""
    zone = company_zone()
    of_day = hours_of(local_day(first, zone), zone)
    hours = [hour for hour in of_day if hour.ends_before > first and hour.starts_at < until]
    starts = Session.objects.filter(started_at__gte=first).order_by("started_at").values_list("started_at", flat=True)
    for beyond in starts[SESSIONS_AT_ONCE : SESSIONS_AT_ONCE + 1]:
        return hours[:1] + [hour for hour in hours[1:] if hour.ends_before <= beyond]
    return hours


def _over_before() -> datetime:
    """Hours that end before it are over for good: who writes to one of their sessions from now on knows it is late.

    Whoever took such an hour for the running one did so before the grace began, and has ended its transaction.
    """
    now = timezone.now()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_OLDEST_WRITER)
            (oldest,) = cursor.fetchone()
        now = min(now, oldest or now)
    return now - GRACE


# A statement that runs may be about to write its first row, and has no transaction id before that.
_OLDEST_WRITER = """SELECT min(xact_start) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
AND (backend_xid IS NOT NULL OR state = 'active')"""


def _count_late(held: Held) -> bool:
    """Count some of the hours again that late writes have changed. Whether there were such writes."""
    if not LateWrite.objects.exists():
        return False
    zone, mark = company_zone(), _mark()
    with one_snapshot():
        writes = {
            write.pk: hour_of(write.started_at, zone)
            for write in LateWrite.objects.order_by("pk")[:LATE_WRITES_AT_ONCE]
        }
        # Hours whose sessions were deleted by age stay as they were counted.
        since = mark.sessions_since
        summed = {
            hour
            for hour in writes.values()
            if mark.until is not None and hour.starts_at < mark.until and (since is None or hour.starts_at >= since)
        }
        hours = sorted(summed)[:HOURS_AT_ONCE]
        counted = _counted(hours)
    _keep(held, counted)
    days = {hour.day for hour in hours}
    are_whole = (day for day in days if mark.until is not None and starts_at(day + ONE_DAY, zone) <= mark.until)
    _sum_days(held, are_whole)
    _write_mark(held, stale_peaks=_with(mark.stale_peaks, _reached_from(days)))
    # A write to an hour beyond the mark needs no list: that hour is counted when its turn comes.
    seen = [pk for pk, hour in writes.items() if hour not in summed or hour in hours]
    _write_in_pieces(held, seen, lambda some: LateWrite.objects.filter(pk__in=some).delete())
    return True


def _reached_from(days: Iterable[date]) -> set[date]:
    """The days on which sessions that start on `days` may still take place, until today."""
    today = local_day(timezone.now(), company_zone())
    reach = LONGEST_WITHOUT_END.days
    return {day + number * ONE_DAY for day in days for number in range(reach + 1) if day + number * ONE_DAY <= today}


@dataclass(frozen=True)
class _Counted:
    """What the sessions of some hours come to, and the numbers that they came from, with each number backwards."""

    hours: Sequence[Hour]
    sums: list[HourSums]
    numbers: list[tuple[str, str]]


def _counted(hours: Sequence[Hour]) -> _Counted:
    if not hours:
        return _Counted((), [], [])
    pieces = [(hour.starts_at, hour.ends_before) for hour in hours]
    counted, callers = count_apart(pieces), callers_apart(pieces)
    rows = [
        _hour_sums(hour, sums, of_hour, is_test)
        for is_test in counted
        for hour, sums, of_hour in zip(hours, counted[is_test], callers[is_test], strict=True)
        if sums.cells
    ]
    named = within(pieces, None).exclude(phone_key="")
    unknown = named.exclude(Exists(CallerNumber.objects.filter(key=OuterRef("phone_key")))).distinct()
    return _Counted(hours, rows, list(unknown.values_list("phone_key", Reverse("phone_key"))))


def _keep(held: Held, counted: _Counted) -> None:
    numbers = (CallerNumber(key=key, backwards=backwards) for key, backwards in counted.numbers)
    _write_in_pieces(held, numbers, lambda some: CallerNumber.objects.bulk_create(some, ignore_conflicts=True))
    if counted.hours:
        with _transaction(held):
            HourSums.objects.filter(starts_at__in=[hour.starts_at for hour in counted.hours]).delete()
            HourSums.objects.bulk_create(counted.sums)


def _hour_sums(hour: Hour, sums: Sums, callers: set[int], is_test: bool) -> HourSums:
    total = sums.total
    cells, durations = sums.as_kept()
    return HourSums(
        starts_at=hour.starts_at,
        day=hour.day,
        hour=hour.hour,
        is_test=is_test,
        sessions=total.sessions,
        denied=sums.denied,
        seconds=total.seconds,
        cells=cells,
        durations=durations,
        callers=pack(callers),
    )


def _sum_days(held: Held, days: Iterable[date]) -> None:
    """Add up the hours of whole days. Their weeks are to be added up again."""
    for day in sorted(days):
        sums, cells = _day_sums(day)
        with _transaction(held):
            WeekSums.objects.filter(starts_on=week_of(day)).delete()
            DaySums.objects.filter(day=day).delete()
            DayCell.objects.filter(day=day).delete()
            DaySums.objects.bulk_create(sums)
        _write_in_pieces(held, cells, DayCell.objects.bulk_create)


def _day_sums(day: date) -> tuple[list[DaySums], list[DayCell]]:
    days, cells = [], []
    for is_test in (False, True):
        hours = list(HourSums.objects.filter(day=day, is_test=is_test))
        if not hours:
            continue
        sums, callers = Sums(), set[int]()
        for hour in hours:
            sums.add_kept(hour.cells, hour.durations)
            callers.update(unpack(hour.callers))
        days.append(DaySums(day=day, is_test=is_test, durations=dict(sums.durations), callers=pack(callers)))
        cells += [_day_cell(day, is_test, cell, amounts) for cell, amounts in sums.cells.items()]
    return days, cells


def _day_cell(day: date, is_test: bool, cell: Cell, amounts: Amounts) -> DayCell:
    return DayCell(
        day=day,
        is_test=is_test,
        tier_id=cell.tier or None,
        channel=cell.channel,
        agent=cell.agent,
        outcome=cell.outcome,
        reason=cell.reason,
        sessions=amounts.sessions,
        timed=amounts.timed,
        seconds=amounts.seconds,
    )


def _sum_next_week(held: Held) -> bool:
    """Add up the days of a week that is over. Whether there was one without sums."""
    weeks = _weeks_without_sums(_mark())
    for week in weeks[:1]:
        _sum_week(held, week)
    return bool(weeks)


def _weeks_without_sums(mark: SumsMark) -> list[date]:
    days = DaySums.objects.order_by().values_list("day", flat=True).distinct()
    weeks = {week_of(day) for day in days} - set(WeekSums.objects.values_list("starts_on", flat=True))
    return sorted(week for week in weeks if mark.until and starts_at(week + ONE_WEEK, company_zone()) <= mark.until)


def _sum_week(held: Held, week: date) -> None:
    rows = []
    for is_test in (False, True):
        sums, callers = sums_of_days(week, week + ONE_WEEK, is_test)
        cells, durations = sums.as_kept()
        rows.append(WeekSums(starts_on=week, is_test=is_test, cells=cells, durations=durations, callers=pack(callers)))
    with _transaction(held):
        WeekSums.objects.bulk_create(rows)


def _find_peaks(held: Held, should_stop: ShouldStop) -> None:
    """The most sessions at once, of the days that have changed; of today, which changes all the time, now and then."""
    mark, now, zone = _mark(), timezone.now(), company_zone()
    today = local_day(now, zone)
    days = {date.fromisoformat(text) for text in mark.stale_peaks} - {today}
    # Also where the clock went back: else today's would stand until the old time comes again.
    if mark.peaks_at is None or not timedelta() <= now - mark.peaks_at < PEAKS_EVERY:
        days.add(today)
    for day in sorted(days):
        if should_stop():
            return
        _find_peaks_of(held, day, now)


def _find_peaks_of(held: Held, day: date, now: datetime) -> None:
    zone = company_zone()
    with one_snapshot():
        found = most_at_once(day, zone, now)
    with _transaction(held):
        DayPeak.objects.filter(day=day).delete()
        DayPeak.objects.bulk_create(
            DayPeak(day=day, is_test=is_test, channel=channel, most=peak.most, reached_at=peak.reached_at)
            for is_test, peaks in found.items()
            for channel, peak in peaks.items()
        )
    stale_peaks = [text for text in _mark().stale_peaks if text != day.isoformat()]
    _write_mark(held, stale_peaks=stale_peaks, **({"peaks_at": now} if day == local_day(now, zone) else {}))
