"""How much a customer has used: what a session counts, the daily sums, and reading them back."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields, replace
from datetime import date, datetime
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from customers.limits import Metric, Period
from sessions_app.database.replica import read_connection
from sessions_app.decision.rules import Usage, UsageRow
from sessions_app.models import DailyUsage, Session
from sessions_app.periods import Span, local_day, seconds_by_day, span_of
from sessions_app.usage.drawn import Draw, Draws, TopUpRow, drawn_by, valid_top_ups

PERIODS = (Period.DAY, Period.WEEK, Period.MONTH)
_SESSIONS = {period: f"sessions_{period}" for period in PERIODS}
_CALL_SECONDS = {period: f"call_seconds_{period}" for period in PERIODS}
# The metrics that use up within a period (sessions at once do not, and messages are never reported to us): the column
# of the daily sums that fills their limits (without what was drawn on top-ups: the column `drawn_` with its name), and
# how much of it is one of their units.
FILLED_BY = {Metric.SESSIONS: ("sessions", 1), Metric.CALL_MINUTES: ("call_seconds", 60)}


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

    @classmethod
    def of(cls, row: DailyUsage) -> "Amount":
        return cls(row.sessions, row.seconds, row.call_seconds, row.drawn_sessions, row.drawn_call_seconds)

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


def contribution(session: Session) -> dict[UsageKey, Amount]:
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


def record_change(before: Mapping[UsageKey, Amount], after: Mapping[UsageKey, Amount]) -> None:
    """Bring the sums from what a session counted `before` to what it counts `after`, in the caller's transaction."""
    for key, change in change_between(before, after).items():
        _add(key, change)


def change_between(before: Mapping[UsageKey, Amount], after: Mapping[UsageKey, Amount]) -> dict[UsageKey, Amount]:
    """What has to be added to the sums; nothing for those that stay."""
    changes = {key: after.get(key, Amount()) + -before.get(key, Amount()) for key in {**before, **after}}
    return {key: change for key, change in changes.items() if change != Amount()}


_TABLE = DailyUsage._meta.db_table
_COUNTED = tuple(field.name for field in fields(Amount))
# What follows an insert on both databases, so that two sessions of one customer add up whoever is first.
ADDING = f"""ON CONFLICT (customer_id, day, channel, agent) DO UPDATE SET
    sessions = {_TABLE}.sessions + excluded.sessions,
    seconds = {_TABLE}.seconds + excluded.seconds,
    call_seconds = {_TABLE}.call_seconds + excluded.call_seconds,
    drawn_sessions = {_TABLE}.drawn_sessions + excluded.drawn_sessions,
    drawn_call_seconds = {_TABLE}.drawn_call_seconds + excluded.drawn_call_seconds"""
_ADD = f"""INSERT INTO {_TABLE} (customer_id, day, channel, agent, {", ".join(_COUNTED)})
VALUES (%s, %s, %s, %s, {", ".join(["%s"] * len(_COUNTED))}) {ADDING}"""


def _add(key: UsageKey, change: Amount) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            [
                key.customer_id,
                key.day.isoformat() if connection.vendor == "sqlite" else key.day,
                key.channel,
                key.agent,
                *astuple(change),
            ],
        )


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

    def was_open_at(self, now: datetime) -> bool:
        """By LiveTok's clock, for a decision: begun less than its longest time before or after `now`."""
        # Also one that begins after `now`: begins need not come in the order in which they happened.
        return abs(now - self.started_at) < self.open_until - self.started_at


OPEN_COLUMNS = tuple(field.name for field in fields(OpenSession))


def held_seconds(session: OpenSession, now: datetime, span: Span, hold_seconds: int) -> float:
    """What an open session on a channel that counts toward call minutes uses of a period."""
    # The whole hold, also where the period has just begun: four begins at 23:59:45 must not share the minute after it.
    return max((now - max(session.started_at, span.starts_at)).total_seconds(), hold_seconds)


@dataclass(frozen=True)
class Counts:
    """What a session counts of usage, and draws on top-ups."""

    sums: Mapping[UsageKey, Amount]
    drawn: Mapping[int, Draw]

    @classmethod
    def of(cls, session: Session) -> "Counts":
        return cls(contribution(session), drawn_by(session))


NOTHING = Counts({}, {})


def without_session(session: Session | None, customer_id: int) -> Counts:
    """What it counts for the customer, to be left out as if it did not exist."""
    if session is None:
        return NOTHING
    sums = {key: amount for key, amount in contribution(session).items() if key.customer_id == customer_id}
    return Counts(sums, drawn_by(session))


