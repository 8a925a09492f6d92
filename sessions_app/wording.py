"""Plain words for what sessions keep as codes: states, reasons, flags and the checks of a decision.

For staff's pages; what callers are told is staff's own text (the policy's denial messages). Pure: no database or clock.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import ceil, floor
from typing import Any
from zoneinfo import ZoneInfo

from customers.limits import Limit
from sessions_app.decision.rules import Decision, Reason, whole_check

STATES = {"open": "Open", "ended": "Ended", "denied": "Denied", "missing_end": "Missing its end"}

STATE_SENTENCES = {
    "open": "The session was let in, and its end has not come yet.",
    "ended": "The session took place and has ended.",
    "denied": "The session was not let in.",
    "missing_end": "The session was let in, and its end never came. It is open no longer and charges no minutes.",
}

REASONS: dict[str, str] = {
    Reason.ALLOWED: "Allowed",
    Reason.EMERGENCY_ALLOW: "Emergency: all allowed",
    Reason.EMERGENCY_DENY: "Emergency: all denied",
    Reason.UNKNOWN_CALLER: "Unknown caller",
    Reason.NO_NUMBER: "No number",
    Reason.CUSTOMER_BLOCKED: "Customer blocked",
    Reason.CUSTOMER_PAUSED: "Customer paused",
    Reason.CUSTOMER_NOT_YET_VALID: "Customer not yet valid",
    Reason.CUSTOMER_EXPIRED: "Customer expired",
    Reason.CHANNEL_NOT_ALLOWED: "Channel not allowed",
    Reason.CONCURRENT_SESSIONS: "Sessions at once",
    Reason.SESSIONS_DAY: "Sessions of the day",
    Reason.SESSIONS_WEEK: "Sessions of the week",
    Reason.SESSIONS_MONTH: "Sessions of the month",
    Reason.CALL_MINUTES_DAY: "Call minutes of the day",
    Reason.CALL_MINUTES_WEEK: "Call minutes of the week",
    Reason.CALL_MINUTES_MONTH: "Call minutes of the month",
    Reason.FALLBACK_ALLOW: "Database away: let in",
    Reason.FALLBACK_DENY: "Database away: denied",
}

REASON_SENTENCES: dict[str, str] = {
    Reason.ALLOWED: "Every rule passed.",
    Reason.EMERGENCY_ALLOW: "The emergency switch let everybody in but blocked customers.",
    Reason.EMERGENCY_DENY: "The emergency switch kept everybody out.",
    Reason.UNKNOWN_CALLER: "No customer has this number or id, and the policy denies unknown callers.",
    Reason.NO_NUMBER: "The caller gave neither number nor id, and the policy denies such callers.",
    Reason.CUSTOMER_BLOCKED: "The customer was blocked.",
    Reason.CUSTOMER_PAUSED: "The customer was paused.",
    Reason.CUSTOMER_NOT_YET_VALID: "The customer's first valid day had not come yet.",
    Reason.CUSTOMER_EXPIRED: "The customer was no longer valid.",
    Reason.CHANNEL_NOT_ALLOWED: "The tier does not allow this channel.",
    Reason.CONCURRENT_SESSIONS: "The customer had as many sessions open as the limit allows.",
    Reason.SESSIONS_DAY: "The customer's sessions of the day were used up.",
    Reason.SESSIONS_WEEK: "The customer's sessions of the week were used up.",
    Reason.SESSIONS_MONTH: "The customer's sessions of the month were used up.",
    Reason.CALL_MINUTES_DAY: "The customer's call minutes of the day were used up.",
    Reason.CALL_MINUTES_WEEK: "The customer's call minutes of the week were used up.",
    Reason.CALL_MINUTES_MONTH: "The customer's call minutes of the month were used up.",
    Reason.FALLBACK_ALLOW: "The database was away, and DECISION_FALLBACK let everybody in.",
    Reason.FALLBACK_DENY: "The database was away, and DECISION_FALLBACK kept everybody out.",
}

# Why a session that began now would be denied, where no limit denies it.
DENIES_NOW: dict[str, str] = {
    Reason.EMERGENCY_DENY: "the emergency switch keeps everybody out",
    Reason.CUSTOMER_BLOCKED: "the customer is blocked",
    Reason.CUSTOMER_PAUSED: "the customer is paused",
    Reason.CUSTOMER_NOT_YET_VALID: "the customer is not valid yet",
    Reason.CUSTOMER_EXPIRED: "the customer is not valid any more",
    Reason.CHANNEL_NOT_ALLOWED: "the tier does not include it",
}

_THIS = {"day": "today", "week": "this week", "month": "this month"}

# What a rule asks, where its name as a reason would mislead.
_RULES: dict[str, str] = {
    Reason.EMERGENCY_DENY: "Emergency switch",
    Reason.UNKNOWN_CALLER: "Caller is known or served",
    Reason.NO_NUMBER: "Caller without a number is served",
    Reason.CUSTOMER_BLOCKED: "Customer is not blocked",
    Reason.CUSTOMER_PAUSED: "Customer is not paused",
    Reason.CUSTOMER_NOT_YET_VALID: "Customer is valid already",
    Reason.CUSTOMER_EXPIRED: "Customer is still valid",
    Reason.CHANNEL_NOT_ALLOWED: "Tier allows the channel",
}

FLAGS = {
    "no_begin": "Its end came, its begin has not: when it started is worked out from the end.",
    "duration_derived": "LiveTok stated no duration: it is the time from begin to end.",
    "duration_invalid": "The duration is negative or over 24 hours: shown, not counted.",
    "duration_differs": "The stated duration is over a minute off the time from begin to end; it counts as stated.",
    "denied_but_took_place": "It was denied, and LiveTok still reports how long it took: its time counts.",
    "session_id_reused": "LiveTok used this session id before, for another caller; this is a session of its own.",
    "caller_differs": "Its end names another caller than its begin; the begin's counts.",
    "begins_differ": "Begins that differ came for it; the first one decided stays.",
    "ends_differ": "Ends that differ came for it; see the corrections for those that do not count.",
    "fallback": "It was answered while the database was away: limits were not judged, and the answer given stands.",
    "stored_later": "The database could be read then, but not written: limits were judged, and it was stored later.",
    "erased": "Its caller was erased: what was said is gone, what it counts stays.",
    "test": "Test traffic: decided and kept, uses and counts nothing.",
}

_SUBJECTS = {
    "time": "time",
    "duration": "duration",
    "channel": "channel",
    "agent": "agent",
    "number": "number",
    "customer": "customer id",
}


def state_words(state: str) -> str:
    return STATES.get(state, _spoken(state))


def reason_words(reason: str | None) -> str:
    """A reason in a few words, for columns and filters; one that is not known any more by its code."""
    return "Not decided" if reason is None else REASONS.get(reason, _spoken(reason))


def reason_sentence(reason: str | None) -> str:
    """Why a session was let in or not. `None`: it has only an end."""
    if reason is None:
        return "LiveTok never asked: only the session's end has come."
    return REASON_SENTENCES.get(reason, f"{_spoken(reason)}.")


def decided_words(reason: str | None, trace: Iterable[Mapping[str, Any]], resets_at: str, *, is_over: bool) -> str:
    """Why a session was let in or denied, as the end of a sentence that begins with the outcome.

    `resets_at`: when the limit that denied starts afresh, in words; blank where it has no period, or nothing is known.
    `is_over`: that moment has passed.
    """
    check = decisive_check(trace, reason)
    if check is not None and check.get("limit") is not None:
        return _limit_denied(check, resets_at, is_over=is_over)
    sentence = reason_sentence(reason).removesuffix(".")
    first, _, _ = sentence.partition(" ")
    return sentence[0].lower() + sentence[1:] if first in ("The", "Every", "No") else sentence


def as_sentence(words: str) -> str:
    """With a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def decisive_check(trace: Iterable[Mapping[str, Any]], reason: str | None) -> dict[str, Any] | None:
    """The whole check of a stored trace that denied; None where all were let in, or nothing is known of it."""
    failed = (entry for entry in map(whole_check, trace) if _outcome_kind(entry) == "failed")
    return next((entry for entry in failed if entry["check"] == reason), None)


