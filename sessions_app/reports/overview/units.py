"""The units that a trend is shown by, and days put together by them. Pure."""

from collections.abc import Iterable, Sequence
from datetime import date

from sessions_app.periods import week_of

UNITS = {"hour": "Hour", "day": "Day", "week": "Week", "month": "Month"}
# So that a chart can be read, and its table stays small.
MOST_DAYS_BY = {"hour": 7, "day": 100, "week": 366, "month": 366}


def grouped(days: Iterable[date], unit: str) -> list[tuple[date, list[date]]]:
    """The days by day, week (from Monday) or month, each group with its true first day."""
    groups: dict[date, list[date]] = {}
    for day in days:
        first = {
            "day": day,
            "week": week_of(day),
            "month": day.replace(day=1),
        }[unit]
        groups.setdefault(first, []).append(day)
    return list(groups.items())


def period_name(first: date, days: Sequence[date], unit: str) -> str:
    if unit == "month":
        return f"{first:%B %Y}"
    if unit == "week":
        return f"Week of {first.day} {first:%b %Y}"
    return f"{days[0]:%a} {days[0].day} {days[0]:%b %Y}"
