"""Whether a session may begin, and why. Pure: no database, no clock, no settings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from customers.limits import PERIODS_OF, Limit, Metric, Period


class Reason(StrEnum):
    """Stable codes, known to LiveTok's agent, the API and reports. `DENIAL_MESSAGES` says each denial in a sentence."""

    ALLOWED = "allowed"
    EMERGENCY_ALLOW = "emergency_allow"
    EMERGENCY_DENY = "emergency_deny"
    UNKNOWN_CALLER = "unknown_caller"
    NO_NUMBER = "no_number"
    CUSTOMER_BLOCKED = "customer_blocked"
    CUSTOMER_PAUSED = "customer_paused"
    CUSTOMER_NOT_YET_VALID = "customer_not_yet_valid"
    CUSTOMER_EXPIRED = "customer_expired"
    CHANNEL_NOT_ALLOWED = "channel_not_allowed"
    CONCURRENT_SESSIONS = "concurrent_sessions"
    SESSIONS_DAY = "sessions_day"
    SESSIONS_WEEK = "sessions_week"
    SESSIONS_MONTH = "sessions_month"
    CALL_MINUTES_DAY = "call_minutes_day"
    CALL_MINUTES_WEEK = "call_minutes_week"
    CALL_MINUTES_MONTH = "call_minutes_month"
    FALLBACK_ALLOW = "fallback_allow"
    FALLBACK_DENY = "fallback_deny"

    @property
    def admits(self) -> bool:
        return self in (Reason.ALLOWED, Reason.EMERGENCY_ALLOW, Reason.FALLBACK_ALLOW)


class CallerKind(StrEnum):
    """Who calls, as far as the policy minds: a customer, a named caller whom nobody knows, or nobody by name."""

    CUSTOMER = "customer"
    UNKNOWN = "unknown"
    UNNAMED = "unnamed"


@dataclass(frozen=True)
class Balance:
    """A top-up that is valid, with what was `drawn` on it and is held of it: sessions, or call seconds.

    `used` and `left` are in its own unit: sessions, or minutes as a fraction. `made_on` is the day on which it was
    added.
    """

    top_up_id: int
    metric: Metric
    amount: int
    drawn: float
    made_on: date

    @property
    def used(self) -> float:
        return self.drawn / self._unit

    @property
    def left(self) -> float:
        return self.left_undivided / self._unit

    @property
    def left_undivided(self) -> float:
        """In sessions or seconds, which add up without a rest."""
        return max(0, self.amount * self._unit - self.drawn)

    @property
    def _unit(self) -> int:
        return 60 if self.metric is Metric.CALL_MINUTES else 1

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.top_up_id,
            "from": self.made_on.isoformat(),
            "amount": self.amount,
            "used": _rounded(self.used),
            "left": _rounded(self.left),
        }


@dataclass(frozen=True)
class UsageRow:
    """What was used on one channel with one agent: sessions, recorded call seconds and held call seconds per period.

    What was drawn on top-ups uses up no limit, and is in none of these; of today it is `drawn_seconds_today`, recorded
    and held.
    """

    channel: str | None
    agent: str | None
    sessions: dict[Period, int] = field(default_factory=dict)
    call_seconds: dict[Period, int] = field(default_factory=dict)
    held_seconds: dict[Period, float] = field(default_factory=dict)
    open_sessions: int = 0
    drawn_seconds_today: float = 0


