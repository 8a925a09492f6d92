"""Which of a rule's conditions a session, or a moment, does not meet. Pure: no database, no clock, no settings."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, time

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Conditions:
    """What a rule asks for. An empty collection, and None, ask for nothing. Tiers and customers go by id."""

    covers_tests: bool = False
    tiers: Collection[int] = ()
    channels: Collection[str] = ()
    agents: Collection[str] = ()
    customers: Collection[int] = ()
    reasons: Collection[str] = ()
    least_duration_seconds: int | None = None
    weekdays: Collection[int] = ()
    from_time: time | None = None
    until_time: time | None = None


@dataclass(frozen=True)
class Subject:
    """What is asked about. `at` is when it happened, in the company's zone; of a session, by LiveTok's clock."""

    at: datetime
    is_test: bool = False
    tier: int | None = None
    channel: str | None = None
    agent: str | None = None
    customer: int | None = None
    reason: str | None = None
    duration_seconds: int | None = None


def failed_condition(conditions: Conditions, subject: Subject) -> str:
    """The first condition that does not hold, as a sentence; empty where all do."""
    return next((words for holds, words in _CONDITIONS if not holds(conditions, subject)), "")


def _is_among(wanted: Collection[int] | Collection[str], value: int | str | None) -> bool:
    return not wanted or value in wanted


def _is_long_enough(conditions: Conditions, subject: Subject) -> bool:
    least = conditions.least_duration_seconds
    return least is None or (subject.duration_seconds is not None and subject.duration_seconds >= least)


def _is_on_a_day(conditions: Conditions, subject: Subject) -> bool:
    """Hours over midnight belong to the day on which they began."""
    days, start, until = conditions.weekdays, conditions.from_time, conditions.until_time
    is_past_midnight = start is not None and until is not None and start > until and subject.at.time() < until
    return not days or (subject.at.weekday() - is_past_midnight) % 7 in days


def _is_in_hours(conditions: Conditions, subject: Subject) -> bool:
    start, until, now = conditions.from_time, conditions.until_time, subject.at.time()
    if start is not None and until is not None and start > until:
        return now >= start or now < until
    return (start is None or now >= start) and (until is None or now < until)


_CONDITIONS: tuple[tuple[Callable[[Conditions, Subject], bool], str], ...] = (
    (lambda asked, subject: asked.covers_tests or not subject.is_test, "It is test traffic."),
    (lambda asked, subject: _is_among(asked.tiers, subject.tier), "It is of another tier."),
    (lambda asked, subject: _is_among(asked.channels, subject.channel), "It is on another channel."),
    (lambda asked, subject: _is_among(asked.agents, subject.agent), "It is with another agent."),
    (lambda asked, subject: _is_among(asked.customers, subject.customer), "It is of another customer."),
    (lambda asked, subject: _is_among(asked.reasons, subject.reason), "It has another reason."),
    (_is_long_enough, "It was shorter than the rule asks for, or has no duration."),
    (_is_on_a_day, "It was on another day of the week."),
    (_is_in_hours, "It was at another time of day."),
)
