"""The trend: what each hour, day, week or month comes to, as a table and as a chart of the same."""

from collections.abc import Iterator
from dataclasses import dataclass

from sessions_app.periods import hours_of
from sessions_app.reports.frame.charts import Bar, Chart, draw_bars
from sessions_app.reports.frame.export import Row
from sessions_app.reports.frame.figures import count_words, number_words
from sessions_app.reports.overview.filters import OverviewFilters
from sessions_app.reports.overview.units import grouped
from sessions_app.sums.reading import Report, Totals


@dataclass(frozen=True)
class Period:
    """One line of the trend, and one column of its chart."""

    name: str
    sessions: int
    denied: int
    minutes: str
    address: str
    denied_address: str
    minutes_address: str
    seconds: int


@dataclass(frozen=True)
class Trend:
    periods: list[Period]
    chart: Chart

    def rows(self) -> Iterator[Row]:
        """As lines of the file."""
        for period in self.periods:
            yield "Trend", period.name, "Sessions", period.sessions
            yield "Trend", period.name, "Denied", period.denied
            yield "Trend", period.name, "Minutes", round(period.seconds / 60, 2)


def trend_of(report: Report, filters: OverviewFilters) -> Trend:
    """By hour only of a report that was read by hour."""
    periods = list(_by_hour(report, filters) if filters.unit == "hour" else _by_days(report, filters))
    return Trend(periods, draw_bars([_bar(period, filters.unit) for period in periods]))


def _by_days(report: Report, filters: OverviewFilters) -> Iterator[Period]:
    for group in grouped(filters.range.days, filters.unit):
        totals = sum((report.days[day] for day in group.days), Totals())
        yield _period(group.name, totals, filters, first_day=group.days[0], last_day=group.days[-1])


def _by_hour(report: Report, filters: OverviewFilters) -> Iterator[Period]:
    for day in filters.range.days:
        # An hour that comes twice as the clock goes back is one line.
        for hour in dict.fromkeys(hour.hour for hour in hours_of(day, filters.range.zone)):
            name = f"{day:%a} {day.day} {day:%b} {hour:02}:00"
            yield _period(name, report.hours[day, hour], filters, first_day=day, last_day=day, hour=hour)


def _period(name: str, totals: Totals, filters: OverviewFilters, **within: object) -> Period:
    return Period(
        name,
        totals.sessions,
        totals.denied,
        number_words(totals.seconds / 60, 1),
        filters.address(**within),
        filters.address(**within, state="denied"),
        filters.address(**within, counted=True),
        totals.seconds,
    )


def _bar(period: Period, unit: str) -> Bar:
    title = f"{period.name}: {count_words(period.sessions, 'session')}, {number_words(period.denied)} denied"
    # Without the weekday, and a day's without the year.
    words = {"day": slice(1, 3), "hour": slice(1, None)}.get(unit, slice(None))
    short = " ".join(period.name.split()[words])
    return Bar(short, period.sessions - period.denied, period.denied, title, period.address)
