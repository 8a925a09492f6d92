"""The days that a report covers, in the company's time zone, and the part of the past that they compare with."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from sessions_app.periods import ONE_DAY, local_day, same_time_on, starts_at

PRESETS = {
    "today": "Today",
    "yesterday": "Yesterday",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "month": "This month",
    "last_month": "Last month",
}


@dataclass(frozen=True)
class Stretch:
    """The instants [starts_at, ends_before)."""

    starts_at: datetime
    ends_before: datetime


@dataclass(frozen=True)
class DayRange:
    """Whole local days, the first and the last included. `is_month`: a calendar month, or what has passed of it."""

    first_day: date
    last_day: date
    zone: ZoneInfo
    is_month: bool = False

    @property
    def starts_at(self) -> datetime:
        return starts_at(self.first_day, self.zone)

    @property
    def ends_before(self) -> datetime:
        return starts_at(self.last_day + ONE_DAY, self.zone)

    @cached_property
    def days(self) -> list[date]:
        return [self.first_day + timedelta(days=number) for number in range((self.last_day - self.first_day).days + 1)]

    @property
    def stretch(self) -> Stretch:
        return Stretch(self.starts_at, self.ends_before)

    def preceding(self, now: datetime) -> Stretch:
        """What to compare with: as many days just before, or the month before; of running days the same part."""
        first = self.first_day - timedelta(days=len(self.days))
        if self.is_month:
            first = (self.first_day - ONE_DAY).replace(day=1)
        until = self.starts_at
        if self.starts_at <= now < self.ends_before:
            today = local_day(now, self.zone)
            # The month before may be shorter than what has passed of this one.
            until = min(until, same_time_on(first + (today - self.first_day), now, self.zone))
        return Stretch(starts_at(first, self.zone), until)


def preset_range(preset: str, now: datetime, zone: ZoneInfo) -> DayRange:
    """One of `PRESETS`. Numbers of days count today as the last one."""
    today = local_day(now, zone)
    if preset == "yesterday":
        return DayRange(today - ONE_DAY, today - ONE_DAY, zone)
    if preset == "month":
        return DayRange(today.replace(day=1), today, zone, is_month=True)
    if preset == "last_month":
        last = today.replace(day=1) - ONE_DAY
        return DayRange(last.replace(day=1), last, zone, is_month=True)
    days = 1 if preset == "today" else int(preset.removesuffix("d"))
    return DayRange(today - timedelta(days=days - 1), today, zone)
