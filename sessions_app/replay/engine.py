"""One customer's stored sessions, decided once more under each of several sets of limits. Pure: no database or clock.

Events come in the order in which we received them, as they did. A session that is denied now frees what it used.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from heapq import heappop, heappush
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from customers.limits import Limit, Metric, Period
from sessions_app.decision.rules import (
    Balance,
    CallerKind,
    Reason,
    draws_of,
    first_denying,
    judged_limits,
    limit_checks,
)
from sessions_app.periods import days_of, local_day, seconds_by_day, span_of
from sessions_app.usage.counting import PERIODS, Draws, TopUpRow, held_seconds, was_open_at

# Decisions that limits had a part in. With any other reason, other limits would have changed nothing.
BY_LIMITS = frozenset(
    reason for reason in Reason if reason is Reason.ALLOWED or reason.startswith(("concurrent_", "sessions_", "call_"))
)


class Replayed(NamedTuple):
    """A session as it is stored, in the names of `Session`. `started_on` is the local day of its start, which is the
    moment that its decision went by.

    `is_asked`: it is decided again, by `hold_seconds` as they were; the others stay as they were decided.
    `counted_seconds` are those of its duration that count, or would if it were let in. `took_place`: LiveTok stated how
    long it took, denied or not.
    """

    pk: int
    is_asked: bool
    channel_id: str | None
    agent_id: str | None
    counts_toward_call_minutes: bool
    zone: ZoneInfo
    started_at: datetime
    started_on: date
    open_until: datetime
    begin_received_at: datetime | None
    end_received_at: datetime | None
    ended_at: datetime | None
    declared_missing_at: datetime | None
    counted_seconds: int
    allowed: bool | None
    took_place: bool
    hold_seconds: int
    minutes_top_up_id: int | None
    sessions_top_up_id: int | None

    @property
    def took_place_although_denied(self) -> bool:
        return self.allowed is False and self.took_place

    @property
    def was_kept_out(self) -> bool:
        return self.allowed is False and not self.took_place

    @property
    def ended_before_it_began(self) -> bool:
        """By our clock: its end came first."""
        began, ended = self.begin_received_at, self.end_received_at
        return began is not None and ended is not None and ended <= began


class Verdict(NamedTuple):
    """How a session is decided now. `call_seconds` are those that count, guessed where nobody knows them."""

    reason: Reason
    call_seconds: int
    is_guessed: bool

    @property
    def allowed(self) -> bool:
        return self.reason.admits


@dataclass(frozen=True)
class TopUp:
    """A top-up of the customer's, and when it is valid. What its row has as `recorded` came before all sessions."""

    row: TopUpRow
    is_valid_at: Callable[[datetime], bool]


LimitsAt = Callable[[datetime], tuple[Limit, ...]]


def replay(
    sessions: Sequence[Replayed],
    lines: Sequence[LimitsAt],
    scale: Collection[Limit],
    guess_seconds: Callable[[], int],
    top_ups: Sequence[TopUp] = (),
) -> Iterator[tuple[Replayed, list[Verdict]]]:
    """Each session that is asked for with a verdict under each of the `lines`, in the order of their begins.

    All are of one customer. `scale` has every limit that any of the lines may have. A session that is let in now, and
    was not then, takes `guess_seconds`.
    """
    first = _Running(scale, top_ups)
    # Lines share what was used until they decide differently for the first time.
    used = [first] * len(lines)
    guessed: list[tuple[datetime, int, int]] = []
    for received_at, _, what, index in _events_of(sessions):
        while guessed and guessed[0][0] < received_at:
            _, number, place = heappop(guessed)
            used[number].end(sessions[place], guess_seconds())
        session = sessions[index]
        if what == _BEGIN and session.is_asked:
            verdicts = _decided(session, used, [limits_at(session.started_at) for limits_at in lines], guess_seconds)
            for number, verdict in enumerate(verdicts):
                if verdict.is_guessed:
                    heappush(guessed, (received_at + timedelta(seconds=guess_seconds()), number, index))
            yield session, verdicts
        else:
            for state in dict.fromkeys(used):
                if what == _BEGIN:
                    state.begin(session, bool(session.allowed), _stored_draws(session))
                elif what == _END:
                    state.end_as_it_did(session)
                else:
                    state.close(session)


_BEGIN, _END, _DECLARED = range(3)
# When it was received, whose it is, what it is, and which of the sessions that is.
_Event = tuple[datetime, int, int, int]
# Why, and the top-ups that it draws on.
_Outcome = tuple[Reason, Mapping[Metric, int]]
_NO_DRAWS: Mapping[Metric, int] = {}


