"""The units that a trend is shown by, and days put together by them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from sessions_app.periods import week_of

UNITS = {"hour": "Hour", "day": "Day", "week": "Week", "month": "Month"}
# So that a chart can be read, and its table stays small.
MOST_DAYS_BY = {"hour": 7, "day": 100, "week": 366, "month": 366}


@dataclass(frozen=True)
class DayGroup:
    """Days that share a day, week or month. It may begin before the first of them: a range may begin in its middle."""

    first_day: date
    days: list[date]
    unit: str

    @property
    def name(self) -> str:
        first = self.first_day
        if self.unit == "month":
            return f"{first:%B %Y}"
        if self.unit == "week":
            return f"Week of {first.day} {first:%b %Y}"
        return f"{first:%a} {first.day} {first:%b %Y}"


def grouped(days: Iterable[date], unit: str) -> list[DayGroup]:
    """The days by day, week (from Monday) or month, in order."""
    groups: dict[date, list[date]] = {}
    for day in days:
        first = {
            "day": day,
            "week": week_of(day),
            "month": day.replace(day=1),
        }[unit]
        groups.setdefault(first, []).append(day)
    return [DayGroup(first, together, unit) for first, together in groups.items()]