@dataclass(frozen=True)
class Usage:
    """What a customer has used in the periods that hold a moment, and the top-ups valid then, the first to draw on
    first."""

    rows: tuple[UsageRow, ...] = ()
    balances: tuple[Balance, ...] = ()

    def _within(self, channel: str | None, agent: str | None) -> Iterator[UsageRow]:
        return (row for row in self.rows if channel in (None, row.channel) and agent in (None, row.agent))

    def open_sessions(self, channel: str | None = None, agent: str | None = None) -> int:
        return sum(row.open_sessions for row in self._within(channel, agent))

    def sessions(self, period: Period, channel: str | None = None, agent: str | None = None) -> int:
        return sum(row.sessions.get(period, 0) for row in self._within(channel, agent))

    def held_seconds(self, period: Period, channel: str | None = None, agent: str | None = None) -> float:
        return sum(row.held_seconds.get(period, 0) for row in self._within(channel, agent))

    def call_seconds(self, period: Period, channel: str | None = None, agent: str | None = None) -> float:
        """Recorded and held."""
        rows = list(self._within(channel, agent))
        return sum(row.call_seconds.get(period, 0) + row.held_seconds.get(period, 0) for row in rows)

    def drawn_seconds_today(self, channel: str | None = None, agent: str | None = None) -> float:
        return sum(row.drawn_seconds_today for row in self._within(channel, agent))

    def balances_of(self, metric: Metric) -> list[Balance]:
        return [balance for balance in self.balances if balance.metric is metric]

    def used(self, limit: Limit) -> float:
        """In the limit's own unit: sessions, or minutes as a fraction."""
        if limit.metric is Metric.CONCURRENT_SESSIONS:
            return self.open_sessions(limit.channel, limit.agent)
        if limit.metric is Metric.SESSIONS:
            return self.sessions(limit.period, limit.channel, limit.agent)
        if limit.metric is Metric.CALL_MINUTES:
            return self.call_seconds(limit.period, limit.channel, limit.agent) / 60
        raise ValueError("messages are never reported to us")


@dataclass(frozen=True)
class Facts:
    """All that a decision depends on. `limits` are those in force, of any scope; `allowed_channels` empty: all."""

    caller: CallerKind
    channel: str | None
    agent: str | None
    emergency: str = "normal"
    policy_serves: bool = True
    status: str = "active"
    is_not_yet_valid: bool = False
    has_expired: bool = False
    allowed_channels: frozenset[str] = frozenset()
    counts_toward_call_minutes: bool = True
    limits: tuple[Limit, ...] = ()
    usage: Usage = field(default_factory=Usage)

    @cached_property
    def applying_limits(self) -> tuple[Limit, ...]:
        return tuple(limit for limit in self.limits if limit.applies_to(self.channel, self.agent))


class Check(NamedTuple):
    """One rule as it was judged. `reason` is what it denies with; `passed` is None where the rule did not apply."""

    reason: Reason
    passed: bool | None
    note: str = ""
    limit: Limit | None = None
    used: float | None = None
    # What lifts the limit, which is used up.
    top_up: Balance | None = None

    @property
    def is_hard(self) -> bool:
        return self.limit is None or self.limit.hard

    def as_json(self) -> dict[str, Any]:
        """As it is stored: `whole_check` adds what is left out here, which is what most checks have in common."""
        entry: dict[str, Any] = {"check": self.reason.value}
        if not self.passed:
            entry["passed"] = self.passed
        if self.note:
            entry["note"] = self.note
        if self.limit is not None:
            entry |= {"limit": self.limit.amount, "used": _rounded(self.used)}
            if self.limit.channel is not None:
                entry["channel"] = self.limit.channel
            if self.limit.agent is not None:
                entry["agent"] = self.limit.agent
            if not self.limit.hard:
                entry["hard"] = False
            if self.limit.origin != "tier":
                entry["origin"] = self.limit.origin
        if self.top_up is not None:
            entry["top_up"] = self.top_up.as_json()
        return entry