def _events_of(sessions: Iterable[Replayed]) -> list[_Event]:
    events: list[_Event] = []
    for index, session in enumerate(sessions):
        if session.begin_received_at is not None:
            events.append((session.begin_received_at, session.pk, _BEGIN, index))
        if session.end_received_at is not None:
            events.append((session.end_received_at, session.pk, _END, index))
        elif session.declared_missing_at is not None:
            events.append((session.declared_missing_at, session.pk, _DECLARED, index))
    events.sort()
    return events


def _decided(
    session: Replayed, used: "list[_Running]", lines: Sequence[tuple[Limit, ...]], guess_seconds: Callable[[], int]
) -> list[Verdict]:
    """The verdict under each line's limits, with what each line has used; it begins there, or not."""
    for state in dict.fromkeys(used):
        state.look_at(session)
    if used.count(used[0]) == len(used) and used[0].is_below(lines, session):
        used[0].begin(session, True, _NO_DRAWS)
        return [_verdict(session, Reason.ALLOWED, guess_seconds)] * len(lines)
    outcomes = [state.decide(session, limits) for state, limits in zip(used, lines, strict=True)]
    _begin(session, used, outcomes)
    return [_verdict(session, reason, guess_seconds) for reason, _ in outcomes]


def _begin(session: Replayed, used: "list[_Running]", outcomes: Sequence[_Outcome]) -> None:
    """Let it begin, or not, in what each line has used; lines that part get what was used for themselves."""
    alike: dict[tuple[int, bool, tuple[tuple[Metric, int], ...]], list[int]] = {}
    for number, (state, (reason, draws)) in enumerate(zip(used, outcomes, strict=True)):
        alike.setdefault((id(state), reason.admits, tuple(draws.items())), []).append(number)
    stays: set[int] = set()
    for (state_id, _, _), numbers in alike.items():
        if state_id in stays:
            apart = used[numbers[0]].copy()
            for number in numbers:
                used[number] = apart
        stays.add(state_id)
    for (_, is_let_in, drawn), numbers in alike.items():
        used[numbers[0]].begin(session, is_let_in, dict(drawn) if drawn else _NO_DRAWS)


def _stored_draws(session: Replayed) -> Mapping[Metric, int]:
    if session.minutes_top_up_id is None and session.sessions_top_up_id is None:
        return _NO_DRAWS
    stored = {Metric.CALL_MINUTES: session.minutes_top_up_id, Metric.SESSIONS: session.sessions_top_up_id}
    return {metric: pk for metric, pk in stored.items() if pk is not None}


def _verdict(session: Replayed, reason: Reason, guess_seconds: Callable[[], int]) -> Verdict:
    is_guessed = session.was_kept_out and reason.admits
    if not session.counts_toward_call_minutes:
        return Verdict(reason, 0, is_guessed)
    if is_guessed:
        return Verdict(reason, guess_seconds(), True)
    return Verdict(reason, session.counted_seconds if reason.admits or session.took_place_although_denied else 0, False)


