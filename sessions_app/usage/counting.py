"""What a session counts of usage, holds and draws on top-ups, and usage put together from that. Pure: no database."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from itertools import chain
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from customers.limits import Metric, Period
from sessions_app.decision.rules import Balance, Usage, UsageRow
from sessions_app.periods import Span, local_day, seconds_by_day

PERIODS = (Period.DAY, Period.WEEK, Period.MONTH)
SESSIONS = {period: f"sessions_{period}" for period in PERIODS}
CALL_SECONDS = {period: f"call_seconds_{period}" for period in PERIODS}
# The metrics that use up within a period (sessions at once do not, and messages are never reported to us): the column
# of the daily sums that fills their limits (without what was drawn on top-ups: the column `drawn_` with its name), and
# how much of it is one of their units.
FILLED_BY = {Metric.SESSIONS: ("sessions", 1), Metric.CALL_MINUTES: ("call_seconds", 60)}
# What `usage_from` takes of each channel and agent.
RECORDED = ("channel", "agent", *SESSIONS.values(), *CALL_SECONDS.values(), "drawn_seconds_today")


class Opened(Protocol):
    """What has begun, in the names of `Session`."""

    @property
    def started_at(self) -> datetime: ...
    @property
    def open_until(self) -> datetime: ...


class Stored(Protocol):
    """A stored `Session`."""

    @property
    def is_test(self) -> bool: ...
    @property
    def customer_id(self) -> int | None: ...
    @property
    def channel_id(self) -> str | None: ...
    @property
    def agent_id(self) -> str | None: ...
    @property
    def is_denied(self) -> bool: ...
    @property
    def zone(self) -> ZoneInfo: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def counted_seconds(self) -> int: ...
    @property
    def counts_toward_call_minutes(self) -> bool: ...
    @property
    def minutes_top_up_id(self) -> int | None: ...
    @property
    def sessions_top_up_id(self) -> int | None: ...


@dataclass(frozen=True)
class Draw:
    sessions: int = 0
    call_seconds: int = 0

    def __add__(self, other: "Draw") -> "Draw":
        return Draw(self.sessions + other.sessions, self.call_seconds + other.call_seconds)

    def __neg__(self) -> "Draw":
        return Draw(-self.sessions, -self.call_seconds)


def drawn_by(session: Stored) -> dict[int, Draw]:
    """What a session draws on each top-up, from its row alone; nothing while it is open, but a session of one of these.

    Its decision says on which. Whatever counts nothing draws nothing.
    """
    if session.is_test or session.customer_id is None or session.is_denied:
        return {}
    drawn: dict[int, Draw] = {}
    if session.sessions_top_up_id is not None:
        drawn[session.sessions_top_up_id] = Draw(sessions=1)
    if session.minutes_top_up_id is not None:
        seconds = session.counted_seconds if session.counts_toward_call_minutes else 0
        drawn[session.minutes_top_up_id] = Draw(call_seconds=seconds)
    return drawn


def drawn_between(before: Mapping[int, Draw], after: Mapping[int, Draw]) -> dict[int, Draw]:
    """What has to be added to the sums, in one order, so that two at once do not wait for each other.

    Nothing, too, for a top-up that is drawn on from now on, so that it has a sum.
    """
    changes = {pk: after.get(pk, Draw()) + -before.get(pk, Draw()) for pk in sorted({**before, **after})}
    return {pk: change for pk, change in changes.items() if change != Draw() or pk not in before}


@dataclass(frozen=True)
class UsageKey:
    """Which sum a session counts in. A blank channel or agent is a session without one."""

    customer_id: int
    day: date
    channel: str
    agent: str


@dataclass(frozen=True)
class Amount:
    """What is counted; of sessions and call seconds, how much was drawn on top-ups and so uses up no limit."""

    sessions: int = 0
    seconds: int = 0
    call_seconds: int = 0
    drawn_sessions: int = 0
    drawn_call_seconds: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.sessions + other.sessions,
            self.seconds + other.seconds,
            self.call_seconds + other.call_seconds,
            self.drawn_sessions + other.drawn_sessions,
            self.drawn_call_seconds + other.drawn_call_seconds,
        )

    def __neg__(self) -> "Amount":
        return Amount(-self.sessions, -self.seconds, -self.call_seconds, -self.drawn_sessions, -self.drawn_call_seconds)


def contribution(session: Stored) -> dict[UsageKey, Amount]:
    """What a session counts, from its row alone.

    A session in the period in which it starts, its seconds on each local day that it touches. Test traffic, callers
    who are no customers and denied sessions count nothing; an open session or a missing end counts no seconds.
    """
    if session.is_test or session.customer_id is None or session.is_denied:
        return {}
    zone, drawn = session.zone, drawn_by(session)
    draws = Amount(sessions=1, drawn_sessions=sum(draw.sessions for draw in drawn.values()))
    amounts = {local_day(session.started_at, zone): draws}
    draws_minutes = session.minutes_top_up_id in drawn
    for day, seconds in seconds_by_day(session.started_at, session.counted_seconds, zone).items():
        call_seconds = seconds if session.counts_toward_call_minutes else 0
        drawn_seconds = call_seconds if draws_minutes else 0
        spent = Amount(seconds=seconds, call_seconds=call_seconds, drawn_call_seconds=drawn_seconds)
        amounts[day] = amounts.get(day, Amount()) + spent
    channel, agent = session.channel_id or "", session.agent_id or ""
    return {UsageKey(session.customer_id, day, channel, agent): amount for day, amount in amounts.items()}


def change_between(before: Mapping[UsageKey, Amount], after: Mapping[UsageKey, Amount]) -> dict[UsageKey, Amount]:
    """What has to be added to the sums; nothing for those that stay."""
    changes = {key: after.get(key, Amount()) + -before.get(key, Amount()) for key in {**before, **after}}
    return {key: change for key, change in changes.items() if change != Amount()}


@dataclass(frozen=True)
class OpenSession:
    """What holds of a session that has not ended, in the names of `Session`."""

    channel_id: str | None
    agent_id: str | None
    counts_toward_call_minutes: bool
    started_at: datetime
    open_until: datetime
    minutes_top_up_id: int | None = None
    sessions_top_up_id: int | None = None


OPEN_COLUMNS = tuple(field.name for field in fields(OpenSession))


def was_open_at(session: Opened, now: datetime) -> bool:
    """By LiveTok's clock, for a decision: begun less than its longest time before or after `now`."""
    # Also one that begins after `now`: begins need not come in the order in which they happened.
    return abs(now - session.started_at) < session.open_until - session.started_at


