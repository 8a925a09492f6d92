"""How long sessions took: the median and p95 beside those of the days before, and how many took how long."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sessions_app.reports.frame.export import Row
from sessions_app.reports.frame.figures import Figure, change_percent, change_words
from sessions_app.reports.overview.filters import OverviewFilters
from sessions_app.reports.overview.shares import ShareLine, share_line
from sessions_app.sums.histogram import by_step, percentile
from sessions_app.wording import duration_words

DEFINITION = (
    "Half of the sessions that ended took no longer (the median, p50), and 95 of 100 no longer than p95. Worked out "
    "from a histogram: within 1.5 % of the exact figure."
)


@dataclass(frozen=True)
class Durations:
    """`sessions` is of how many: those that ended with a duration that counts."""

    figures: list[Figure]
    steps: list[ShareLine]
    sessions: int

    def rows(self) -> Iterator[Row]:
        """As lines of the file; the figures stand among those of the page."""
        for step in self.steps:
            yield "Durations", step.name, "Sessions", step.sessions


def durations_of(now: Mapping[int, int], before: Mapping[int, int], filters: OverviewFilters) -> Durations:
    """Of two histograms (`sums.histogram`): these days', and that of the days they are compared with."""
    whole = sum(now.values())
    figures = [
        _figure(label, percentile(now, share), percentile(before, share), filters.address(counted=True))
        for label, share in (("Median (p50)", 0.5), ("p95", 0.95))
    ]
    steps = [
        share_line(
            _step_name(start, end),
            count,
            whole,
            filters.address(counted=True, seconds_from=start, seconds_below=end),
        )
        for start, end, count in by_step(now)
    ]
    return Durations(figures, steps, whole)


def _figure(label: str, value: float | None, before: float | None, address: str) -> Figure:
    change = change_words(value, before) if value is not None and before else ""
    numbers = (("Value (s)", None if value is None else round(value)), ("Change (%)", change_percent(value, before)))
    return Figure(label, duration_words(value), DEFINITION, address, change=change, numbers=numbers)


def _step_name(start: int, end: int | None) -> str:
    if end is None:
        return f"{duration_words(start)} or more"
    return f"{duration_words(start)} to {duration_words(end)}"
