"""LiveTok's events in our words. Pure: no database, clock or settings; knows none of LiveTok's field names."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_DURATION_SECONDS = 24 * 60 * 60
DURATION_TOLERANCE_SECONDS = 60
HOW_IT_CAME = frozenset({"received_at", "body", "route"})


@dataclass(frozen=True)
class Caller:
    """Whoever begins a session. The number decides who that is; LiveTok's customer id does where there is none."""

    number_received: str = ""
    phone_key: str = ""
    external_id: str = ""
    name: str = ""
    email: str = ""

    @property
    def identity(self) -> tuple[str, str] | None:
        """What two events of the same caller share; None where the caller is not named."""
        if self.phone_key:
            return "number", self.phone_key
        if self.external_id:
            return "id", self.external_id
        return None


@dataclass(frozen=True)
class SessionEvent:
    """What a begin and an end share. Times are aware; `stated_at` is LiveTok's clock, None where it said nothing.

    `route` is the address it came to: "begin", "end", or "" for the one that takes both.
    """

    session_id: str
    caller: Caller
    received_at: datetime
    body: bytes
    route: str = ""
    is_test: bool = False
    channel: str | None = None
    agent: str | None = None
    agent_is_number: bool = False
    agent_name: str = ""
    stated_at: datetime | None = None
    flags: frozenset[str] = frozenset()

    @property
    def at(self) -> datetime:
        """LiveTok's clock, else ours."""
        return self.stated_at or self.received_at

    @property
    def said(self) -> str:
        """All that was read of it, as a text. An event that says the same is the same, sent again."""
        read = {name: value for name, value in vars(self).items() if name not in HOW_IT_CAME}
        return repr(read | {"flags": sorted(self.flags)})


@dataclass(frozen=True)
class SessionBegin(SessionEvent):
    pass


@dataclass(frozen=True)
class SessionEnd(SessionEvent):
    """`duration_seconds` is what LiveTok stated, even where it is negative or too long; None where it stated none."""

    duration_seconds: int | None = None

    @property
    def is_usable(self) -> bool:
        return duration_is_usable(self.duration_seconds)


def duration_is_usable(duration_seconds: int | None) -> bool:
    """Whether a duration can be counted: stated, not negative, at most 24 hours."""
    return duration_seconds is not None and 0 <= duration_seconds <= LONGEST_DURATION_SECONDS


def counting_end(ends: Iterable[SessionEnd]) -> SessionEnd:
    """The one of several ends that counts, whatever order they came in.

    A usable duration beats none; then, where both state a time, the later; then the longer; then the one that says the
    greater text: not the greater body, since of bodies that say the same it depends on the order which one is kept.
    Ends that state no time are ranked among themselves first: compared pair by pair, three ends could beat each other
    in a circle.
    """
    ends = list(ends)
    candidates = [end for end in ends if end.is_usable] or ends
    with_time = [end for end in candidates if end.stated_at is not None]
    without_time = [end for end in candidates if end.stated_at is None]
    finalists = []
    if with_time:
        latest = max(end.at for end in with_time)
        finalists.append(max((end for end in with_time if end.at == latest), key=_length_and_text))
    if without_time:
        finalists.append(max(without_time, key=_length_and_text))
    return max(finalists, key=_length_and_text)


def _length_and_text(end: SessionEnd) -> tuple[float, str]:
    return (float("-inf") if end.duration_seconds is None else end.duration_seconds), end.said


@dataclass(frozen=True)
class Occupancy:
    """When a session took place, as its begin and end together tell. `flags` are judged again with each change."""

    started_at: datetime
    ended_at: datetime | None
    duration_seconds: int | None
    flags: frozenset[str]


def occupancy(
    *,
    begin_at: datetime | None,
    begin_stated: bool,
    end_at: datetime | None,
    end_stated: bool,
    stated_seconds: int | None,
    may_derive: bool,
) -> Occupancy:
    """Where a session starts, how long it is, and what is odd about it. Needs a begin or an end.

    A missing duration is end minus begin where it `may_derive` (not where it is unreadable, and so not counted, nor
    where the session was denied). Without a begin, the start is the end minus the duration.
    """
    flags = set()
    seconds = stated_seconds
    if begin_at and end_at:
        measured = round((end_at - begin_at).total_seconds())
        if stated_seconds is None and may_derive:
            seconds = measured
            flags.add("duration_derived")
        elif begin_stated and end_stated and duration_is_usable(stated_seconds):
            assert stated_seconds is not None
            if abs((end_at - begin_at).total_seconds() - stated_seconds) > DURATION_TOLERANCE_SECONDS:
                flags.add("duration_differs")
    if seconds is not None and not duration_is_usable(seconds):
        flags.add("duration_invalid")
    started_at = begin_at
    if started_at is None:
        assert end_at is not None, "a session has a begin or an end"
        flags.add("no_begin")
        counted = seconds if seconds is not None and duration_is_usable(seconds) else 0
        started_at = end_at - timedelta(seconds=counted)
    return Occupancy(started_at, end_at, seconds, frozenset(flags))
