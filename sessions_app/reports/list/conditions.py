"""What the columns of `filters.FILTERS` are made of: words of chips, conditions, and cells of the sums."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, TypeAlias

from django.db.models import Q
from django.db.models.lookups import GreaterThan
from django.template.defaultfilters import pluralize

from customers.limits import Limit, Metric, Period
from customers.models import Customer, Tier
from customers.moved_numbers import numbers_moved_since
from sessions_app.decision.rules import Reason
from sessions_app.models import NO_END, STATE_CONDITIONS, PastMonthWrite, Session, SupersededEnd
from sessions_app.periods import ONE_DAY, days_of, hours_of
from sessions_app.reports.frame.range_filters import WITHOUT
from sessions_app.reports.frame.ranges import DayRange
from sessions_app.sums.counting import TIMED, Cell, joined
from sessions_app.sums.peaks import LONGEST_WITHOUT_END
from sessions_app.usage.counting import FILLED_BY
from sessions_app.usage.often import CLOSE_PERCENT, OFTEN, which_filled
from sessions_app.usage.own_days import ENDS
from sessions_app.usage.shares import FULL_DAYS, which_full_days
from sessions_app.wording import duration_words

DECISIONS = {"allowed": "Let in", "denied": "Denied at first"}
WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
# The limits that use up within a period, by the reason that they deny with.
LIMITS = {f"{metric}_{period}": f"{metric.words} a {period}" for metric in FILLED_BY for period in OFTEN}
ADMITTING = {reason.value for reason in Reason if reason.admits}
DENYING = {reason.value for reason in Reason} - ADMITTING


@dataclass(frozen=True)
class Asked:
    """All that a page is asked for, checked: a filter may look at it beside its own value.

    `has_days` is whether the days asked for say which sessions are shown.
    """

    values: Mapping[str, Any]
    range: DayRange
    now: datetime
    tiers: Sequence[Tier]
    has_days: bool

    @cached_property
    def limit(self) -> Limit | None:
        """The one limit that `at_limit` is about; None for any daily one."""
        if not self.values["limit"]:
            return None
        metric, _, period = self.values["limit"].rpartition("_")
        scope = self.values["limit_channel"] or None, self.values["limit_agent"] or None
        return Limit(Metric(metric), Period(period), None, *scope)

    @cached_property
    def filled(self) -> list[tuple[date, date]]:
        """The periods at a limit, each from its first day until but not including another."""
        at_limit, customer_id = self.values["at_limit"], self.values["customer"].pk
        if self.limit is None:
            days = which_full_days(self.now, FULL_DAYS[at_limit], customer_id)
            return [(day, day + ONE_DAY) for day in days]
        found = which_filled(customer_id, self.limit, self.now)
        firsts = [] if found is None else found.close if at_limit == "close" else found.reached
        return [days_of(self.limit.period, first) for first in firsts]


# Each is given its filter's value.
Words: TypeAlias = Callable[[Any, Asked], str]
Condition: TypeAlias = Callable[[Any, Asked], Q]
HasCell: TypeAlias = Callable[[Cell], bool]
Cells: TypeAlias = Callable[[Any, Asked], HasCell | None]


def always(words: str) -> Words:
    return lambda value, asked: words


def text_words(label: str) -> Words:
    return lambda value, asked: f"No {label}" if value == WITHOUT else f"{label.capitalize()}: {value}"


def decision_words(decision: str, asked: Asked) -> str:
    return DECISIONS[decision]


def lasting(words: str) -> Words:
    """With the duration in place of {}."""
    return lambda seconds, asked: f"Lasting {words.format(duration_words(seconds))}"


def weekday_words(weekday: int, asked: Asked) -> str:
    return f"On {WEEKDAYS[weekday]}"


def hour_words(hour: int, asked: Asked) -> str:
    return f"From {hour:02}:00 to {hour:02}:59"


def with_moment(words: str) -> Words:
    """With the moment, by the company's clock, in place of {}."""
    return lambda moment, asked: words.format(f"{moment.astimezone(asked.range.zone):%a %-d %b %Y, %H:%M:%S}")


def at_limit_words(at_limit: str, asked: Asked) -> str:
    found = len(asked.filled)
    if asked.limit is None:
        which = FULL_DAYS[at_limit]
        return f"On the {found} day{pluralize(found)} of the last {which.days} {which.words}"
    period = asked.limit.period
    share = f"{CLOSE_PERCENT} % of the limit or more" if at_limit == "close" else "the limit"
    on = "On" if period is Period.DAY else "In"
    return f"{on} the {found} {period}{pluralize(found)} of the last {OFTEN[period].periods} at {share}"


