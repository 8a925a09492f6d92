"""What sessions add up to, right to the session: weeks, days and hours from the sums, the rest counted live.

Counted live is what started after the worker's mark, in an hour that late writes have changed, or in a part of
an hour.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Func, IntegerField, Model, Q, QuerySet, Sum
from django.db.models.sql.compiler import SQLCompiler

from customers.zones import company_zone
from sessions_app.database.pieces import rows_in_pieces
from sessions_app.models import DayCell, DaySums, HourSums, LateWrite, SumsMark, WeekSums
from sessions_app.periods import ONE_DAY, Hour, days_of_week, hour_of, hours_of, local_day, starts_at
from sessions_app.sums.callers import unpack
from sessions_app.sums.counting import Amounts, Cell, Piece, Sums, callers_within, count_pieces


@dataclass(frozen=True)
class Kept:
    """How far the sums may be trusted: `until` there, but not the hours that have been `changed` since.

    `weeks` are the Mondays of those that have sums of their own.
    """

    until: datetime | None
    changed: frozenset[Hour]
    weeks: frozenset[date]
    zone: ZoneInfo

    def holds_hour(self, hour: Hour) -> bool:
        return self.holds(hour.ends_before) and hour not in self.changed

    def holds(self, ends_before: datetime) -> bool:
        return self.until is not None and ends_before <= self.until


def kept() -> Kept:
    zone = company_zone()
    mark = SumsMark.objects.filter(zone=zone.key).first()
    until = mark.until if mark else None
    changed: set[Hour] = set()
    weeks: frozenset[date] = frozenset()
    if until is not None:
        late = LateWrite.objects.filter(started_at__lt=until).values_list("started_at", flat=True)
        since = mark.sessions_since if mark else None
        changed = {hour_of(moment, zone) for moment in late if since is None or moment >= since}
        weeks = frozenset(WeekSums.objects.filter(is_test=False).values_list("starts_on", flat=True))
    return Kept(until, frozenset(changed), weeks, zone)


@dataclass
class Parts:
    """The instants between two moments, by where their sums are found. `pieces` are to be counted live.

    `days` are the whole ones, of which those of `weeks` need not be read one by one.
    """

    days: list[date] = field(default_factory=list)
    weeks: list[date] = field(default_factory=list)
    hours: list[Hour] = field(default_factory=list)
    pieces: list[tuple[Hour, Piece]] = field(default_factory=list)

    @cached_property
    def days_apart(self) -> list[date]:
        """The whole days that are in none of the weeks."""
        in_weeks = {day for week in self.weeks for day in days_of_week(week)}
        return [day for day in self.days if day not in in_weeks]

    @property
    def counted(self) -> list[Piece]:
        return [piece for _, piece in self.pieces]


def parts_between(start: datetime, end: datetime, known: Kept) -> Parts:
    parts = Parts()
    if start >= end:
        return parts
    day, last = local_day(start, known.zone), local_day(end, known.zone)
    changed_days = {hour.day for hour in known.changed}
    while day <= last:
        first, until = starts_at(day, known.zone), starts_at(day + ONE_DAY, known.zone)
        if start <= first < until <= end and known.holds(until) and day not in changed_days:
            parts.days.append(day)
        else:
            _add_hours(parts, day, start, end, known)
        day += ONE_DAY
    whole = set(parts.days)
    parts.weeks = [day for day in parts.days if day in known.weeks and whole.issuperset(days_of_week(day))]
    return parts


def _add_hours(parts: Parts, day: date, start: datetime, end: datetime, known: Kept) -> None:
    for hour in hours_of(day, known.zone):
        piece = max(start, hour.starts_at), min(end, hour.ends_before)
        if piece == (hour.starts_at, hour.ends_before) and known.holds_hour(hour):
            parts.hours.append(hour)
        elif piece[0] < piece[1]:
            parts.pieces.append((hour, piece))


class Totals(NamedTuple):
    sessions: int = 0
    denied: int = 0
    seconds: int = 0

    def __add__(self, other: tuple[int, ...]) -> "Totals":  # type: ignore[override]
        sessions, denied, seconds = other
        return Totals(self.sessions + sessions, self.denied + denied, self.seconds + seconds)


@dataclass
class Report:
    """What the sessions between two moments add up to: together, by local day, by hour of a weekday (from Monday, 0),
    and by hour of a local day. `weekdays` tells sessions alone; `hours` is whole only where it was asked for.
    """

    sums: Sums = field(default_factory=Sums)
    days: defaultdict[date, Totals] = field(default_factory=lambda: defaultdict(Totals))
    weekdays: Counter[tuple[int, int]] = field(default_factory=Counter)
    hours: defaultdict[tuple[date, int], Totals] = field(default_factory=lambda: defaultdict(Totals))

    def add_hour(self, hour: Hour, totals: Totals) -> None:
        self.days[hour.day] += totals
        self.weekdays[hour.day.weekday(), hour.hour] += totals.sessions
        self.hours[hour.day, hour.hour] += totals


class Weekday(Func):
    """A day's place in its week, 0 for Monday, worked out by the database itself, which SQLite's own function does."""

    output_field = IntegerField()
    template = "CAST(EXTRACT(ISODOW FROM %(expressions)s) AS integer) - 1"

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="(strftime('%%%%w', %(expressions)s) + 6) %%%% 7", **context)


def report_between(
    start: datetime, end: datetime, known: Kept, *, is_test: bool | None = False, by_hour: bool = False
) -> Report:
    """Read in one snapshot with `known`. `is_test` None: live and test traffic together."""
    parts = parts_between(start, end, known)
    report = Report()
    _add_days(report.sums, parts, is_test, ("tier_id", "channel", "agent"))
    hours = rows_of_days(HourSums, parts.days, is_test).order_by()
    totals = Sum("sessions"), Sum("denied"), Sum("seconds")
    report.days.update({day: Totals(*amounts) for day, *amounts in hours.values_list("day").annotate(*totals)})
    weekdays = hours.values_list(Weekday("day"), "hour").annotate(totals[0])
    report.weekdays.update({(weekday, hour): sessions for weekday, hour, sessions in weekdays})
    if by_hour:
        for day, hour, *amounts in hours.values_list("day", "hour").annotate(*totals):
            report.hours[day, hour] = Totals(*amounts)
    for hour, of_hour in _add_within_days(report.sums, parts, is_test):
        report.add_hour(hour, of_hour)
    return report


def sums_between(start: datetime, end: datetime, known: Kept, *, is_test: bool | None = False) -> Sums:
    """As the `sums` of `report_between`, but of whole days by outcome and reason alone."""
    parts = parts_between(start, end, known)
    found = Sums()
    _add_days(found, parts, is_test, ())
    _add_within_days(found, parts, is_test)
    return found


def cells_between(start: datetime, end: datetime, known: Kept, *, is_test: bool | None = False) -> Sums:
    """As the `sums` of `report_between`, but without durations."""
    parts = parts_between(start, end, known)
    found = Sums()
    found.add_kept_cells(*_weeks(parts, is_test).values_list("cells", flat=True))
    _add_cells(found, parts.days_apart, is_test, ("tier_id", "channel", "agent"))
    _add_within_days(found, parts, is_test)
    return found


def callers_between(start: datetime, end: datetime, known: Kept, *, is_test: bool | None = False) -> int:
    """How many callers had a session that started between two moments."""
    parts = parts_between(start, end, known)
    callers = callers_within(parts.counted, is_test=is_test)
    days, hours = rows_of_days(DaySums, parts.days_apart, is_test), rows_of_hours(parts.hours, is_test)
    for kept_sets in (_weeks(parts, is_test), days, hours):
        # A busy week's set is large, so only some are in memory at a time.
        for _, packed in rows_in_pieces(kept_sets, "pk", "callers", at_once=20):
            callers.update(unpack(packed))
    return len(callers)


def sums_of_days(first: date, after: date, is_test: bool) -> tuple[Sums, set[int]]:
    """What the days from `first` until `after` are kept as, with their callers."""
    sums, callers = Sums(), set[int]()
    of_days = {"day__gte": first, "day__lt": after, "is_test": is_test}
    for cell in DayCell.objects.filter(**of_days):
        sums.add_cell(cell)
    for day in DaySums.objects.filter(**of_days):
        sums.add_durations(day.durations)
        callers.update(unpack(day.callers))
    return sums, callers


_AMOUNTS = (Sum("sessions"), Sum("timed"), Sum("seconds"))


def _add_days(sums: Sums, parts: Parts, is_test: bool | None, by: tuple[str, ...]) -> None:
    """Of whole days, in weeks and apart; those apart by outcome, reason and `by` alone."""
    weeks = list(_weeks(parts, is_test).values_list("cells", "durations"))
    sums.add_kept_cells(*(cells for cells, _ in weeks))
    of_days = rows_of_days(DaySums, parts.days_apart, is_test).values_list("durations", flat=True)
    sums.add_durations(*(durations for _, durations in weeks), *of_days)
    _add_cells(sums, parts.days_apart, is_test, by)


def _add_cells(sums: Sums, days: list[date], is_test: bool | None, by: tuple[str, ...]) -> None:
    cells = rows_of_days(DayCell, days, is_test).values_list(*by, "outcome", "reason").annotate(*_AMOUNTS).order_by()
    for *shared, sessions, timed, seconds in cells:
        *scope, outcome, reason = shared
        tier, channel, agent = scope or (0, "", "")
        sums.add(Cell(tier or 0, channel, agent, outcome, reason), Amounts(sessions, timed, seconds))


def _add_within_days(sums: Sums, parts: Parts, is_test: bool | None) -> list[tuple[Hour, Totals]]:
    """Of hours and pieces; tells what each comes to."""
    by_start = {hour.starts_at: hour for hour in parts.hours}
    columns = ("starts_at", "sessions", "denied", "seconds", "cells", "durations")
    hours = list(rows_of_hours(parts.hours, is_test).values_list(*columns))
    sums.add_kept_cells(*(cells for *_, cells, _ in hours))
    sums.add_durations(*(durations for *_, durations in hours))
    found = [(by_start[start], Totals(*amounts)) for start, *amounts, _, _ in hours]
    for (hour, _), counted in zip(parts.pieces, count_pieces(parts.counted, is_test=is_test), strict=True):
        sums.add_sums(counted)
        found.append((hour, Totals(counted.total.sessions, counted.denied, counted.total.seconds)))
    return found


def rows_of_days(model: type[Model], days: list[date], is_test: bool | None) -> QuerySet[Any]:
    """The rows of these days, most of which follow each other."""
    # Not `Q()`, which without a day would let all rows through.
    condition = Q(pk__in=[])
    for first, last in _runs(days):
        condition |= Q(day__gte=first, day__lte=last)
    rows = model._default_manager.filter(condition)
    return rows if is_test is None else rows.filter(is_test=is_test)


def _weeks(parts: Parts, is_test: bool | None) -> QuerySet[WeekSums]:
    rows = WeekSums.objects.filter(starts_on__in=parts.weeks)
    return rows if is_test is None else rows.filter(is_test=is_test)


def _runs(days: list[date]) -> list[tuple[date, date]]:
    runs: list[tuple[date, date]] = []
    for day in days:
        if runs and runs[-1][1] + ONE_DAY == day:
            runs[-1] = runs[-1][0], day
        else:
            runs.append((day, day))
    return runs


def rows_of_hours(hours: list[Hour], is_test: bool | None) -> QuerySet[HourSums]:
    rows = HourSums.objects.filter(starts_at__in=[hour.starts_at for hour in hours])
    return rows if is_test is None else rows.filter(is_test=is_test)
