"""What LiveTok is told: `{allowed, context, limits}`. Pure: no database, clock or settings."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from customers.context import DENIED_KEYS
from customers.limits import Limit, Metric, Period, smallest_amount
from sessions_app.decision.rules import CallerKind, Decision, Facts, Reason


@dataclass(frozen=True)
class Missing:
    """What a source did not bring for the agent, and why: in words for staff, without secrets."""

    source: str
    why: str


@dataclass(frozen=True)
class Origin:
    """Where a key of the context is from. `age_seconds` is None where it was asked for just now."""

    source: str
    age_seconds: float | None = None


@dataclass(frozen=True)
class Provided:
    """What other systems bring for the agent. `origins` are by key."""

    context: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)


NOTHING_PROVIDED = Provided()


@dataclass(frozen=True)
class DecisionGiven:
    """What is stored beside a decision's answer, and what its session uses until it is stored."""

    would_deny: list[str]
    facts: dict[str, Any]
    trace: list[dict[str, Any]]
    customer_id: int | None
    counts_toward_call_minutes: bool
    longest_session_seconds: float
    minutes_top_up_id: int | None = None
    sessions_top_up_id: int | None = None


@dataclass(frozen=True)
class AnswerGiven:
    """An answer to a begin that was given before anything could be stored.

    `decision` is None where no rule was asked: the database could not be read either, or had decided before.
    """

    reason: Reason
    content: bytes
    decision: DecisionGiven | None = None


def answer_of(
    decision: Decision,
    facts: Facts,
    *,
    context: Mapping[str, Any],
    limits_are_what_is_left: bool,
    message: str,
    denied_until: datetime | None = None,
) -> dict[str, Any]:
    """The answer to a begin, in the order in which LiveTok's contract shows its fields.

    `context` is complete but for why a session is denied, which no context can hide. `denied_until`: when the limit
    that denies starts afresh, if it has a period.
    """
    denied = {} if decision.allowed else _denied(decision, denied_until, message)
    limits = limits_left(decision, facts) if limits_are_what_is_left else limits_in_total(facts)
    # A customer's own key of such a name would say something else, or stand elsewhere.
    told = {key: value for key, value in context.items() if key not in DENIED_KEYS} if denied else context
    return {"allowed": decision.allowed, "context": {**told, **denied}, "limits": limits}


def _denied(decision: Decision, until: datetime | None, message: str) -> dict[str, Any]:
    """`customers.context.DENIED_KEYS`: those of the limit that denies, where it is one, then why."""
    denied: dict[str, Any] = {}
    check = decision.decisive
    if check is not None and check.limit is not None and check.limit.amount is not None and check.used is not None:
        denied["denied_limit_amount"] = check.limit.amount
        denied["denied_limit_used"] = math.ceil(check.used)
        denied["denied_limit_left"] = max(0, math.floor(check.limit.amount - check.used))
        if until is not None:
            denied["denied_limit_resets_at"] = until.isoformat(timespec="seconds")
    return denied | {"denied_reason": decision.reason.value, "denied_message": message}


# Made once: `json.dumps` would make an encoder for each answer.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def as_bytes(answer: dict[str, Any]) -> bytes:
    return _encode(answer).encode()


def fallback_answer(choice: str, message: str) -> AnswerGiven | None:
    """What a begin is answered while the database is away; None where LiveTok is to try again. Invents nothing.

    `choice` is "allow", "deny" or "retry", `message` what the agent may say of a denial.
    """
    if choice == "allow":
        return AnswerGiven(Reason.FALLBACK_ALLOW, as_bytes({"allowed": True}))
    if choice == "deny":
        denied = {"denied_reason": Reason.FALLBACK_DENY.value, "denied_message": message}
        return AnswerGiven(Reason.FALLBACK_DENY, as_bytes({"allowed": False, "context": denied, "limits": {}}))
    return None


