"""The overview: the figures of a period beside those before it, and where they come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from sessions_app.database.snapshots import one_snapshot
from sessions_app.models import DayPeak, SumsMark
from sessions_app.periods import hours_of
from sessions_app.reports.frame.export import FORMATS, export
from sessions_app.reports.frame.figures import NOTHING, number_words, sessions_address
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.ranges import PRESETS, DayRange
from sessions_app.reports.overview.durations import durations_of
from sessions_app.reports.overview.figures import callers_figure, figures_of
from sessions_app.reports.overview.filters import OverviewFilters
from sessions_app.reports.overview.shares import shares_of
from sessions_app.reports.overview.trend import trend_of
from sessions_app.reports.overview.units import grouped
from sessions_app.sums.peaks import EVERY_CHANNEL, Peak
from sessions_app.sums.reading import kept, report_between, sums_between

# Of more sessions, callers are counted once the page is there.
MOST_SESSIONS_AT_ONCE = 20_000
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HEAT_STEPS = 6

DEFINITIONS = {
    "heat": "Sessions that began in this hour of this weekday, divided by how often that hour came in these days until "
    "now. An hour that daylight saving skips did not come.",
    "peak": "The most sessions that took place at one moment. Each takes up its counted duration; one without an end "
    "the time until now, at most its channel's longest session. Live traffic alone; found anew every few minutes.",
}


@report
def overview(request: HttpRequest) -> HttpResponseBase:
    """Figures, trend, shares, heat map, durations and peaks of a period."""
    now = timezone.now()
    filters = OverviewFilters(request.GET, now)
    context: dict[str, Any] = {"title": "Overview", "filters": filters, "presets": PRESETS}
    if not filters.is_valid():
        return page(request, "reports/overview.html", context)
    with one_snapshot():
        shown = Overview(filters, now, counts_callers="callers" in request.GET)
    if request.GET.get("format") in FORMATS:
        name = f"overview-{filters.range.first_day}-{filters.range.last_day}"
        return export(name, request.GET["format"], ["Table", "Line", "Figure", "Value"], shown.rows())
    return page(request, "reports/overview.html", {**context, "range": filters.range, "overview": shown})


@report
def callers(request: HttpRequest) -> HttpResponseBase:
    """How many callers there were, for a page that is there already."""
    filters = OverviewFilters(request.GET, timezone.now())
    if not filters.is_valid():
        return JsonResponse({"error": "These days cannot be used."}, status=400)
    with one_snapshot():
        figure = callers_figure(filters, kept())
    return JsonResponse({"value": figure.value, "change": figure.change, "address": figure.address})


@dataclass(frozen=True)
class HeatCell:
    words: str
    mean: float
    sessions: int
    step: int
    title: str
    address: str


class Overview:
    """Everything that the page shows. Built in one snapshot, so that all of it agrees."""

    heat_definition, peak_definition = DEFINITIONS["heat"], DEFINITIONS["peak"]
    hours = tuple(f"{hour:02}" for hour in range(24))

    def __init__(self, filters: OverviewFilters, now: datetime, *, counts_callers: bool) -> None:
        self.filters, self.range, self.now = filters, filters.range, now
        known = kept()
        self.compared = filters.compared
        self.compared_until = self.compared.ends_before - timedelta(microseconds=1)
        stretch, by_hour = (self.range.starts_at, self.range.ends_before), filters.unit == "hour"
        self.report = report_between(*stretch, known, is_test=filters.is_test, by_hour=by_hour)
        self.before = sums_between(self.compared.starts_at, self.compared.ends_before, known, is_test=filters.is_test)
        self.sums = self.report.sums
        count_now = counts_callers or self.sums.total.sessions + self.before.total.sessions <= MOST_SESSIONS_AT_ONCE
        callers = callers_figure(filters, known) if count_now else None
        self.figures = figures_of(self.sums, self.before, callers, filters)
        self.trend = trend_of(self.report, filters)
        self.shares = shares_of(self.sums, filters)
        self.durations = durations_of(self.sums.durations, self.before.durations, filters)
        self.heat = list(self._heat())
        self._read_peaks()

    # By weekday and hour

    def _heat(self) -> Iterator[tuple[str, list[HeatCell]]]:
        came = _hours_that_came(self.range, self.now)
        sessions = self.report.weekdays
        means = {place: count / came[place] for place, count in sessions.items() if came.get(place)}
        most = max(means.values(), default=0)
        for weekday, name in enumerate(WEEKDAYS):
            cells = []
            for hour in range(24):
                mean, count = means.get((weekday, hour), 0.0), sessions[weekday, hour]
                step = min(HEAT_STEPS, int(mean / most * HEAT_STEPS) + 1) if mean else 0
                title = f"{name} {hour:02}:00: {number_words(count)} sessions in {came.get((weekday, hour), 0)} hours"
                words = number_words(mean, 0 if mean >= 9.95 else 1)
                address = self.filters.address(weekday=weekday, hour=hour)
                cells.append(HeatCell(words, mean, count, step, title, address))
            yield name, cells

    # At once

    def _read_peaks(self) -> None:
        """By day or the longer unit of the trend, and by channel."""
        rows = DayPeak.objects.filter(day__gte=self.range.first_day, day__lte=self.range.last_day)
        best: dict[tuple[date, str], Peak] = {}
        self.peak_unit = unit = "day" if self.filters.unit == "hour" else self.filters.unit
        first_of = {day: group.first_day for group in grouped(self.range.days, unit) for day in group.days}
        for day, channel, most, reached_at in rows.filter(is_test=False).values_list(
            "day", "channel", "most", "reached_at"
        ):
            key = first_of[day], channel
            if key not in best or most > best[key].most:
                best[key] = Peak(most, reached_at)
        self.peak_channels = sorted({channel for _, channel in best if channel != EVERY_CHANNEL})
        columns = [EVERY_CHANNEL, *self.peak_channels]
        self.peaks: list[dict[str, Any]] = [
            {
                "name": group.name,
                "cells": [self._peak_cell(best.get((group.first_day, channel)), channel) for channel in columns],
            }
            for group in reversed(grouped(self.range.days, unit))
            if (group.first_day, EVERY_CHANNEL) in best
        ]
        mark = SumsMark.objects.first()
        self.peaks_at = mark.peaks_at if mark else None

    def _peak_cell(self, peak: Peak | None, channel: str) -> dict[str, Any] | None:
        if peak is None:
            return None
        at = peak.reached_at.astimezone(self.range.zone)
        return {
            "most": peak.most,
            "words": number_words(peak.most),
            "title": f"at {at:%a %-d %b %H:%M:%S}",
            "address": sessions_address(at=at.isoformat(), channel=channel),
        }

    # As a file

    def rows(self) -> Iterator[Sequence[Any]]:
        for figure in [*self.figures, *self.durations.figures]:
            yield "Figures", figure.label, "Value", figure.value or NOTHING
            if figure.change:
                yield "Figures", figure.label, "Change", figure.change
        yield from self.trend.rows()
        yield from self.shares.rows()
        yield from self.durations.rows()
        for name, cells in self.heat:
            for hour, cell in enumerate(cells):
                yield "Weekday and hour", f"{name} {hour:02}:00", "Sessions an hour", round(cell.mean, 2)
        for row in self.peaks:
            for channel, peak in zip(["All channels", *self.peak_channels], row["cells"], strict=True):
                if peak:
                    yield "At once", row["name"], channel, peak["most"]


def _hours_that_came(days: DayRange, now: datetime) -> dict[tuple[int, int], int]:
    """How often each hour of each weekday came until now."""
    came: dict[tuple[int, int], int] = {}
    for day in days.days:
        for hour in {hour.hour for hour in hours_of(day, days.zone) if hour.starts_at <= now}:
            came[day.weekday(), hour] = came.get((day.weekday(), hour), 0) + 1
    return came