def limit_words(limit: str, asked: Asked) -> str:
    return f"Limit: {LIMITS[limit]}"


def everything(value: Any, asked: Asked) -> Q:
    return Q()


def leaves(condition: Q) -> Condition:
    return lambda value, asked: condition


def filled_with(field: str, path: str = "") -> Condition:
    """By a field that may be null; `path` leads to what the address has of it."""
    return lambda value, asked: Q(**{f"{field}__isnull": True}) if value == WITHOUT else Q(**{path or field: value})


def text_in(field: str) -> Condition:
    """By a field that may be blank."""
    return lambda value, asked: Q(**{field: _blank(value)})


def _blank(value: str) -> str:
    return "" if value == WITHOUT else value


def in_state(state: str, asked: Asked) -> Q:
    return STATE_CONDITIONS[state](asked.now)


def open_now(value: Any, asked: Asked) -> Q:
    return in_state(Session.State.OPEN.value, asked)


def of_customer(customer: Customer, asked: Asked) -> Q:
    return Q(customer=customer)


def decided(decision: str, asked: Asked) -> Q:
    return Q(allowed=decision == "allowed")


def lasting_from(seconds: int, asked: Asked) -> Q:
    return TIMED & Q(duration_seconds__gte=seconds)


def lasting_below(seconds: int, asked: Asked) -> Q:
    return TIMED & Q(duration_seconds__lt=seconds)


def on_weekday(weekday: int, asked: Asked) -> Q:
    return _in_hours(asked)


def at_hour(hour: int, asked: Asked) -> Q:
    # With a weekday too, its own condition has the hour.
    return _in_hours(asked) if asked.values["weekday"] is None else Q()


def _in_hours(asked: Asked) -> Q:
    """The hours of the company's days that are asked for. Other days than the company's have all their hours."""
    if not asked.has_days or asked.values["own_days"]:
        return Q()
    weekday, hour = asked.values["weekday"], asked.values["hour"]
    hours = [
        (one.starts_at, one.ends_before)
        for day in asked.range.days
        if weekday in (None, day.weekday())
        for one in hours_of(day, asked.range.zone)
        if hour in (None, one.hour)
    ]
    # Not `Q()`, which without an hour would let all sessions through.
    pieces = Q(pk__in=[])
    for start, end in joined(hours):
        pieces |= Q(started_at__gte=start, started_at__lt=end)
    return pieces


def going_on_at(moment: datetime, asked: Asked) -> Q:
    """Sessions that took place then, as `sums.peaks` has it: one without an end until it counts as open no more."""
    undeclared = Q(declared_missing_at__isnull=True) | Q(declared_missing_at__gt=moment)
    going_on = (TIMED & Q(GreaterThan(ENDS, moment))) | (NO_END & Q(open_until__gt=moment) & undeclared)
    return Q(started_at__lte=moment, started_at__gte=moment - LONGEST_WITHOUT_END) & going_on


def changed_after(moment: datetime, asked: Asked) -> Q:
    """Sessions of which something came, or that came to another customer with the number."""
    corrected = SupersededEnd.objects.filter(recorded_at__gt=moment).values("session")
    # What waited on disk was received earlier than it was stored.
    stored = PastMonthWrite.objects.filter(noted_at__gt=moment, session__isnull=False).values("session")
    changed = Q(begin_received_at__gt=moment) | Q(end_received_at__gt=moment) | Q(pk__in=corrected) | Q(pk__in=stored)
    return changed | Q(phone_key__in=numbers_moved_since(moment))


def no_cells(value: Any, asked: Asked) -> None:
    """The sums do not know these sessions apart: they know neither customers nor what is open."""


def every_cell(value: Any, asked: Asked) -> HasCell:
    return lambda cell: True


def cells_by(name: str) -> Cells:
    return lambda value, asked: lambda cell: getattr(cell, name) == _blank(value)


def cells_of_tier(slug: str, asked: Asked) -> HasCell:
    pk = next((tier.pk for tier in asked.tiers if tier.slug == slug), 0)
    return lambda cell: cell.tier == pk


def cells_in_state(state: str, asked: Asked) -> HasCell | None:
    """Of sums that do not change with the time: what is open now may miss its end in a moment."""
    if state in (Session.State.OPEN, Session.State.MISSING_END):
        return None
    return lambda cell: cell.outcome == state


def cells_decided(decision: str, asked: Asked) -> HasCell:
    reasons = ADMITTING if decision == "allowed" else DENYING
    return lambda cell: cell.reason in reasons
