"""The days that a report covers, in the company's time zone."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sessions_app.periods import ONE_DAY, local_day, starts_at

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
class DayRange:
    """Whole local days, the first and the last included."""

    first_day: date
    last_day: date
    zone: ZoneInfo

    @property
    def starts_at(self) -> datetime:
        return starts_at(self.first_day, self.zone)

    @property
    def ends_before(self) -> datetime:
        return starts_at(self.last_day + ONE_DAY, self.zone)

    @property
    def days(self) -> list[date]:
        return [self.first_day + timedelta(days=number) for number in range((self.last_day - self.first_day).days + 1)]


def preset_range(preset: str, now: datetime, zone: ZoneInfo) -> DayRange:
    """One of `PRESETS`. Numbers of days count today as the last one."""
    today = local_day(now, zone)
    if preset == "yesterday":
        return DayRange(today - ONE_DAY, today - ONE_DAY, zone)
    if preset == "month":
        return DayRange(today.replace(day=1), today, zone)
    if preset == "last_month":
        last = today.replace(day=1) - ONE_DAY
        return DayRange(last.replace(day=1), last, zone)
    days = 1 if preset == "today" else int(preset.removesuffix("d"))
    return DayRange(today - timedelta(days=days - 1), today, zone)
