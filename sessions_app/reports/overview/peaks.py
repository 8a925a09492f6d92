"""Peaks: the most sessions that took place at once in each day, week or month, on all channels and on each."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sessions_app.models import DayPeak, SumsMark
from sessions_app.reports.frame.export import Row
from sessions_app.reports.frame.figures import number_words, sessions_address
from sessions_app.reports.frame.ranges import DayRange
from sessions_app.reports.overview.units import DayGroup, grouped
from sessions_app.sums.peaks import EVERY_CHANNEL, Peak

DEFINITION = (
    "The most sessions that took place at one moment. Each takes up its counted duration; one without an end the time "
    "until now, at most its channel's longest session. Live traffic alone; found anew every few minutes."
)


@dataclass(frozen=True)
class PeakCell:
    """`address` leads to the sessions of that moment; blank on a channel that is deleted by now."""

    most: int
    words: str
    title: str
    address: str


@dataclass(frozen=True)
class PeakLine:
    """A day, week or month: its peak on all channels together, then on each; None where no session took place."""

    name: str
    cells: list[PeakCell | None]


@dataclass(frozen=True)
class Peaks:
    """The newest lines first. `found_at`: when the worker last looked for today's; None before it did."""

    unit: str
    channels: list[str]
    lines: list[PeakLine]
    found_at: datetime | None
    definition: str = DEFINITION

    @property
    def heads(self) -> list[str]:
        """Of a line's cells."""
        return ["All channels", *self.channels]

    def rows(self) -> Iterator[Row]:
        """As lines of the file."""
        for line in self.lines:
            for channel, cell in zip(self.heads, line.cells, strict=True):
                if cell:
                    yield "At once", line.name, channel, cell.most


def peaks_within(days: DayRange, unit: str, known: Collection[str]) -> Peaks:
    """By day at the finest: the worker keeps one peak of each day. `known`: the channels that there are now."""
    unit = "day" if unit == "hour" else unit
    groups = grouped(days.days, unit)
    best = _best(days, groups)
    channels = sorted({channel for _, channel in best if channel != EVERY_CHANNEL})
    lines = [
        _line(group, best, channels, known, days.zone)
        for group in reversed(groups)
        if (group.first_day, EVERY_CHANNEL) in best
    ]
    mark = SumsMark.objects.first()
    return Peaks(unit, channels, lines, mark.peaks_at if mark else None)


def _best(days: DayRange, groups: Sequence[DayGroup]) -> dict[tuple[date, str], Peak]:
    """The highest peak of each group, by its first day, and channel."""
    first_of = {day: group.first_day for group in groups for day in group.days}
    rows = DayPeak.objects.filter(day__gte=days.first_day, day__lte=days.last_day, is_test=False)
    best: dict[tuple[date, str], Peak] = {}
    for day, channel, most, reached_at in rows.values_list("day", "channel", "most", "reached_at"):
        key = first_of[day], channel
        if key not in best or most > best[key].most:
            best[key] = Peak(most, reached_at)
    return best


def _line(
    group: DayGroup, best: dict[tuple[date, str], Peak], channels: Sequence[str], known: Collection[str], zone: ZoneInfo
) -> PeakLine:
    cells = [
        _cell(best.get((group.first_day, channel)), channel, channel in known or channel == EVERY_CHANNEL, zone)
        for channel in (EVERY_CHANNEL, *channels)
    ]
    return PeakLine(group.name, cells)


def _cell(peak: Peak | None, channel: str, is_known: bool, zone: ZoneInfo) -> PeakCell | None:
    if peak is None:
        return None
    at = peak.reached_at.astimezone(zone)
    address = sessions_address(at=at.isoformat(), channel=channel) if is_known else ""
    return PeakCell(peak.most, number_words(peak.most), f"at {at:%a %-d %b %Y, %H:%M:%S}", address)
