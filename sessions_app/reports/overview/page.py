"""The overview: the figures of a period beside those before it, and where they come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from sessions_app.database.snapshots import one_snapshot
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import Figure
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.ranges import PRESETS, Stretch
from sessions_app.reports.overview.durations import Durations, durations_of
from sessions_app.reports.overview.figures import callers_figure, figures_of, open_sessions
from sessions_app.reports.overview.filters import OverviewFilters
from sessions_app.reports.overview.heat_map import HeatMap, heat_map_of
from sessions_app.reports.overview.peaks import Peaks, peaks_within
from sessions_app.reports.overview.shares import Shares, shares_of
from sessions_app.reports.overview.trend import Trend, trend_of
from sessions_app.sums.counting import Sums
from sessions_app.sums.reading import kept, report_between, sums_between

# Of more sessions, callers are counted once the page is there.
MOST_SESSIONS_AT_ONCE = 20_000


@report
def overview(request: HttpRequest) -> HttpResponseBase:
    """Figures, trend, shares, heat map, durations and peaks of a period."""
    filters = OverviewFilters(request.GET, timezone.now())
    context: dict[str, Any] = {"title": "Overview", "filters": filters, "presets": PRESETS}
    if not filters.is_valid():
        return page(request, "reports/overview.html", context)
    with one_snapshot():
        shown = read_overview(filters, counts_callers="callers" in request.GET)
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
class Overview:
    """Everything that the page shows."""

    compared: Stretch
    sums: Sums
    figures: list[Figure]
    trend: Trend
    shares: Shares
    durations: Durations
    heat_map: HeatMap
    peaks: Peaks

    @property
    def compared_until(self) -> datetime:
        """The last moment that is compared with, as a page says it."""
        return self.compared.ends_before - timedelta(microseconds=1)

    def rows(self) -> Iterator[Row]:
        """As lines of the file."""
        for figure in [*self.figures, *self.durations.figures]:
            for name, number in figure.numbers:
                yield "Figures", figure.label, name, number
        for part in (self.trend, self.shares, self.durations, self.heat_map, self.peaks):
            yield from part.rows()


def read_overview(filters: OverviewFilters, *, counts_callers: bool) -> Overview:
    """To be called in one snapshot, so that all parts of it agree."""
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
        shares=shares_of(sums, filters),
        durations=durations_of(sums.durations, before.durations, filters),
        heat_map=heat_map_of(counted.weekdays, filters),
        peaks=peaks_within(days, filters.unit),
    )
