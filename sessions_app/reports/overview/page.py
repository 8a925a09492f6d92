"""The overview: the figures of a period beside those before it, and where they come from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from customers.models import Agent, Channel, Tier
from sessions_app.database.snapshots import one_snapshot
from sessions_app.models import STATE_CONDITIONS, DayCell, DayPeak, Session, SumsMark
from sessions_app.periods import hours_of
from sessions_app.reports.frame.export import FORMATS, export
from sessions_app.reports.frame.figures import (
    NOTHING,
    Figure,
    change_words,
    kind_of_change,
    number_words,
    points_words,
    sessions_address,
    share_words,
)
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.ranges import PRESETS, DayRange, Stretch
from sessions_app.reports.list.filters import ADMITTING, WITHOUT
from sessions_app.reports.overview.filters import OverviewFilters
from sessions_app.reports.overview.trend import trend_of
from sessions_app.reports.overview.units import grouped
from sessions_app.sums.counting import Amounts, Cell, Sums
from sessions_app.sums.histogram import by_step, percentile
from sessions_app.sums.peaks import EVERY_CHANNEL, Peak
from sessions_app.sums.reading import Kept, callers_between, kept, report_between, sums_between
from sessions_app.wording import duration_words, reason_words

# Of more sessions, callers are counted once the page is there.
MOST_SESSIONS_AT_ONCE = 20_000
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HEAT_STEPS = 6

DEFINITIONS = {
    "sessions": "All that began in these days, denied ones among them. A session belongs to the hour and day in which "
    "it starts, in the company's time zone; one that was delivered again counts once.",
    "allow_rate": "Sessions let in, of those let in and those denied. Sessions of which only the end came were never "
    "decided and count on neither side, nor do those that were denied and took place all the same.",
    "minutes": "The durations of sessions that have ended, as LiveTok states them, added up and not rounded. Missing, "
    "negative ones and those over 24 hours are not counted. A session over midnight counts whole where it starts.",
    "callers": "Different callers with a session in these days: customers, and callers who are none by their number or "
    "LiveTok's customer id. Sessions that name nobody are left out. Counted exactly, not estimated.",
    "open": "Sessions that were let in, whose end has not come, and that are within their channel's longest session. "
    "As of now, whatever the days above; so there is nothing to compare it with.",
    "denied": "Sessions that were not let in. One that LiveTok reports a duration of all the same did take place and "
    "is not among them.",
    "missing": "Sessions that were let in and whose end did not come within their channel's longest session, or that "
    "staff declared so. A true end that comes later still counts, and takes them off this figure.",
    "typical": "Half of the sessions that ended took no longer (the median, p50), and 95 of 100 no longer than p95. "
    "Worked out from a histogram: within 1.5 % of the exact figure.",
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
        figure = _callers_figure(filters, kept())
    return JsonResponse({"value": figure.value, "change": figure.change, "address": figure.address})


@dataclass(frozen=True)
class Line:
    """One line of a table of shares."""

    name: str
    amounts: Amounts
    denied: int
    share: str
    percent: float
    allow_rate: str
    minutes: str
    address: str
    denied_address: str
    allowed_address: str
    minutes_address: str


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
        self.compared = self.range.preceding(now)
        self.compared_until = self.compared.ends_before - timedelta(microseconds=1)
        stretch, by_hour = (self.range.starts_at, self.range.ends_before), filters.unit == "hour"
        self.report = report_between(*stretch, known, is_test=filters.is_test, by_hour=by_hour)
        self.before = sums_between(self.compared.starts_at, self.compared.ends_before, known, is_test=filters.is_test)
        self.sums = self.report.sums
        self.open_now, open_in_range, open_before = self._open()
        self.missing = _without_end(self.sums) - open_in_range
        self.missing_before = _without_end(self.before) - open_before
        count_now = counts_callers or self.sums.total.sessions + self.before.total.sessions <= MOST_SESSIONS_AT_ONCE
        self.callers = _callers_figure(filters, known) if count_now else None
        self.figures = list(self._figures())
        self.trend = trend_of(self.report, filters)
        self.tables = self._tables()
        self.reasons = self._reasons()
        self.durations = self._durations()
        self.heat = list(self._heat())
        self._read_peaks()

    def _open(self) -> tuple[int, int, int]:
        """Sessions open now: all, those that began in these days, and those that began in the days compared with."""
        found = Session.objects.filter(STATE_CONDITIONS[Session.State.OPEN.value](self.now))
        if self.filters.is_test is not None:
            found = found.filter(is_test=self.filters.is_test)
        counts = found.aggregate(
            all=Count("pk"),
            here=Count("pk", filter=_started_in(self.range.stretch)),
            before=Count("pk", filter=_started_in(self.compared)),
        )
        return counts["all"], counts["here"], counts["before"]

    def _figures(self) -> Iterator[Figure]:
        total, before = self.sums.total, self.before.total
        yield _amount(
            "Sessions", "sessions", total.sessions, before.sessions, self.filters.address(), more_is_good=None
        )
        rate, rate_before = _allow_rate(self.sums), _allow_rate(self.before)
        yield Figure(
            "Allow rate",
            NOTHING if rate is None else share_words(rate, 1),
            DEFINITIONS["allow_rate"],
            self.filters.address(decision="allowed"),
            change=points_words(rate, rate_before),
            change_kind=kind_of_change(rate, rate_before, more_is_good=True),
        )
        yield _amount(
            "Minutes",
            "minutes",
            total.seconds / 60,
            before.seconds / 60,
            self.filters.address(counted=True),
            more_is_good=None,
        )
        yield self.callers or Figure("Unique callers", "", DEFINITIONS["callers"], self.filters.address())
        yield Figure(
            "Open now",
            number_words(self.open_now),
            DEFINITIONS["open"],
            sessions_address(open_now=True, test=self.filters.cleaned_data["test"]),
        )
        denied, denied_before = self.sums.denied, self.before.denied
        yield _amount(
            "Denied", "denied", denied, denied_before, self.filters.address(state="denied"), more_is_good=False
        )
        yield _amount(
            "Missing ends",
            "missing",
            self.missing,
            self.missing_before,
            self.filters.address(state="missing_end"),
            more_is_good=False,
        )

    # Shares

    def _tables(self) -> list[dict[str, Any]]:
        tiers = {tier.pk: tier for tier in Tier.objects.all()}
        channels = {channel.pk: str(channel) for channel in Channel.objects.all()}
        agents = {agent.pk: str(agent) for agent in Agent.objects.all()}
        return [
            {
                "title": "By channel",
                "head": "Channel",
                "lines": self._lines(
                    lambda cell: cell.channel,
                    lambda key: (channels.get(key, key) or "No channel", {"channel": key or WITHOUT}),
                ),
            },
            {
                "title": "By tier",
                "head": "Tier then",
                "lines": self._lines(
                    lambda cell: cell.tier,
                    lambda key: (tiers[key].name, {"tier": tiers[key].slug}) if key else ("No tier", {"tier": WITHOUT}),
                ),
            },
            {
                "title": "By agent",
                "head": "Agent",
                "lines": self._lines(
                    lambda cell: cell.agent,
                    lambda key: (agents.get(key, key) or "No agent", {"agent": key or WITHOUT}),
                ),
            },
        ]

    def _lines(self, key_of: Callable[[Cell], Any], named: Callable[[Any], tuple[str, dict[str, str]]]) -> list[Line]:
        groups: dict[Any, Sums] = {}
        for cell, amounts in self.sums.cells.items():
            groups.setdefault(key_of(cell), Sums()).add(cell, amounts)
        whole = self.sums.total.sessions
        lines = []
        for key, sums in sorted(groups.items(), key=lambda item: -item[1].total.sessions):
            name, narrowed = named(key)
            total, rate = sums.total, _allow_rate(sums)
            lines.append(
                Line(
                    name,
                    total,
                    sums.denied,
                    share_words(total.sessions, whole),
                    round(100 * total.sessions / whole, 1),
                    NOTHING if rate is None else share_words(rate, 1),
                    _minutes(total.seconds),
                    self.filters.address(**narrowed),
                    self.filters.address(**narrowed, state="denied"),
                    self.filters.address(**narrowed, decision="allowed"),
                    self.filters.address(**narrowed, counted=True),
                )
            )
        return lines

    def _reasons(self) -> list[dict[str, Any]]:
        counts: dict[str, int] = {}
        for cell, amounts in self.sums.cells.items():
            if cell.outcome == DayCell.Outcome.DENIED:
                counts[cell.reason] = counts.get(cell.reason, 0) + amounts.sessions
        return [
            {
                "name": reason_words(reason),
                "sessions": count,
                "share": share_words(count, self.sums.denied),
                "percent": round(100 * count / self.sums.denied, 1),
                "address": self.filters.address(state="denied", reason=reason),
            }
            for reason, count in sorted(counts.items(), key=lambda item: -item[1])
        ]

    def _durations(self) -> dict[str, Any]:
        now, before = self.sums.durations, self.before.durations
        whole = now.total()
        steps = [
            {
                "name": _step_name(start, end),
                "sessions": count,
                "share": share_words(count, whole),
                "percent": round(100 * count / whole, 1) if whole else 0,
                "address": self.filters.address(counted=True, seconds_from=start, seconds_below=end),
            }
            for start, end, count in by_step(now)
        ]
        figures = []
        for share, label in ((0.5, "Median (p50)"), (0.95, "p95")):
            value, earlier = percentile(now, share), percentile(before, share)
            figures.append(
                Figure(
                    label,
                    duration_words(value),
                    DEFINITIONS["typical"],
                    self.filters.address(counted=True),
                    change=change_words(value, earlier) if value is not None and earlier else "",
                )
            )
        return {"figures": figures, "steps": steps, "sessions": whole}

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
        for figure in [*self.figures, *self.durations["figures"]]:
            yield "Figures", figure.label, "Value", figure.value or NOTHING
            if figure.change:
                yield "Figures", figure.label, "Change", figure.change
        yield from self.trend.rows()
        for table in self.tables:
            for line in table["lines"]:
                yield table["title"], line.name, "Sessions", line.amounts.sessions
                yield table["title"], line.name, "Share", line.share
                yield table["title"], line.name, "Denied", line.denied
                yield table["title"], line.name, "Allow rate", line.allow_rate
                yield table["title"], line.name, "Minutes", line.minutes
        for reason in self.reasons:
            yield "Denied by reason", reason["name"], "Sessions", reason["sessions"]
        for step in self.durations["steps"]:
            yield "Durations", step["name"], "Sessions", step["sessions"]
        for name, cells in self.heat:
            for hour, cell in enumerate(cells):
                yield "Weekday and hour", f"{name} {hour:02}:00", "Sessions an hour", round(cell.mean, 2)
        for row in self.peaks:
            for channel, peak in zip(["All channels", *self.peak_channels], row["cells"], strict=True):
                if peak:
                    yield "At once", row["name"], channel, peak["most"]


def _amount(label: str, name: str, current: float, before: float, address: str, *, more_is_good: bool | None) -> Figure:
    return Figure(
        label,
        number_words(current),
        DEFINITIONS[name],
        address,
        change=change_words(current, before),
        change_kind=kind_of_change(current, before, more_is_good=more_is_good),
    )


def _callers_figure(filters: OverviewFilters, known: Kept) -> Figure:
    stretches = filters.range.stretch, filters.range.preceding(filters.now)
    current, before = (
        callers_between(stretch.starts_at, stretch.ends_before, known, is_test=filters.is_test) for stretch in stretches
    )
    return Figure(
        "Unique callers",
        number_words(current),
        DEFINITIONS["callers"],
        filters.address(named=True),
        change=change_words(current, before),
    )


def _started_in(stretch: Stretch) -> Q:
    return Q(started_at__gte=stretch.starts_at, started_at__lt=stretch.ends_before)


def _allow_rate(sums: Sums) -> float | None:
    allowed = sums.of(lambda cell: cell.reason in ADMITTING).sessions
    decided = allowed + sums.denied
    return allowed / decided if decided else None


def _without_end(sums: Sums) -> int:
    return sums.of(lambda cell: cell.outcome == DayCell.Outcome.NO_END).sessions


def _minutes(seconds: int) -> str:
    return number_words(seconds / 60, 1)


def _step_name(start: int, end: int | None) -> str:
    if end is None:
        return f"{duration_words(start)} or more"
    return f"{duration_words(start)} to {duration_words(end)}"


def _hours_that_came(days: DayRange, now: datetime) -> dict[tuple[int, int], int]:
    """How often each hour of each weekday came until now."""
    came: dict[tuple[int, int], int] = {}
    for day in days.days:
        for hour in {hour.hour for hour in hours_of(day, days.zone) if hour.starts_at <= now}:
            came[day.weekday(), hour] = came.get((day.weekday(), hour), 0) + 1
    return came