def limit_denies(check: Mapping[str, Any], resets_at: str) -> str:
    """Such as "123.9 of 120 call minutes used this month; starts afresh Tue 1 Dec, 00:00". `check` is whole."""
    noun = _limited(check)
    if not check["limit"]:
        return f"no {noun}{_each(check)} are allowed"
    used = f"{used_number(check['used'])} of {short_number(check['limit'])} {noun}"
    if not check["period"]:
        return f"{used} open now"
    return f"{used} used {_THIS[check['period']]}; starts afresh {resets_at}"


def limit_left(limit: Limit, left: float, resets_at: str) -> str:
    """Such as "12.5 of 20 call minutes left today; starts afresh Sun 29 Nov, 00:00", of a limit with a period."""
    agent = limit.agent_words or None
    check = {"metric": limit.metric.value, "limit": limit.amount, "channel": limit.channel, "agent": agent}
    amount = short_number(limit.amount or 0)
    # Anything left lets a session in, so it is never called none.
    shown = left_number(left) if left >= 0.1 else "less than 0.1"
    return f"{shown} of {amount} {_limited(check)} left {_THIS[limit.period]}; starts afresh {resets_at}"


def _limit_denied(check: Mapping[str, Any], resets_at: str, *, is_over: bool) -> str:
    noun = _limited(check)
    if not check["limit"]:
        return f"no {noun}{_each(check)} were allowed"
    used = f"{used_number(check['used'])} of {short_number(check['limit'])} {noun}"
    were = "was" if check["limit"] == 1 else "were"
    if not check["period"]:
        return f"{used} {were} open"
    words = f"{used} of {'that' if is_over else 'this'} {check['period']} {were} used"
    return f"{words}; they {'started' if is_over else 'start'} afresh {resets_at}" if resets_at else words


