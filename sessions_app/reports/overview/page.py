"""The overview: the figures of a period beside those before it, and where they come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from sessions_app.database.snapshots import one_snapshot
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import Figure
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.ranges import PRESETS, Stretch
from sessions_app.reports.overview.durations import Durations, durations_of
from sessions_app.reports.overview.figures import (
    callers_figure,
    figures_of,
    narrowed_callers_figure,
    open_sessions,
)
from sessions_app.reports.overview.filters import LINES_OF_A_PAGE, NarrowedFilters, OverviewFilters
from sessions_app.reports.overview.heat_map import HeatMap, heat_map_of
from sessions_app.reports.overview.peaks import Peaks, peaks_within
from sessions_app.reports.overview.shares import Shares, shares_of
from sessions_app.reports.overview.trend import Trend, trend_of
from sessions_app.reports.webhook.agents import last_events
from sessions_app.sums.counting import Sums
from sessions_app.sums.narrowed import MOST_DAYS_BY_HOUR, Scope, narrowed_report, narrowed_sums
from sessions_app.sums.reading import kept, report_between, sums_between

# Of more sessions, callers are counted once the page is there.
MOST_SESSIONS_AT_ONCE = 20_000


@report
def overview(request: HttpRequest) -> HttpResponseBase:
    """Figures, trend, shares, heat map, durations and peaks of a period."""
    filters = NarrowedFilters(request.GET, timezone.now())
    context: dict[str, Any] = {"title": "Overview", "filters": filters, "presets": PRESETS}
    if not filters.is_valid():
        return page(request, "reports/overview.html", context)
    with one_snapshot():
        is_file = request.GET.get("format") in FORMATS
        lines = slice(None) if is_file else filters.lines
        shown = read_overview(filters, lines, counts_callers="callers" in request.GET)
    if is_file:
        name = f"overview-{filters.range.first_day}-{filters.range.last_day}"
        return export(name, request.GET["format"], ["Table", "Line", "Figure", "Value"], shown.rows())
    if by := filters.cleaned_data["all"]:
        context |= all_lines(shown.shares, by, filters.lines)
    if agent := filters.agent_alone:
        context |= {"title": f"Agent {agent}", "agent": agent, "agent_address": filters.address()}
        context["last_event"] = last_events(Q(agent=agent)).get(agent.pk)
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


def all_lines(shares: Shares, by: str, lines: slice) -> dict[str, Any]:
    """What a page of all lines of one table shows in place of the overview."""
    table = next((table for table in shares.tables if table.by == by), None)
    total = shares.reasons_total if table is None else table.total
    number = lines.start // LINES_OF_A_PAGE + 1
    return {
        "all": table or "reason",
        "total": total,
        "previous_page": number - 1 if number > 1 else None,
        "next_page": number + 1 if lines.stop < total else None,
    }


@dataclass(frozen=True)
class Overview:
    """Everything that the page shows. None is what the sums cannot tell of one tier, channel or agent."""

    compared: Stretch
    sums: Sums
    figures: list[Figure]
    trend: Trend
    shares: Shares
    durations: Durations | None
    heat_map: HeatMap | None
    peaks: Peaks | None

    @property
    def compared_until(self) -> datetime:
        """The last moment that is compared with, as a page says it."""
        return self.compared.ends_before - timedelta(microseconds=1)

    def rows(self) -> Iterator[Row]:
        """As lines of the file."""
        for figure in [*self.figures, *(self.durations.figures if self.durations else [])]:
            for name, number in figure.numbers:
                yield "Figures", figure.label, name, number
        for part in (self.trend, self.shares, self.durations, self.heat_map, self.peaks):
            if part is not None:
                yield from part.rows()


def read_overview(filters: NarrowedFilters, lines: slice, *, counts_callers: bool) -> Overview:
    """To be called in one snapshot, so that all parts of it agree. Tables have those of their `lines`."""
    if filters.scope is not None:
        return _read_narrowed(filters, filters.scope, lines)
    known, days, compared = kept(), filters.range, filters.compared
    by_hour = filters.unit == "hour"
    counted = report_between(days.starts_at, days.ends_before, known, is_test=filters.is_test, by_hour=by_hour)
    sums = counted.sums
    before = sums_between(compared.starts_at, compared.ends_before, known, is_test=filters.is_test)
    count_now = counts_callers or sums.total.sessions + before.total.sessions <= MOST_SESSIONS_AT_ONCE
    return Overview(
        compared=compared,
        sums=sums,
        figures=figures_of(
            sums, before, callers_figure(filters, known) if count_now else None, filters, open_sessions(filters)
        ),
        trend=trend_of(counted, filters),
        shares=shares_of(sums, filters, lines),
        durations=durations_of(sums.durations, before.durations, filters),
        heat_map=heat_map_of(counted.weekdays, filters),
        peaks=peaks_within(days, filters.unit, {channel.pk for channel in filters.channels}),
    )


def _read_narrowed(filters: NarrowedFilters, scope: Scope, lines: slice) -> Overview:
    """Callers are counted where there are few sessions, and the heat map is of few days: each is read by itself."""
    known, days, compared, is_test = kept(), filters.range, filters.compared, filters.is_test
    by_hour = len(days.days) <= MOST_DAYS_BY_HOUR
    counted = narrowed_report(days.starts_at, days.ends_before, known, scope, is_test=is_test, by_hour=by_hour)
    before = narrowed_sums(compared.starts_at, compared.ends_before, known, scope, is_test=is_test)
    everybody = (
        sums_between(stretch.starts_at, stretch.ends_before, known, is_test=is_test).total.sessions
        for stretch in (days.stretch, compared)
    )
    callers = narrowed_callers_figure(filters, scope) if sum(everybody) <= MOST_SESSIONS_AT_ONCE else None
    figures = figures_of(counted.sums, before, callers, filters, open_sessions(filters))
    return Overview(
        compared=compared,
        sums=counted.sums,
        figures=[figure for figure in figures if figure.value],
        trend=trend_of(counted, filters),
        shares=shares_of(counted.sums, filters, lines),
        durations=None,
        heat_map=heat_map_of(counted.weekdays, filters) if by_hour else None,
        peaks=None,
    )