def whole_check(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A check of a stored trace with all that follows from it.

    `used`, `left` and `limit` are in the metric's unit (minutes, sessions); a `limit` of None is unlimited.
    """
    whole: dict[str, Any] = {"check": stored["check"], "passed": True, "note": ""}
    if "limit" in stored:
        limit, used = stored["limit"], stored.get("used")
        metric, period = _METRIC_AND_PERIOD[stored["check"]]
        whole |= {"metric": metric.value, "period": period.value, "channel": None, "agent": None, "hard": True}
        whole |= {"origin": "tier", "limit": limit, "used": used}
        whole["left"] = None if limit is None or used is None else _rounded(max(0, limit - used))
    return whole | dict(stored)


@dataclass(frozen=True)
class Decision:
    reason: Reason
    checks: tuple[Check, ...]
    would_deny: tuple[Reason, ...]

    @property
    def allowed(self) -> bool:
        return self.reason.admits

    @property
    def decisive(self) -> Check | None:
        """The check that denies; None where the session is let in."""
        return None if self.allowed else first_denying(self.checks)

    @property
    def draws_on(self) -> dict[Metric, int]:
        """The top-ups that the session draws on: those that let it in. None where all else did, or nothing does."""
        return draws_of(self.checks) if self.reason is Reason.ALLOWED else {}


def decide(facts: Facts) -> Decision:
    """Judge every rule in order; the first hard one that fails is the reason."""
    checks = tuple(_checks(facts))
    denying = first_denying(checks)
    reason = denying.reason if denying is not None else Reason.ALLOWED
    # After all rules were judged: the trace shows what would have denied the session without the switch.
    if facts.emergency == "allow_all" and facts.status != "blocked":
        reason = Reason.EMERGENCY_ALLOW
    soft = (check.reason for check in checks if check.limit and not check.limit.hard and check.passed is False)
    return Decision(reason, checks, tuple(dict.fromkeys(soft)))


def first_denying(checks: Iterable[Check]) -> Check | None:
    """The first hard one that fails: what denies, but for the emergency switch."""
    return next((check for check in checks if check.passed is False and check.is_hard), None)


def draws_of(checks: Iterable[Check]) -> dict[Metric, int]:
    """The top-ups that lift limits, by what they are of."""
    return {check.top_up.metric: check.top_up.top_up_id for check in checks if check.top_up is not None}


def _checks(facts: Facts) -> Iterator[Check]:
    yield _emergency(facts)
    yield from _caller_is_served(facts)
    if facts.caller is CallerKind.CUSTOMER:
        yield Check(Reason.CUSTOMER_BLOCKED, facts.status != "blocked", f"status {facts.status}")
        yield Check(Reason.CUSTOMER_PAUSED, facts.status != "paused", f"status {facts.status}")
        yield Check(Reason.CUSTOMER_NOT_YET_VALID, not facts.is_not_yet_valid)
        yield Check(Reason.CUSTOMER_EXPIRED, not facts.has_expired)
    allowed = ", ".join(sorted(facts.allowed_channels)) or "all channels"
    yield Check(
        Reason.CHANNEL_NOT_ALLOWED,
        not facts.allowed_channels or facts.channel in facts.allowed_channels,
        f"{facts.channel or 'no channel'}; allowed: {allowed}",
    )
    counts = facts.counts_toward_call_minutes
    yield from limit_checks(judged_limits(facts.applying_limits), facts.usage, facts.caller, counts)


def _emergency(facts: Facts) -> Check:
    notes = {"allow_all": "on: everybody but blocked customers is let in", "deny_all": "on: nobody is let in"}
    return Check(Reason.EMERGENCY_DENY, facts.emergency != "deny_all", notes.get(facts.emergency, "off"))


def _caller_is_served(facts: Facts) -> Iterator[Check]:
    policy = "the policy serves them" if facts.policy_serves else "the policy denies them"
    if facts.caller is CallerKind.CUSTOMER:
        yield Check(Reason.UNKNOWN_CALLER, True, "a customer")
    elif facts.caller is CallerKind.UNKNOWN:
        yield Check(Reason.UNKNOWN_CALLER, facts.policy_serves, f"no customer's number or id; {policy}")
    else:
        yield Check(Reason.NO_NUMBER, facts.policy_serves, f"neither number nor id; {policy}")


def judged_limits(applying: Iterable[Limit]) -> tuple[Limit, ...]:
    """Of the limits that apply to a session, those that are judged, in their order."""
    metrics = Metric.CONCURRENT_SESSIONS, Metric.SESSIONS, Metric.CALL_MINUTES
    applying = tuple(applying)
    return tuple(limit for metric in metrics for limit in applying if limit.metric is metric)


class Measured(Protocol):
    """What was used, as far as limits ask: `Usage`, or what is kept while many sessions are decided in a row."""

    def used(self, limit: Limit) -> float: ...
    def balances_of(self, metric: Metric) -> Sequence[Balance]: ...


def limit_checks(
    limits: Iterable[Limit], usage: Measured, caller: CallerKind, counts_toward_call_minutes: bool
) -> Iterator[Check]:
    """Each of the `judged_limits` of a session as it is judged, one by one as they are asked for."""
    for limit in limits:
        reason = _LIMIT_REASONS[limit.metric, limit.period]
        if limit.amount is None:
            yield Check(reason, None, "unlimited", limit)
        elif caller is CallerKind.UNNAMED:
            yield Check(reason, None, "no number or id: limits per caller do not apply", limit)
        elif limit.metric is Metric.CALL_MINUTES and not counts_toward_call_minutes:
            yield Check(reason, None, "this channel does not count toward call minutes", limit)
        else:
            # Anything left lets the session in, even less than the hold: nobody knows how long it will take.
            used = usage.used(limit)
            if used < limit.amount:
                yield Check(reason, True, "", limit, used)
            else:
                # Of it, too, anything left is enough.
                top_up = next((balance for balance in usage.balances_of(limit.metric) if balance.left > 0), None)
                yield Check(reason, top_up is not None, "", limit, used, top_up)


# Each metric that is measured has a reason for each of its periods, named after both.
_METRIC_AND_PERIOD: dict[Reason, tuple[Metric, Period]] = {
    Reason(f"{metric}_{period}".removesuffix("_")): (metric, period)
    for metric, periods in PERIODS_OF.items()
    if metric.is_measured
    for period in periods
}
_LIMIT_REASONS = {measured: reason for reason, measured in _METRIC_AND_PERIOD.items()}


def _rounded(amount: float | None) -> float | int | None:
    if amount is None or float(amount).is_integer():
        return None if amount is None else int(amount)
    return round(amount, 4)


DENIAL_MESSAGES = {
    Reason.EMERGENCY_DENY: "We cannot take calls or messages at the moment. Please try again later.",
    Reason.UNKNOWN_CALLER: "We do not know this number. Please contact us so that we can register you.",
    Reason.NO_NUMBER: "We cannot see your number. Please call again without withholding it.",
    Reason.CUSTOMER_BLOCKED: "This account cannot use the service.",
    Reason.CUSTOMER_PAUSED: "This account is paused. Please contact us to resume it.",
    Reason.CUSTOMER_NOT_YET_VALID: "This account is not active yet.",
    Reason.CUSTOMER_EXPIRED: "This account has expired. Please contact us to renew it.",
    Reason.CHANNEL_NOT_ALLOWED: "Your plan does not include this channel.",
    Reason.CONCURRENT_SESSIONS: "You have another conversation open. Please finish it first.",
    Reason.SESSIONS_DAY: "You have used all of today's conversations. Please come back tomorrow.",
    Reason.SESSIONS_WEEK: "You have used all of this week's conversations. Please come back next week.",
    Reason.SESSIONS_MONTH: "You have used all of this month's conversations. Please come back next month.",
    Reason.CALL_MINUTES_DAY: "You have used all of today's minutes. Please come back tomorrow.",
    Reason.CALL_MINUTES_WEEK: "You have used all of this week's minutes. Please come back next week.",
    Reason.CALL_MINUTES_MONTH: "You have used all of this month's minutes. Please come back next month.",
    Reason.FALLBACK_DENY: "We cannot take calls or messages at the moment. Please try again in a few minutes.",
}