def _limited(check: Mapping[str, Any]) -> str:
    noun = "sessions" if check["metric"] == "concurrent_sessions" else str(check["metric"]).replace("_", " ")
    if check["limit"] == 1:
        noun = noun.removesuffix("s")
    return f"{noun} {_scope(check)}".strip()


def _each(check: Mapping[str, Any]) -> str:
    return f" a {check['period']}" if check["period"] else " at once"


def short_number(amount: float) -> str:
    """At most one decimal, and commas between thousands."""
    return f"{amount:,.1f}".removesuffix(".0")


def used_number(amount: float) -> str:
    """Of a limit: rounded up to one decimal; to whole ones in an answer. With `left_number` it adds up to the limit."""
    return short_number(ceil(round(amount * 10, 6)) / 10)


def left_number(amount: float) -> str:
    """Of a limit: rounded down."""
    return short_number(floor(round(amount * 10, 6)) / 10)


def moment_in(zone: ZoneInfo, moment: datetime, company: ZoneInfo, *, with_year: bool = False) -> str:
    """Such as "Tue 1 Dec, 00:00"; the zone is named where it is not the company's."""
    local = moment.astimezone(zone)
    year = f" {local.year}" if with_year else ""
    words = f"{local:%a} {local.day} {local:%b}{year}, {local:%H:%M}"
    return words if zone.key == company.key else f"{words} ({zone.key})"


def listed(words: Sequence[str], most: int = 6) -> str:
    """Such as "web, whatsapp and telephony"."""
    shown = [*words[:most], f"{len(words) - most} more"] if len(words) > most else list(words)
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


def flag_sentence(flag: str) -> str:
    """What is odd about a session, and what was made of it."""
    if flag in FLAGS:
        return FLAGS[flag]
    event, _, rest = flag.partition("_")
    subject = _SUBJECTS.get(rest.removesuffix("_unreadable"))
    if event in ("begin", "end") and subject and rest.endswith("_unreadable"):
        instead = {"time": "our clock stands in", "duration": "not counted"}.get(subject, "taken as missing")
        return f"The {event}'s {subject} could not be read: {instead}."
    return f"{_spoken(flag)}."


