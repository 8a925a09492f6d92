"""The worker's part: summing hours once they are over, and counting anew those that late writes have changed.

Each hour is summed in a transaction of its own, from one snapshot. A late write that the snapshot shows is counted
with it, and only then taken off the list; one that it does not show stays on the list for the next time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta

from django.db import connection, transaction
from django.db.models import Min
from django.db.models.functions import Reverse
from django.utils import timezone

from sessions_app.models import (
    CallerNumber,
    DayCell,
    DayPeak,
    DaySums,
    HourSums,
    LateWrite,
    Session,
    SessionQuerySet,
    SumsMark,
    WeekSums,
)
from sessions_app.periods import ONE_DAY, ONE_WEEK, Hour, hour_of, hours_of, local_day, starts_at, week_of
from sessions_app.snapshots import one_snapshot
from sessions_app.sums.callers import pack, unpack
from sessions_app.sums.counting import Sums, callers_apart, count_apart, within
from sessions_app.sums.late import company_zone
from sessions_app.sums.peaks import LONGEST_WITHOUT_END, most_at_once
from sessions_app.sums.reading import sums_of_days

# An hour is summed when it has been over for so long: clocks of several machines may differ by as much.
GRACE = timedelta(minutes=5)
# On SQLite, others wait meanwhile.
SESSIONS_AT_ONCE = 5000
HOURS_AT_ONCE = 6
LATE_WRITES_AT_ONCE = 5000
PEAKS_EVERY = timedelta(minutes=5)

ShouldStop = Callable[[], bool]


def keep_sums(should_stop: ShouldStop = lambda: False) -> None:
    """Bring the sums up to now, and the most sessions at once of the days that they belong to."""
    if _mark().zone != company_zone().key:
        forget_sums()
    while not should_stop() and (_count_late() or _count_next() or _sum_next_week()):
        pass
    _find_peaks(should_stop)


def forget_sums() -> None:
    """Throw the sums away, to be counted again from the oldest session on."""
    with _keeping() as mark:
        for model in (HourSums, DaySums, DayCell, WeekSums, DayPeak, CallerNumber):
            model.objects.all().delete()
        mark.until, mark.peaks_at, mark.stale_peaks, mark.zone = None, None, [], company_zone().key
        mark.save()


def _mark() -> SumsMark:
    return SumsMark.objects.get_or_create(pk=1, defaults={"zone": company_zone().key})[0]


@contextmanager
def _keeping() -> Iterator[SumsMark]:
    """A transaction of one snapshot, taken when no other process keeps sums."""
    _mark()
    with _one_at_a_time():
        needs_asking = connection.vendor == "postgresql" and not connection.in_atomic_block
        with transaction.atomic():
            if needs_asking:
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield SumsMark.objects.get(pk=1)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """A lock of PostgreSQL's outside the transaction, which a wait within would leave with a stale snapshot."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('frontdesk sums'))")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('frontdesk sums'))")


def _count_next() -> bool:
    """Sum the next hours that have sessions and are over for good, and pass those without. Whether the mark moved."""
    over_before = _over_before()
    with _keeping() as mark:
        zone = company_zone()
        sessions = Session.objects.filter(started_at__gte=mark.until) if mark.until else Session.objects.all()
        first = sessions.aggregate(first=Min("started_at"))["first"]
        until = hour_of(over_before, zone).starts_at
        hours = []
        if first is not None and first < until:
            hours = _next_hours(first, until)
            until = hours[-1].ends_before
            _count_anew(hours)
            mark.stale_peaks = sorted({*mark.stale_peaks, hours[0].day.isoformat()})
        elif mark.until is None or until <= mark.until:
            return False
        days = {hour.day for hour in hours} | ({local_day(mark.until, zone)} if mark.until else set())
        _sum_days(day for day in days if starts_at(day + ONE_DAY, zone) <= until)
        mark.until = until
        mark.save()
    return True


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


_OLDEST_WRITER = """SELECT min(xact_start) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
AND (backend_xid IS NOT NULL OR state = 'active')"""


def _count_late() -> bool:
    """Count some of the hours anew that late writes have changed. Whether there were such writes."""
    if not LateWrite.objects.exists():
        return False
    with _keeping() as mark:
        zone = company_zone()
        writes = {
            write.pk: hour_of(write.started_at, zone)
            for write in LateWrite.objects.order_by("pk")[:LATE_WRITES_AT_ONCE]
        }
        summed = {hour for hour in writes.values() if mark.until is not None and hour.starts_at < mark.until}
        hours = sorted(summed)[:HOURS_AT_ONCE]
        seen = [pk for pk, hour in writes.items() if hour not in summed or hour in hours]
        _count_anew(hours)
        days = {hour.day for hour in hours}
        _sum_days(day for day in days if mark.until is not None and starts_at(day + ONE_DAY, zone) <= mark.until)
        mark.stale_peaks = sorted({*mark.stale_peaks, *(day.isoformat() for day in _reached_from(days))})
        mark.save()
        LateWrite.objects.filter(pk__in=seen).delete()
    return True