def usage_at(
    customer_id: int, now: datetime, zone: ZoneInfo, hold_minutes: int, *, without: Session | None = None
) -> Usage:
    """What a customer has used in the day, week and month that hold `now`, by channel and agent.

    `without` is a stored session that is left out, as if it did not exist.
    """
    spans = {period: span_of(period, now, zone) for period in PERIODS}
    return usage_from(
        recorded_sums([customer_id], spans).get(customer_id, ()),
        _open_sessions(customer_id, now, without),
        now,
        spans,
        hold_minutes,
        top_ups=valid_top_ups({customer_id: zone}, now).get(customer_id, ()),
        without=without_session(without, customer_id),
    )


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
        if session.was_open_at(now):
            rows.hold(session, now, spans, hold_minutes * 60)
            draws.hold(session.minutes_top_up_id, (now - session.started_at).total_seconds(), hold_minutes * 60)
    return Usage(tuple(rows), draws.balances(top_ups))


def _open_sessions(customer_id: int, now: datetime, without: Session | None) -> list[OpenSession]:
    """Those that may be open for a decision at `now` (LiveTok's clock)."""
    candidates = Session.objects.holding_at(now).filter(customer_id=customer_id)
    if without is not None:
        candidates = candidates.exclude(pk=without.pk)
    return [OpenSession(*row) for row in candidates.values_list(*OPEN_COLUMNS)]


# What `usage_from` takes of each channel and agent, and what adds it up with the parameters of `days_of`.
RECORDED = ("channel", "agent", *_SESSIONS.values(), *_CALL_SECONDS.values(), "drawn_seconds_today")
RECORDED_SUMS = ", ".join(
    f"CAST(COALESCE(SUM({counted}) FILTER (WHERE day >= %({period}_from)s AND day < %({period}_until)s), 0) AS bigint)"
    f" AS {name}"
    for counted, name, period in (
        *(("sessions - drawn_sessions", name, period) for period, name in _SESSIONS.items()),
        *(("call_seconds - drawn_call_seconds", name, period) for period, name in _CALL_SECONDS.items()),
        ("drawn_call_seconds", "drawn_seconds_today", Period.DAY),
    )
)
WITHIN_SPANS = "day >= %(first_day)s AND day < %(after_last_day)s"
# Asking the ORM for six sums takes longer than adding them up.
_RECORDED = f"""SELECT customer_id, channel, agent, {RECORDED_SUMS} FROM {_TABLE}
WHERE customer_id IN ({{customers}}) AND {WITHIN_SPANS} GROUP BY customer_id, channel, agent"""


def days_of(spans: Mapping[Period, Span]) -> dict[str, date]:
    """The parameters of RECORDED_SUMS and WITHIN_SPANS: each span's days, and those of all together."""
    return {
        "first_day": min(span.first_day for span in spans.values()),
        "after_last_day": max(span.after_last_day for span in spans.values()),
        **{f"{period}_from": span.first_day for period, span in spans.items()},
        **{f"{period}_until": span.after_last_day for period, span in spans.items()},
    }


def recorded_sums(customer_ids: Collection[int], spans: Mapping[Period, Span]) -> dict[int, list[Mapping[str, Any]]]:
    """The sums of each customer's day, week and month by channel and agent, as `usage_from` takes them."""
    customers = {f"customer_{number}": pk for number, pk in enumerate(customer_ids)}
    found: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    if not customers:
        return found
    with read_connection().cursor() as cursor:
        cursor.execute(
            _RECORDED.format(customers=", ".join(f"%({name})s" for name in customers)),
            {**customers, **{name: day.isoformat() for name, day in days_of(spans).items()}},
        )
        for customer_id, *sums in cursor.fetchall():
            found[customer_id].append(dict(zip(RECORDED, sums, strict=True)))
    return found


class _Rows:
    """Usage being put together, by channel and agent."""

    def __init__(self, recorded: Iterable[Mapping[str, Any]]) -> None:
        self.by_scope: dict[tuple[str, str], UsageRow] = {}
        for row in recorded:
            channel, agent = row["channel"], row["agent"]
            self.by_scope[channel, agent] = UsageRow(
                channel or None,
                agent or None,
                {period: row[name] for period, name in _SESSIONS.items()},
                {period: row[name] for period, name in _CALL_SECONDS.items()},
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