class _Running:
    """What the customer has used so far, and what is open."""

    def __init__(self, scale: Iterable[Limit], top_ups: Sequence[TopUp]) -> None:
        self._top_ups = top_ups
        # Of each limit of a period, what was used in the period that begins on a day: sessions, or call seconds.
        self._meters: dict[_Key, dict[date, int]] = {limit.key: {} for limit in scale if limit.metric in _METERED}
        self._meters_of: dict[_Scope, tuple[list[_Meter], list[_Meter]]] = {}
        self._ceilings: dict[Any, tuple[_Ceilings, Any]] = {}
        # By until when they can be open: those that are over by then are skipped, however many they are.
        self._open: list[_Open] = []
        self._is_open: dict[int, _Open] = {}
        self._counted: dict[int, tuple[datetime, int]] = {}
        self._is_let_in: dict[int, bool] = {}
        self._draws: dict[int, Mapping[Metric, int]] = {}
        self._drawn = Draws({})

    def copy(self) -> "_Running":
        other = copy(self)
        other._meters = {key: dict(meter) for key, meter in self._meters.items()}
        other._meters_of, other._ceilings = {}, {}
        other._open, other._is_open = list(self._open), dict(self._is_open)
        other._counted, other._is_let_in = dict(self._counted), dict(self._is_let_in)
        other._draws, other._drawn = dict(self._draws), self._drawn.copy()
        return other

    # Deciding

    def look_at(self, session: Replayed) -> None:
        """Tell from here on what is used when it is decided, without what it uses itself: its end may have come."""
        self._forget(session)
        self._now, self._zone, self._hold_seconds = session.started_at, session.zone, session.hold_seconds
        self._first_days = _first_days(session.started_on)
        self._opened = [entry[2] for entry in self._may_be_open(self._now) if was_open_at(entry[2], self._now)]

    def _may_be_open(self, now: datetime) -> "list[_Open]":
        return self._open[bisect_right(self._open, now, key=lambda entry: entry[0]) :] if self._open else []

    def decide(self, session: Replayed, limits: tuple[Limit, ...]) -> _Outcome:
        """By the rules' own checks, but where none of them can deny, nor be lifted."""
        if self.is_below((limits,), session):
            return Reason.ALLOWED, _NO_DRAWS
        judged = judged_limits(limit for limit in limits if limit.applies_to(session.channel_id, session.agent_id))
        checks = list(limit_checks(judged, self, CallerKind.CUSTOMER, session.counts_toward_call_minutes))
        denying = first_denying(checks)
        return (Reason.ALLOWED, draws_of(checks)) if denying is None else (denying.reason, _NO_DRAWS)

    def is_below(self, lines: Sequence[tuple[Limit, ...]], session: Replayed) -> bool:
        """Whether no limit of these that applies is used up."""
        ceilings = self._ceilings_of(lines, session)
        if self._opened:
            return all(self.used(limit) < most for limit, most in ceilings.limits)
        days = self._first_days
        return ceilings.may_be_empty and all(
            meter.get(days[period], 0) < most for meter, period, most in ceilings.meters
        )

    def _ceilings_of(self, lines: Sequence[tuple[Limit, ...]], session: Replayed) -> "_Ceilings":
        key = (*map(id, lines), session.channel_id, session.agent_id)
        if key not in self._ceilings:
            scope = session.channel_id, session.agent_id
            applying = [limit for limits in lines for limit in judged_limits(limits) if limit.applies_to(*scope)]
            # With the limits themselves, which keeps each id from being another tuple's.
            self._ceilings[key] = _ceilings(applying, self._meters), lines
        return self._ceilings[key][0]

    def used(self, limit: Limit) -> float:
        """As `Usage.used`, at the moment of the decision."""
        opened = self._opened_within(limit) if self._opened else ()
        if limit.metric is Metric.CONCURRENT_SESSIONS:
            return len(opened)
        recorded = self._meters[limit.key].get(self._first_days[limit.period], 0)
        if limit.metric is Metric.SESSIONS:
            return recorded
        return (recorded + self._held_seconds(limit.period, opened) if opened else recorded) / 60

    def _held_seconds(self, period: Period, opened: Iterable[Replayed]) -> float:
        span = span_of(period, self._now, self._zone)
        holding = (
            session
            for session in opened
            if session.counts_toward_call_minutes and Metric.CALL_MINUTES not in self._draws.get(session.pk, _NO_DRAWS)
        )
        return sum((held_seconds(session, self._now, span, self._hold_seconds) for session in holding), 0.0)

    def _opened_within(self, limit: Limit) -> list[Replayed]:
        if not limit.has_scope:
            return self._opened
        return [session for session in self._opened if limit.applies_to(session.channel_id, session.agent_id)]

    def balances_of(self, metric: Metric) -> Sequence[Balance]:
        """As `Usage.balances_of`, at the moment of the decision."""
        valid = [one.row for one in self._top_ups if one.row.metric is metric and one.is_valid_at(self._now)]
        drawn = self._drawn.copy()
        for session in self._opened if valid else ():
            top_up_id = self._draws.get(session.pk, _NO_DRAWS).get(Metric.CALL_MINUTES)
            drawn.hold(top_up_id, (self._now - session.started_at).total_seconds(), self._hold_seconds)
        return drawn.balances(valid)

    # What happens

    def begin(self, session: Replayed, is_let_in: bool, draws: Mapping[Metric, int]) -> None:
        self._forget(session)
        self._is_let_in[session.pk] = is_let_in
        if draws:
            self._draws[session.pk] = draws
        if session.ended_before_it_began and not session.was_kept_out:
            self.end_as_it_did(session)
        elif is_let_in:
            self._count(session, session.started_at, 0)
            self._is_open[session.pk] = entry = (session.open_until, session.pk, session)
            insort(self._open, entry)

    def end_as_it_did(self, session: Replayed) -> None:
        """Its end comes. What was let in only now goes by the guess; what took place although denied does so again."""
        is_let_in = self._is_let_in.get(session.pk)
        if is_let_in is None:
            # Until its begin comes, it began by its end.
            end, seconds = session.ended_at, session.counted_seconds
            self._count(session, end - timedelta(seconds=seconds) if end else session.started_at, seconds)
        elif session.took_place_although_denied or (is_let_in and not session.was_kept_out):
            self.end(session, session.counted_seconds)

    def end(self, session: Replayed, seconds: int) -> None:
        self.close(session)
        self._count(session, session.started_at, seconds)

    def close(self, session: Replayed) -> None:
        """It is not open any more."""
        entry = self._is_open.pop(session.pk, None)
        if entry is not None:
            del self._open[bisect_left(self._open, entry)]

    def _forget(self, session: Replayed) -> None:
        """It counts nothing any more."""
        counted = self._counted.pop(session.pk, None)
        if counted is not None:
            self._add_seconds(session, *counted, -1)
            self._add_session(session, counted[0], -1)

    def _count(self, session: Replayed, started_at: datetime, seconds: int) -> None:
        counted = self._counted.get(session.pk)
        if counted != (started_at, 0):  # else it is counted as a session already
            self._forget(session)
            self._add_session(session, started_at, 1)
        self._counted[session.pk] = started_at, seconds
        self._add_seconds(session, started_at, seconds, 1)

    def _add_session(self, session: Replayed, started_at: datetime, sign: int) -> None:
        top_up_id = self._draws.get(session.pk, _NO_DRAWS).get(Metric.SESSIONS)
        if top_up_id is not None:
            self._drawn.sessions[top_up_id] += sign
            return
        meters, _ = self._meters_for(session)
        if meters:
            is_start = started_at is session.started_at
            first_days = _first_days(session.started_on if is_start else local_day(started_at, session.zone))
            for period, meter in meters:
                meter[first_days[period]] = meter.get(first_days[period], 0) + sign

    def _add_seconds(self, session: Replayed, started_at: datetime, seconds: int, sign: int) -> None:
        if not seconds or not session.counts_toward_call_minutes:
            return
        top_up_id = self._draws.get(session.pk, _NO_DRAWS).get(Metric.CALL_MINUTES)
        if top_up_id is not None:
            self._drawn.seconds[top_up_id] += sign * seconds
            return
        _, meters = self._meters_for(session)
        for day, of_day in seconds_by_day(started_at, seconds, session.zone).items() if meters else ():
            first_days = _first_days(day)
            for period, meter in meters:
                meter[first_days[period]] = meter.get(first_days[period], 0) + sign * of_day

    def _meters_for(self, session: Replayed) -> "tuple[list[_Meter], list[_Meter]]":
        """Those that its session, and its call seconds, go into."""
        scope = session.channel_id, session.agent_id
        found = self._meters_of.get(scope)
        if found is None:
            found = self._meters_of[scope] = [], []
            for (metric, period, channel, agent), meter in self._meters.items():
                if channel in (None, scope[0]) and agent in (None, scope[1]):
                    found[metric is Metric.CALL_MINUTES].append((period, meter))
        return found