def duration_words(seconds: float | None) -> str:
    """Such as "1 h 2 min 5 s", without the seconds from ten hours on; a dash where there is none."""
    if seconds is None:
        return "–"
    sign, whole = ("−" if seconds < 0 else ""), abs(round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    parts = [(hours, "h"), (minutes, "min"), (rest if hours < 10 else 0, "s")]
    return sign + (" ".join(f"{amount} {unit}" for amount, unit in parts if amount) or "0 s")


@dataclass(frozen=True)
class CheckWords:
    """One line of a trace. `outcome_kind`: "passed", "failed", "decisive", "soft" or "skipped"."""

    rule: str
    scope: str
    limit: str
    origin: str
    used: str
    left: str
    outcome: str
    outcome_kind: str
    note: str


def trace_words(trace: Iterable[Mapping[str, Any]], reason: str | None) -> list[CheckWords]:
    """A stored trace, line by line: the decisive rule first, the others in their order.

    Decisive is the first hard rule that failed, unless all were let in.
    """
    lines = []
    decided = reason in (Reason.ALLOWED, Reason.EMERGENCY_ALLOW)
    for entry in map(whole_check, trace):
        kind = _outcome_kind(entry)
        if kind == "failed" and not decided:
            kind, decided = "decisive", True
        lines.append(_check_words(entry, kind, reason))
    return sorted(lines, key=lambda line: line.outcome_kind != "decisive")


def _outcome_kind(entry: Mapping[str, Any]) -> str:
    if entry.get("passed") is None:
        return "skipped"
    if entry["passed"]:
        return "passed"
    return "failed" if entry.get("hard", True) else "soft"


def _check_words(entry: Mapping[str, Any], kind: str, reason: str | None) -> CheckWords:
    code = str(entry.get("check", ""))
    unit = {"call_minutes": "min"}.get(str(entry.get("metric")), "")
    is_limit = "limit" in entry
    return CheckWords(
        rule=_RULES.get(code) or reason_words(code),
        scope=_scope(entry) if is_limit else "",
        limit=("unlimited" if entry["limit"] is None else _in_unit(entry["limit"], unit, short_number))
        if is_limit
        else "–",
        origin=_origin(entry) if is_limit else "–",
        used=_in_unit(entry.get("used"), unit, used_number),
        left=_in_unit(entry.get("left"), unit, left_number),
        outcome=_outcome(kind, reason),
        outcome_kind=kind,
        note=_top_up_words(entry, reason) if "top_up" in entry else str(entry.get("note") or ""),
    )


def _top_up_words(entry: Mapping[str, Any], reason: str | None) -> str:
    """Such as "Used up, and let in from the top-up of 12 November 2026: 30 of 60 minutes left"."""
    top_up, unit = entry["top_up"], "minute" if entry.get("metric") == "call_minutes" else "session"
    let_in = "let in from" if reason == Reason.ALLOWED else "lifted by"
    left, amount = left_number(top_up["left"]), short_number(top_up["amount"])
    units = unit if top_up["amount"] == 1 else f"{unit}s"
    return f"Used up, and {let_in} the top-up of {top_up_day(top_up['from'])}: {left} of {amount} {units} left"


def drawn_words(decision: Decision) -> str:
    """Such as "from the top-up of 12 November 2026: 30 of 60 minutes left", of one that draws on top-ups."""
    by_metric = {check.top_up.metric: check for check in decision.checks if check.top_up is not None}
    words = [_top_up_words(whole_check(check.as_json()), Reason.ALLOWED) for check in by_metric.values()]
    return " and ".join(part.removeprefix("Used up, and let in ") for part in words)


def top_up_day(day: str) -> str:
    """Such as "12 November 2026"."""
    made_on = date.fromisoformat(day)
    return f"{made_on.day} {made_on:%B %Y}"


def _outcome(kind: str, reason: str | None) -> str:
    if kind == "failed" and reason == Reason.EMERGENCY_ALLOW:
        return "Failed; the emergency switch let them in"
    return {
        "passed": "Passed",
        "decisive": "Failed: the reason",
        "failed": "Failed too",
        "soft": "Failed, but soft: nobody is denied",
        "skipped": "Did not apply",
    }[kind]


def _scope(entry: Mapping[str, Any]) -> str:
    words = [f"on {entry['channel']}"] if entry.get("channel") is not None else []
    words += [f"with agent {entry['agent']}"] if entry.get("agent") is not None else []
    return " ".join(words)


def _origin(entry: Mapping[str, Any]) -> str:
    origin = {"tier": "tier", "override": "customer's override"}.get(entry.get("origin", ""), entry.get("origin", "–"))
    return f"{origin}, {'hard' if entry.get('hard', True) else 'soft'}"


def with_agents_name(trace: Iterable[Mapping[str, Any]], agent: object) -> list[dict[str, Any]]:
    """A trace as staff read it. A limit of one agent applies to this agent's sessions alone, so it is the session's."""
    return [{**entry, "agent": agent} if entry.get("agent") is not None and agent else dict(entry) for entry in trace]


def _in_unit(amount: float | None, unit: str, number: Callable[[float], str]) -> str:
    return "–" if amount is None else f"{number(amount)} {unit}".strip()


def _spoken(code: str) -> str:
    return code.replace("_", " ").capitalize()
