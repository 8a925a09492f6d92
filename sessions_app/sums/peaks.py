"""How many sessions took place at once, at most, on a day."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import heappop, heappush, merge
from zoneinfo import ZoneInfo

from django.db.models import Q

from sessions_app.database.pieces import rows_in_pieces
from sessions_app.livetok.events import LONGEST_DURATION_SECONDS
from sessions_app.models import NO_END, Session
from sessions_app.periods import ONE_DAY, starts_at
from sessions_app.sums.counting import LENGTH

# A session without an end takes up its channel's longest session, which is a week at most.
LONGEST_WITHOUT_END = timedelta(days=7)
LONGEST = timedelta(seconds=LONGEST_DURATION_SECONDS)
# Sessions of an earlier day that took longer are few, and looked for among all of that day.
MOST_LAST = timedelta(hours=1)
EVERY_CHANNEL = ""


@dataclass(frozen=True)
class Peak:
    most: int
    reached_at: datetime


def most_at_once(day: date, zone: ZoneInfo, now: datetime) -> dict[bool, dict[str, Peak]]:
    """The most sessions at once on a local day, of live (False) and of test traffic, by channel and (blank) on all
    channels together.

    A session takes up its counted duration; one without an end the time until now, at most until it counts as open
    no longer. Where one ends as another begins, they are not at once.
    """
    first, until = starts_at(day, zone), starts_at(day + ONE_DAY, zone)
    # When each session ends that takes place, soonest first: no more of them are held than are at once.
    running: defaultdict[tuple[bool, str], list[datetime]] = defaultdict(list)
    peaks: dict[bool, dict[str, Peak]] = {False: {}, True: {}}
    for start, end, is_test, channel in _taking_up(first, until, now):
        start, end = max(start, first), min(end, until)
        if start >= end:
            continue
        for name in {EVERY_CHANNEL, channel}:
            ends, found = running[is_test, name], peaks[is_test]
            while ends and ends[0] <= start:
                heappop(ends)
            heappush(ends, end)
            if name not in found or len(ends) > found[name].most:
                found[name] = Peak(len(ends), start)
    return peaks


def _taking_up(first: datetime, until: datetime, now: datetime) -> Iterator[tuple[datetime, datetime, bool, str]]:
    """Start, end, whether it is a test, and channel of every session that may have taken place in between, by start."""
    may_reach = Q(started_at__gte=first - MOST_LAST) | Q(length__gt=MOST_LAST.total_seconds())
    started = Session.objects.filter(started_at__gte=first - LONGEST, started_at__lt=until)
    timed = started.annotate(length=LENGTH).filter(may_reach, length__isnull=False)
    # Found by when they count as open no more: the few sessions without an end have an index of that.
    without_end = Session.objects.filter(
        NO_END, open_until__gt=first, open_until__lt=until + LONGEST_WITHOUT_END
    ).order_by()
    of_timed = rows_in_pieces(timed, "started_at", "pk", "length", "is_test", "channel_id", key=2)
    columns = ("is_test", "channel_id", "started_at", "open_until", "declared_missing_at")
    return merge(
        (
            (start, start + timedelta(seconds=seconds), is_test, channel or "")
            for start, _, seconds, is_test, channel in of_timed
        ),
        sorted(
            (start, min(open_until or start, declared_at or now, now), is_test, channel or "")
            for is_test, channel, start, open_until, declared_at in without_end.values_list(*columns)
        ),
    )