def _reached_from(days: Iterable[date]) -> set[date]:
    """The days on which sessions that start on `days` may still take place, until today."""
    today = local_day(timezone.now(), company_zone())
    reach = LONGEST_WITHOUT_END.days
    return {day + number * ONE_DAY for day in days for number in range(reach + 1) if day + number * ONE_DAY <= today}


def _count_anew(hours: Sequence[Hour]) -> None:
    if not hours:
        return
    HourSums.objects.filter(starts_at__in=[hour.starts_at for hour in hours]).delete()
    pieces = [(hour.starts_at, hour.ends_before) for hour in hours]
    counted, callers = count_apart(pieces), callers_apart(pieces)
    HourSums.objects.bulk_create(
        _hour_sums(hour, sums, of_hour, is_test)
        for is_test in counted
        for hour, sums, of_hour in zip(hours, counted[is_test], callers[is_test], strict=True)
        if sums.cells
    )
    _learn_numbers(within(pieces, None))


def _learn_numbers(sessions: SessionQuerySet) -> None:
    """In the database alone: most of the numbers are known."""
    keys = sessions.exclude(phone_key="").values_list("phone_key", Reverse("phone_key")).distinct()
    sql, values = keys.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {_NUMBERS} (key, backwards) {sql} ON CONFLICT DO NOTHING", values)


_NUMBERS = CallerNumber._meta.db_table


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


def _sum_days(days: Iterable[date]) -> None:
    """Add up the hours of whole days. Their weeks are to be added up again."""
    for day in sorted(days):
        WeekSums.objects.filter(starts_on=week_of(day)).delete()
        DayCell.objects.filter(day=day).delete()
        DaySums.objects.filter(day=day).delete()
        for is_test in (False, True):
            hours = list(HourSums.objects.filter(day=day, is_test=is_test))
            if hours:
                _sum_day(day, hours, is_test)


def _sum_day(day: date, hours: Iterable[HourSums], is_test: bool) -> None:
    sums, callers = Sums(), set[int]()
    for hour in hours:
        sums.add_kept(hour.cells, hour.durations)
        callers.update(unpack(hour.callers))
    DaySums.objects.create(day=day, is_test=is_test, durations=dict(sums.durations), callers=pack(callers))
    DayCell.objects.bulk_create(
        DayCell(
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
        for cell, amounts in sums.cells.items()
    )


def _sum_next_week() -> bool:
    """Add up the days of a week that is over. Whether there was one without sums."""
    if not _weeks_without_sums(_mark()):
        return False
    with _keeping() as mark:
        for week in _weeks_without_sums(mark)[:1]:
            _sum_week(week)
    return True


def _weeks_without_sums(mark: SumsMark) -> list[date]:
    days = DaySums.objects.order_by().values_list("day", flat=True).distinct()
    weeks = {week_of(day) for day in days} - set(WeekSums.objects.values_list("starts_on", flat=True))
    return sorted(week for week in weeks if mark.until and starts_at(week + ONE_WEEK, company_zone()) <= mark.until)


def _sum_week(week: date) -> None:
    for is_test in (False, True):
        sums, callers = sums_of_days(week, week + ONE_WEEK, is_test)
        cells, durations = sums.as_kept()
        WeekSums.objects.create(
            starts_on=week, is_test=is_test, cells=cells, durations=durations, callers=pack(callers)
        )


def _find_peaks(should_stop: ShouldStop) -> None:
    """The most sessions at once, of the days that have changed; of today, which changes all the time, now and then."""
    mark, now, zone = _mark(), timezone.now(), company_zone()
    today = local_day(now, zone)
    days = {date.fromisoformat(text) for text in mark.stale_peaks} - {today}
    if mark.peaks_at is None or not timedelta() <= now - mark.peaks_at < PEAKS_EVERY:
        days.add(today)
    for day in sorted(days):
        if should_stop():
            return
        with _one_at_a_time():
            _find_peaks_of(day, now)


def _find_peaks_of(day: date, now: datetime) -> None:
    zone = company_zone()
    with one_snapshot():
        found = most_at_once(day, zone, now)
    with transaction.atomic():
        DayPeak.objects.filter(day=day).delete()
        DayPeak.objects.bulk_create(
            DayPeak(day=day, is_test=is_test, channel=channel, most=peak.most, reached_at=peak.reached_at)
            for is_test, peaks in found.items()
            for channel, peak in peaks.items()
        )
        mark = SumsMark.objects.get(pk=1)
        mark.stale_peaks = [text for text in mark.stale_peaks if text != day.isoformat()]
        if day == local_day(now, zone):
            mark.peaks_at = now
        mark.save()