def own_context(
    facts: Facts, *, tier: str | None, name: str, status: str, resets_at: datetime, denied_by: Limit | None = None
) -> dict[str, Any]:
    """What Frontdesk itself knows of a caller: `customers.context.OWN_KEYS`, but for those of a denial.

    Minutes are whole: what is used rounded up, what is left rounded down.
    """
    context: dict[str, Any] = {}
    if tier is not None:
        context["customer_tier"] = tier
    if name:
        context["customer_name"] = name
    context["account_status"] = status
    top_ups = _left_of_top_ups(facts)
    # Beside "come back next month", what is left of today would mislead.
    if denied_by is not None and denied_by.period is not Period.DAY:
        return context | top_ups
    # Nothing is counted for a caller without number or id, so there is nothing to tell.
    if facts.caller is not CallerKind.UNNAMED:
        used_seconds = facts.usage.call_seconds(Period.DAY) + facts.usage.drawn_seconds_today()
        context["call_minutes_used_today"] = math.ceil(used_seconds / 60)
        left = _least_left(facts, [Period.DAY])
        if left is not None:
            context["call_minutes_left_today"] = left
    context["limits_reset_at"] = resets_at.isoformat(timespec="seconds")
    return context | top_ups


def _left_of_top_ups(facts: Facts) -> dict[str, int]:
    """Of each metric of which there is one."""
    found = {}
    if facts.usage.balances_of(Metric.CALL_MINUTES):
        found["top_up_minutes_left"] = math.floor(_left_of(facts, Metric.CALL_MINUTES) / 60)
    if facts.usage.balances_of(Metric.SESSIONS):
        found["top_up_sessions_left"] = math.floor(_left_of(facts, Metric.SESSIONS))
    return found


def _left_of(facts: Facts, metric: Metric) -> float:
    """What all top-ups of a metric have left, in sessions or seconds."""
    return sum(balance.left_undivided for balance in facts.usage.balances_of(metric))


def limits_in_total(facts: Facts) -> dict[str, int]:
    """The smallest hard daily amounts that apply; an unlimited one is left out.

    What was drawn on top-ups today is added, and what they have left, so that LiveTok, which counts all that was used,
    finds what is left.
    """
    return _without_unlimited(
        dailyMessageLimit=smallest_amount(facts.applying_limits, Metric.MESSAGES, Period.DAY),
        dailyCallMinutes=_minutes_a_day(facts),
    )


def _minutes_a_day(facts: Facts) -> int | None:
    if not facts.usage.balances_of(Metric.CALL_MINUTES):
        return smallest_amount(facts.applying_limits, Metric.CALL_MINUTES, Period.DAY)
    totals = [
        amount * 60 + facts.usage.drawn_seconds_today(limit.channel, limit.agent)
        for limit, amount in _minute_limits(facts, [Period.DAY])
    ]
    return math.floor((min(totals) + _left_of(facts, Metric.CALL_MINUTES)) / 60) if totals else None


def limits_left(decision: Decision, facts: Facts) -> dict[str, int]:
    """The same, but of call minutes what is left of day, week and month: at least 1 if admitted, 0 if not."""
    left = _least_left(facts, [Period.DAY, Period.WEEK, Period.MONTH])
    if left is not None:
        # Some seconds left let a session in, but round down to 0, which would tell LiveTok that nothing is left.
        left = max(1, left) if decision.allowed else 0
    return _without_unlimited(
        # LiveTok never reports messages, so what is left of them cannot be known.
        dailyMessageLimit=smallest_amount(facts.applying_limits, Metric.MESSAGES, Period.DAY),
        dailyCallMinutes=left,
    )


def _least_left(facts: Facts, periods: list[Period]) -> int | None:
    """Whole call minutes left under every hard limit that applies, and of top-ups; None where no limit does."""
    lefts = [
        max(0, amount * 60 - facts.usage.call_seconds(limit.period, limit.channel, limit.agent))
        for limit, amount in _minute_limits(facts, periods)
    ]
    return math.floor((min(lefts) + _left_of(facts, Metric.CALL_MINUTES)) / 60) if lefts else None


def _minute_limits(facts: Facts, periods: list[Period]) -> list[tuple[Limit, int]]:
    """The hard ones of call minutes that apply, with their amounts; none that is unlimited."""
    return [
        (limit, limit.amount)
        for limit in facts.applying_limits
        if limit.metric is Metric.CALL_MINUTES and limit.hard and limit.period in periods and limit.amount is not None
    ]


def _without_unlimited(**amounts: int | None) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if amount is not None}