def held_seconds(session: Opened, now: datetime, span: Span, hold_seconds: int) -> float:
    """What an open session on a channel that counts toward call minutes uses of a period."""
    # The whole hold, also where the period has just begun: four begins at 23:59:45 must not share the minute after it.
    return max((now - max(session.started_at, span.starts_at)).total_seconds(), hold_seconds)


@dataclass(frozen=True)
class Counts:
    """What a session counts of usage, and draws on top-ups."""

    sums: Mapping[UsageKey, Amount]
    drawn: Mapping[int, Draw]

    @classmethod
    def of(cls, session: Stored) -> "Counts":
        return cls(contribution(session), drawn_by(session))


NOTHING = Counts({}, {})


def without_session(session: Stored | None, customer_id: int) -> Counts:
    """What it counts for the customer, to be left out as if it did not exist."""
    if session is None:
        return NOTHING
    sums = {key: amount for key, amount in contribution(session).items() if key.customer_id == customer_id}
    return Counts(sums, drawn_by(session))


@dataclass(frozen=True)
class TopUpRow:
    """A top-up with what was recorded of it. `made_on` is a day of the customer's."""

    pk: int
    metric: Metric
    amount: int
    valid_until: datetime | None
    made_on: date
    recorded: Draw


class Draws:
    """What is drawn on top-ups, being put together from what was recorded and what is open."""

    def __init__(self, left_out: Mapping[int, Draw]) -> None:
        self.sessions: dict[int, int] = defaultdict(int)
        self.seconds: dict[int, float] = defaultdict(float)
        for pk, draw in left_out.items():
            self.sessions[pk] -= draw.sessions
            self.seconds[pk] -= draw.call_seconds

    def copy(self) -> "Draws":
        other = Draws({})
        other.sessions.update(self.sessions)
        other.seconds.update(self.seconds)
        return other

    def count(self, top_up_id: int | None) -> None:
        """A session that is in no sum yet."""
        if top_up_id is not None:
            self.sessions[top_up_id] += 1

    def hold(self, top_up_id: int | None, elapsed_seconds: float, hold_seconds: int) -> None:
        """An open session holds all of its time, on whichever days it is."""
        if top_up_id is not None:
            self.seconds[top_up_id] += max(elapsed_seconds, hold_seconds)

    def balances(self, top_ups: Iterable[TopUpRow]) -> tuple[Balance, ...]:
        """In the order in which sessions draw on them: the one that ends soonest first, then the one added first."""
        return tuple(
            Balance(row.pk, row.metric, row.amount, self._drawn(row), row.made_on)
            for row in sorted(top_ups, key=lambda row: (*_ends(row.valid_until), row.pk))
        )

    def _drawn(self, row: TopUpRow) -> float:
        if row.metric is Metric.SESSIONS:
            return row.recorded.sessions + self.sessions[row.pk]
        return row.recorded.call_seconds + self.seconds[row.pk]


