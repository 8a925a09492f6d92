"""The proof that the sums for reports equal a recount of the sessions; `recount` is the one for customers' usage."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from django.db.models import Max, Min

from customers.zones import company_zone
from sessions_app.database.pieces import in_pieces
from sessions_app.database.snapshots import one_snapshot
from sessions_app.models import DayCell, DaySums, HourSums, LateWrite, Session, WeekSums
from sessions_app.periods import ONE_DAY, ONE_WEEK, Hour, hours_of, local_day, starts_at
from sessions_app.sums.callers import pack
from sessions_app.sums.counting import Sums, callers_apart, count_apart
from sessions_app.sums.pruned import sessions_since
from sessions_app.sums.reading import Kept, kept, sums_of_days


@dataclass(frozen=True)
class SumDifference:
    """An hour, or where there is none a whole day, whose sums are not what its sessions add up to; or a week from its
    Monday on, whose sums are not what its days add up to.
    """

    day: date
    hour: Hour | None
    is_test: bool
    is_week: bool = False

    def __str__(self) -> str:
        what = "the whole week" if self.is_week else f"the hour {self.hour.hour}:00" if self.hour else "the whole day"
        return f"reports, {self.day}, {what}{', test traffic' if self.is_test else ''}: the sums differ from a recount"


def sum_differences(*, repair: bool = False) -> Iterator[SumDifference]:
    """Whatever differs, day by day; with `repair`, the worker counts it again.

    Sessions may begin and end meanwhile: a day's sums and sessions are read in one snapshot. Days whose sessions were
    deleted by age are left out.
    """
    day, last = _first_and_last()
    since = sessions_since()
    if day is not None and since is not None:
        day = max(day, local_day(since, company_zone()))
    while day is not None and last is not None and day <= last:
        with one_snapshot():
            found = list(_of_day(day, kept()))
        yield from _mended(found) if repair else found
        day = _next_day(day)
    for week, is_test in WeekSums.objects.order_by("starts_on", "is_test").values_list("starts_on", "is_test"):
        with one_snapshot():
            found = list(_of_week(week, is_test))
        yield from _mended(found) if repair else found


def _mended(found: Sequence[SumDifference]) -> Sequence[SumDifference]:
    """The same, put on the list of what the worker counts again. With a day, its week is added up again."""
    hours = {difference.hour or hours_of(difference.day, company_zone())[0] for difference in found}
    in_pieces((LateWrite(started_at=hour.starts_at) for hour in hours), LateWrite.objects.bulk_create)
    return found


def _first_and_last() -> tuple[date | None, date | None]:
    zone = company_zone()
    stored = Session.objects.aggregate(first=Min("started_at"), last=Max("started_at"))
    sums = HourSums.objects.aggregate(first=Min("day"), last=Max("day"))
    firsts = [day for day in (stored["first"] and local_day(stored["first"], zone), sums["first"]) if day]
    lasts = [day for day in (stored["last"] and local_day(stored["last"], zone), sums["last"]) if day]
    return min(firsts, default=None), max(lasts, default=None)


def _next_day(day: date) -> date | None:
    """The next one that has sessions or sums."""
    zone = company_zone()
    session = Session.objects.filter(started_at__gte=starts_at(day + ONE_DAY, zone)).aggregate(first=Min("started_at"))
    summed = [
        model._default_manager.filter(day__gt=day).aggregate(first=Min("day"))["first"]
        for model in (HourSums, DaySums, DayCell)
    ]
    days = [session["first"] and local_day(session["first"], zone), *summed]
    return min((found for found in days if found), default=None)


def _of_day(day: date, known: Kept) -> Iterator[SumDifference]:
    hours = [hour for hour in hours_of(day, known.zone) if known.holds_hour(hour)]
    pieces = [(hour.starts_at, hour.ends_before) for hour in hours]
    counted_apart, callers_of = count_apart(pieces), callers_apart(pieces)
    for is_test in (False, True):
        rows = {row.starts_at: row for row in HourSums.objects.filter(day=day, is_test=is_test)}
        of_day, callers_of_day = Sums(), set[int]()
        for hour, counted, callers in zip(hours, counted_apart[is_test], callers_of[is_test], strict=True):
            of_day.add_sums(counted)
            callers_of_day |= callers
            if not _agrees(rows.get(hour.starts_at), counted, callers):
                yield SumDifference(day, hour, is_test)
        is_whole = known.holds(starts_at(day + ONE_DAY, known.zone)) and len(hours) == len(hours_of(day, known.zone))
        if is_whole and not _day_agrees(day, is_test, of_day, callers_of_day):
            yield SumDifference(day, None, is_test)


def _agrees(row: HourSums | None, counted: Sums, callers: set[int]) -> bool:
    # An hour without sessions has no row.
    row = row or HourSums()
    sums = Sums()
    sums.add_kept(row.cells, row.durations)
    total = counted.total
    figures = row.sessions, row.denied, row.seconds
    return (
        sums == counted
        and figures == (total.sessions, counted.denied, total.seconds)
        and bytes(row.callers) == pack(callers)
    )


def _day_agrees(day: date, is_test: bool, counted: Sums, callers: Iterable[int]) -> bool:
    sums, known_callers = sums_of_days(day, day + ONE_DAY, is_test)
    return sums == counted and known_callers == set(callers)


def _of_week(week: date, is_test: bool) -> Iterator[SumDifference]:
    sums, callers = sums_of_days(week, week + ONE_WEEK, is_test)
    for row in WeekSums.objects.filter(starts_on=week, is_test=is_test):
        kept_sums = Sums()
        kept_sums.add_kept(row.cells, row.durations)
        if kept_sums != sums or bytes(row.callers) != pack(callers):
            yield SumDifference(week, None, is_test, is_week=True)
