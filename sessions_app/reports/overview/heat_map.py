"""The heat map: how many sessions begin in each hour of each weekday, on average."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sessions_app.periods import hours_of
from sessions_app.reports.frame.export import Row
from sessions_app.reports.frame.figures import count_words, number_words
from sessions_app.reports.frame.ranges import DayRange
from sessions_app.reports.overview.filters import OverviewFilters

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
STEPS = 6
DEFINITION = (
    "Sessions that began in this hour of this weekday, divided by how often that hour came in these days until now. An "
    "hour that daylight saving skips did not come."
)

HourOfWeek: TypeAlias = tuple[int, int]  # the weekday, from Monday (0), and the hour


@dataclass(frozen=True)
class HeatCell:
    """`step` says how strong its colour is: 0, where no session began, to `STEPS`."""

    words: str
    mean: float
    sessions: int
    step: int
    title: str
    address: str


@dataclass(frozen=True)
class HeatRow:
    """A weekday, with a cell for each hour."""

    name: str
    cells: list[HeatCell]


@dataclass(frozen=True)
class HeatMap:
    weekdays: list[HeatRow]
    hours: tuple[str, ...] = tuple(f"{hour:02}" for hour in range(24))
    definition: str = DEFINITION

    def rows(self) -> Iterator[Row]:
        """As lines of the file."""
        for weekday in self.weekdays:
            for hour, cell in zip(self.hours, weekday.cells, strict=True):
                yield "Weekday and hour", f"{weekday.name} {hour}:00", "Sessions an hour", round(cell.mean, 2)


def heat_map_of(sessions: Counter[HourOfWeek], filters: OverviewFilters) -> HeatMap:
    came = hours_that_came(filters.range, filters.now)
    most = max((sessions[place] / times for place, times in came.items()), default=0.0)
    weekdays = []
    for weekday, name in enumerate(WEEKDAYS):
        places = [(weekday, hour) for hour in range(24)]
        weekdays.append(HeatRow(name, [_cell(place, sessions[place], came[place], most, filters) for place in places]))
    return HeatMap(weekdays)


def hours_that_came(days: DayRange, now: datetime) -> Counter[HourOfWeek]:
    """How often each hour of each weekday came until now."""
    came: Counter[HourOfWeek] = Counter()
    for day in days.days:
        # As a set: an hour that the clock runs through twice came once.
        came.update({(day.weekday(), hour.hour) for hour in hours_of(day, days.zone) if hour.starts_at <= now})
    return came


def _cell(place: HourOfWeek, sessions: int, times: int, most: float, filters: OverviewFilters) -> HeatCell:
    """`times`: how often the hour came; `most`: the highest mean of all cells."""
    weekday, hour = place
    mean = sessions / times if times else 0.0
    return HeatCell(
        number_words(mean, 0 if mean >= 9.95 else 1),
        mean,
        sessions,
        min(STEPS, int(mean / most * STEPS) + 1) if mean else 0,
        f"{WEEKDAYS[weekday]} {hour:02}:00: {count_words(sessions, 'session')} in {count_words(times, 'hour')}",
        filters.address(weekday=weekday, hour=hour),
    )