def _ends(valid_until: datetime | None) -> tuple[bool, float]:
    return valid_until is None, valid_until.timestamp() if valid_until else 0


def usage_from(
    recorded: Iterable[Mapping[str, Any]],
    open_sessions: Iterable[OpenSession],
    now: datetime,
    spans: Mapping[Period, Span],
    hold_minutes: int,
    *,
    top_ups: Iterable[TopUpRow] = (),
    without: Counts = NOTHING,
    waiting: Iterable[OpenSession] = (),
) -> Usage:
    """Usage from the sums of each period by channel and agent (`sessions_day`, `call_seconds_day` …), and what is open.

    An open session on a channel that counts toward call minutes holds, in each period, the larger of its elapsed time
    inside it and `hold_minutes`; one that draws its minutes on a top-up holds of that instead. `top_ups` are those that
    are valid. What is left out is taken off the sums; `waiting` sessions are in none yet.
    """
    rows, draws = _Rows(recorded), Draws(without.drawn)
    for key, amount in without.sums.items():
        rows.subtract(key, amount, spans)
    waiting = list(waiting)
    for session in waiting:
        rows.count(session, spans)
        draws.count(session.sessions_top_up_id)
    for session in chain(open_sessions, waiting):
        if was_open_at(session, now):
            rows.hold(session, now, spans, hold_minutes * 60)
            draws.hold(session.minutes_top_up_id, (now - session.started_at).total_seconds(), hold_minutes * 60)
    return Usage(tuple(rows), draws.balances(top_ups))


class _Rows:
    """Usage being put together, by channel and agent."""

    def __init__(self, recorded: Iterable[Mapping[str, Any]]) -> None:
        self.by_scope: dict[tuple[str, str], UsageRow] = {}
        for row in recorded:
            channel, agent = row["channel"], row["agent"]
            self.by_scope[channel, agent] = UsageRow(
                channel or None,
                agent or None,
                {period: row[name] for period, name in SESSIONS.items()},
                {period: row[name] for period, name in CALL_SECONDS.items()},
                dict.fromkeys(PERIODS, 0.0),
                drawn_seconds_today=row["drawn_seconds_today"],
            )

    def subtract(self, key: UsageKey, amount: Amount, spans: Mapping[Period, Span]) -> None:
        row = self.by_scope.get((key.channel, key.agent))
        if row is None:
            return
        for period, span in spans.items():
            if span.holds(key.day):
                row.sessions[period] -= amount.sessions - amount.drawn_sessions
                row.call_seconds[period] -= amount.call_seconds - amount.drawn_call_seconds
        if spans[Period.DAY].holds(key.day):
            self._draw_today(row, -amount.drawn_call_seconds)

    def _draw_today(self, row: UsageRow, seconds: float) -> None:
        drawn = replace(row, drawn_seconds_today=row.drawn_seconds_today + seconds)
        self.by_scope[row.channel or "", row.agent or ""] = drawn

    def count(self, session: OpenSession, spans: Mapping[Period, Span]) -> None:
        if session.sessions_top_up_id is not None:
            return
        scope = session.channel_id or "", session.agent_id or ""
        row = self.by_scope.setdefault(scope, _unused(*scope))
        for period, span in spans.items():
            row.sessions[period] += span.starts_at <= session.started_at < span.resets_at

    def hold(self, session: OpenSession, now: datetime, spans: Mapping[Period, Span], hold_seconds: int) -> None:
        scope = session.channel_id or "", session.agent_id or ""
        row = self.by_scope.get(scope) or _unused(*scope)
        self.by_scope[scope] = row = replace(row, open_sessions=row.open_sessions + 1)
        if not session.counts_toward_call_minutes:
            return
        if session.minutes_top_up_id is not None:
            self._draw_today(row, held_seconds(session, now, spans[Period.DAY], hold_seconds))
        else:
            for period, span in spans.items():
                row.held_seconds[period] += held_seconds(session, now, span, hold_seconds)

    def __iter__(self) -> Iterator[UsageRow]:
        return (row for _, row in sorted(self.by_scope.items()))


def _unused(channel: str, agent: str) -> UsageRow:
    nothing = dict.fromkeys(PERIODS, 0), dict.fromkeys(PERIODS, 0), dict.fromkeys(PERIODS, 0.0)
    return UsageRow(channel or None, agent or None, *nothing)
