"""What the sessions of one tier, channel or agent add up to, right to the session, from what `reading` reads.

The sums know durations and callers of all sessions together alone, so those are left out here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Q, Sum

from sessions_app.models import DayCell
from sessions_app.periods import Hour, hours_of
from sessions_app.sums.callers import caller_number
from sessions_app.sums.counting import Amounts, Cell, Sums, count_pieces, within
from sessions_app.sums.reading import Kept, Parts, Report, Totals, parts_between, rows_of_days, rows_of_hours

# The hours of so many days can be read and taken apart within a moment.
MOST_DAYS_BY_HOUR = 31


@dataclass(frozen=True)
class Scope:
    """Which cells count: None is any; a tier of 0, and a blank channel or agent, is a session without one."""

    tier: int | None = None
    channel: str | None = None
    agent: str | None = None

    def holds(self, cell: Cell) -> bool:
        return (
            self.tier in (None, cell.tier) and self.channel in (None, cell.channel) and self.agent in (None, cell.agent)
        )

    @property
    def of_cells(self) -> Q:
        """The rows of `DayCell`."""
        wanted = Q() if self.tier is None else Q(tier_id=self.tier) if self.tier else Q(tier__isnull=True)
        for name in ("channel", "agent"):
            if (value := getattr(self, name)) is not None:
                wanted &= Q(**{name: value})
        return wanted

    @property
    def of_sessions(self) -> Q:
        values = {"tier_id": self.tier, "channel_id": self.channel, "agent_id": self.agent}
        wanted = Q()
        for name, value in values.items():
            if value is not None:
                wanted &= Q(**{name: value}) if value else Q(**{f"{name}__isnull": True})
        return wanted


def narrowed_report(
    start: datetime, end: datetime, known: Kept, scope: Scope, *, is_test: bool | None, by_hour: bool
) -> Report:
    """As `report_between`, of a scope and without durations. Without `by_hour`, its weekdays and hours stay empty; with
    it, the moments are at most `MOST_DAYS_BY_HOUR` days apart."""
    parts = parts_between(start, end, known)
    report = Report()
    for day, cell, amounts in _cells_of_days(parts, scope, is_test):
        report.sums.add(cell, amounts)
        report.days[day] += _totals(cell, amounts)
    for hour, sums in _within_days(parts, scope, is_test):
        for cell, amounts in sums.cells.items():
            report.sums.add(cell, amounts)
            report.add_hour(hour, _totals(cell, amounts))
    if by_hour:
        for hour, sums in _hours_of_days(parts, known, scope, is_test):
            for cell, amounts in sums.cells.items():
                totals = _totals(cell, amounts)
                report.weekdays[hour.day.weekday(), hour.hour] += totals.sessions
                report.hours[hour.day, hour.hour] += totals
    return report


def narrowed_sums(start: datetime, end: datetime, known: Kept, scope: Scope, *, is_test: bool | None) -> Sums:
    return narrowed_report(start, end, known, scope, is_test=is_test, by_hour=False).sums


def narrowed_callers(start: datetime, end: datetime, scope: Scope, *, is_test: bool | None) -> int:
    """How many callers the sessions of a scope have that started between two moments: it looks at all of them."""
    sessions = within([(start, end)], is_test).filter(scope.of_sessions)
    rows = sessions.values_list("customer_id", "phone_key", "external_id").distinct()
    return len({caller_number(*row) for row in rows} - {None})


def _totals(cell: Cell, amounts: Amounts) -> Totals:
    is_denied = cell.outcome == DayCell.Outcome.DENIED
    return Totals(amounts.sessions, amounts.sessions if is_denied else 0, amounts.seconds)


def _cells_of_days(parts: Parts, scope: Scope, is_test: bool | None) -> Iterator[tuple[date, Cell, Amounts]]:
    cells = rows_of_days(DayCell, parts.days, is_test).filter(scope.of_cells).order_by()
    rows = cells.values_list("day", "tier_id", "channel", "agent", "outcome", "reason")
    for day, tier, *rest, sessions, timed, seconds in rows.annotate(Sum("sessions"), Sum("timed"), Sum("seconds")):
        yield day, Cell(tier or 0, *rest), Amounts(sessions, timed, seconds)


def _within_days(parts: Parts, scope: Scope, is_test: bool | None) -> Iterator[tuple[Hour, Sums]]:
    """Of the hours and pieces that are in no whole day."""
    yield from _kept_hours(parts.hours, scope, is_test)
    for (hour, _), counted in zip(parts.pieces, count_pieces(parts.counted, is_test=is_test), strict=True):
        yield hour, _narrowed(counted, scope)


def _hours_of_days(parts: Parts, known: Kept, scope: Scope, is_test: bool | None) -> Iterator[tuple[Hour, Sums]]:
    yield from _kept_hours([hour for day in parts.days for hour in hours_of(day, known.zone)], scope, is_test)


def _kept_hours(hours: Iterable[Hour], scope: Scope, is_test: bool | None) -> Iterator[tuple[Hour, Sums]]:
    by_start = {hour.starts_at: hour for hour in hours}
    for start, cells in rows_of_hours(list(by_start.values()), is_test).values_list("starts_at", "cells"):
        sums = Sums()
        sums.add_kept_cells(cells)
        yield by_start[start], _narrowed(sums, scope)


def _narrowed(sums: Sums, scope: Scope) -> Sums:
    found = Sums()
    for cell, amounts in sums.cells.items():
        if scope.holds(cell):
            found.add(cell, amounts)
    return found
