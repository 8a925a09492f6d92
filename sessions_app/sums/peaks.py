"""How many sessions took place at once, at most, on a day."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sessions_app.events import LONGEST_DURATION_SECONDS
from sessions_app.models import NO_END, Session
from sessions_app.periods import ONE_DAY, starts_at
from sessions_app.sums.counting import TIMED

# A session without an end takes up its channel's longest session, which is a week at most.
LONGEST_WITHOUT_END = timedelta(days=7)
LONGEST = timedelta(seconds=LONGEST_DURATION_SECONDS)
EVERY_CHANNEL = ""


@dataclass(frozen=True)
class Peak:
    most: int
    reached_at: datetime


def most_at_once(day: date, zone: ZoneInfo, now: datetime, *, is_test: bool) -> dict[str, Peak]:
    """The most sessions at once on a local day, by channel and (blank) on all channels together.

    A session takes up its counted duration; one without an end the time until now, at most until it counts as open
    no longer. Where one ends as another begins, they are not at once.
    """
    first, until = starts_at(day, zone), starts_at(day + ONE_DAY, zone)
    changes: defaultdict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for channel, start, end in _taking_up(first, until, now, is_test):
        start, end = max(start, first), min(end, until)
        if start < end:
            for name in {EVERY_CHANNEL, channel}:
                changes[name] += [(start, 1), (end, -1)]
    return {name: _peak(sorted(moves)) for name, moves in changes.items()}


def _peak(moves: list[tuple[datetime, int]]) -> Peak:
    """Of moves in order of time, ends before begins."""
    most, reached_at, running = 0, moves[0][0], 0
    for moment, change in moves:
        running += change
        if running > most:
            most, reached_at = running, moment
    return Peak(most, reached_at)


def _taking_up(
    first: datetime, until: datetime, now: datetime, is_test: bool
) -> Iterator[tuple[str, datetime, datetime]]:
    """Channel, start and end of every session that may have taken place between `first` and `until`."""
    sessions = Session.objects.filter(is_test=is_test, started_at__lt=until).order_by()
    ended = sessions.filter(TIMED, started_at__gte=first - LONGEST).values_list(
        "channel_id", "started_at", "duration_seconds"
    )
    for channel, start, seconds in ended.iterator(chunk_size=5000):
        yield channel or "", start, start + timedelta(seconds=seconds or 0)
    without_end = sessions.filter(NO_END, started_at__gte=first - LONGEST_WITHOUT_END).values_list(
        "channel_id", "started_at", "open_until", "declared_missing_at"
    )
    for channel, start, open_until, declared_at in without_end.iterator(chunk_size=5000):
        yield channel or "", start, min(open_until or start, declared_at or now, now)
