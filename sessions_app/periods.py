"""Hours, days, weeks and months in a time zone. Pure: no database, clock or settings.

A day starts at its first instant, also where a change of the clock skips midnight; weeks start on Monday.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from customers.limits import Period

ONE_DAY = timedelta(days=1)
ONE_WEEK = timedelta(weeks=1)
QUARTER = timedelta(minutes=15)
# How long a session without a channel counts as open.
LONGEST_WITHOUT_CHANNEL = timedelta(hours=24)
# Of sessions, in days: a month has up to 31; it is closed in the next one, and what changed in it since is billed with
# the one after that. A week more, since a session may be open for so long.
LEAST_RETENTION_DAYS = 31 + 31 + 31 + 7


@lru_cache(maxsize=4096)
def starts_at(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, in UTC."""
    midnight = datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
    local = midnight.astimezone(zone)
    if local.date() == day and local.time() == time.min:
        return midnight
    # The clock skipped midnight, or the whole day: the first instant that is not of an earlier day.
    before, after = midnight - timedelta(hours=30), midnight + timedelta(hours=30)
    while after - before > timedelta(microseconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).date() < day:
            before = middle
        else:
            after = middle
    return after


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The local day that holds `moment`: the one whose first instant came last."""
    day = moment.astimezone(zone).date()
    # Where the clock goes back over midnight, the wall shows yesterday's date once more.
    return day + ONE_DAY if moment >= starts_at(day + ONE_DAY, zone) else day


def same_time_on(day: date, moment: datetime, zone: ZoneInfo) -> datetime:
    """When a clock on the wall shows on a local day what it shows at `moment`, in UTC and within that day."""
    then = datetime.combine(day, moment.astimezone(zone).time(), tzinfo=zone).astimezone(UTC)
    return min(max(then, starts_at(day, zone)), starts_at(day + ONE_DAY, zone))


@dataclass(frozen=True)
class Span:
    """A day, week or month: its local days [first_day, after_last_day) and its instants [starts_at, resets_at)."""

    first_day: date
    after_last_day: date
    starts_at: datetime
    resets_at: datetime

    def holds(self, day: date) -> bool:
        return self.first_day <= day < self.after_last_day


def week_of(day: date) -> date:
    """The Monday of its week."""
    return day - timedelta(days=day.weekday())


def days_of_week(monday: date) -> list[date]:
    return [monday + number * ONE_DAY for number in range(7)]


def span_of(period: Period, moment: datetime, zone: ZoneInfo) -> Span:
    """The day, week or month that holds `moment`."""
    return _span_of(period, local_day(moment, zone), zone)


@lru_cache(maxsize=4096)
def _span_of(period: Period, day: date, zone: ZoneInfo) -> Span:
    first, after_last = days_of(period, day)
    return Span(first, after_last, starts_at(first, zone), starts_at(after_last, zone))


def days_of(period: Period, day: date) -> tuple[date, date]:
    """The local days of the day, week or month that holds `day`: the first, and the one after the last."""
    if period is Period.DAY:
        return day, day + ONE_DAY
    if period is Period.WEEK:
        return week_of(day), week_of(day) + ONE_WEEK
    if period is Period.MONTH:
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)
    raise ValueError("concurrent sessions have no period")


def first_of_earlier(period: Period, first: date, back: int) -> date:
    """The first day of the day, week or month that is so many before the one that begins on `first`."""
    if period is Period.MONTH:
        months = first.year * 12 + first.month - 1 - back
        return date(months // 12, months % 12 + 1, 1)
    return first - back * (ONE_WEEK if period is Period.WEEK else ONE_DAY)


def seconds_by_day(start: datetime, seconds: int, zone: ZoneInfo) -> dict[date, int]:
    """How many of the whole seconds in [start, start + seconds) fall on each local day. They add up to `seconds`.

    A second across midnight belongs to the day on which it ends.
    """
    end = start + timedelta(seconds=seconds)
    day, counted = local_day(start, zone), 0
    days: dict[date, int] = {}
    while counted < seconds:
        until = min(end, starts_at(day + ONE_DAY, zone))
        passed = int((until - start).total_seconds())
        if passed > counted:
            days[day] = passed - counted
            counted = passed
        day += ONE_DAY
    return days


@dataclass(frozen=True, order=True)
class Hour:
    """The instants [starts_at, ends_before) of a local day at which a clock on the wall shows `hour`.

    An hour that comes twice, one after the other, is one Hour of two hours.
    """

    starts_at: datetime
    ends_before: datetime
    day: date
    hour: int


@lru_cache(maxsize=1024)
def hours_of(day: date, zone: ZoneInfo) -> tuple[Hour, ...]:
    """The hours of a local day, without a gap between them. They change on quarters of an hour, as clocks do."""
    first, until = starts_at(day, zone), starts_at(day + ONE_DAY, zone)
    starts = [(first, first.astimezone(zone).hour)]
    moment = first.replace(minute=first.minute // 15 * 15, second=0, microsecond=0) + QUARTER
    while moment < until:
        hour = moment.astimezone(zone).hour
        if hour != starts[-1][1]:
            starts.append((moment, hour))
        moment += QUARTER
    ends = [start for start, _ in starts[1:]] + [until]
    return tuple(Hour(start, end, day, hour) for (start, hour), end in zip(starts, ends, strict=True))


def hour_of(moment: datetime, zone: ZoneInfo) -> Hour:
    """The hour that holds `moment`."""
    hours = hours_of(local_day(moment, zone), zone)
    return hours[bisect_right(hours, moment, key=lambda hour: hour.starts_at) - 1]