_METERED = (Metric.SESSIONS, Metric.CALL_MINUTES)
_Scope = tuple[str | None, str | None]
_Key = tuple[Metric, Period, str | None, str | None]
_Meter = tuple[Period, dict[date, int]]
_Open = tuple[datetime, int, Replayed]


class _Ceilings(NamedTuple):
    """What must not be reached. Where nothing is open `meters` alone tell, in their own units, unless one limit is none
    at all."""

    limits: list[tuple[Limit, float]]
    meters: list[tuple[dict[date, int], Period, int]]
    may_be_empty: bool


def _ceilings(limits: Iterable[Limit], meters: Mapping[_Key, dict[date, int]]) -> _Ceilings:
    """Of several limits of the same, the lowest."""
    lowest: dict[_Key, Limit] = {}
    for limit in limits:
        if limit.amount is not None:
            other = lowest.setdefault(limit.key, limit)
            assert other.amount is not None
            if limit.amount < other.amount:
                lowest[limit.key] = limit
    found = _Ceilings([], [], all(limit.amount for limit in lowest.values()))
    for key, limit in lowest.items():
        assert limit.amount is not None
        found.limits.append((limit, limit.amount))
        if key in meters:
            unit = 60 if limit.metric is Metric.CALL_MINUTES else 1
            found.meters.append((meters[key], limit.period, limit.amount * unit))
    return found


@lru_cache(maxsize=4096)
def _first_days(day: date) -> Mapping[Period, date]:
    """The first days of the periods that hold a day."""
    return {period: days_of(period, day)[0] for period in PERIODS}
