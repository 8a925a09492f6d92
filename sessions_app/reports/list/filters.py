"""What a page of sessions is asked for: the table of its filters, its form, and the sessions that they leave."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db import connection
from django.db.models import DateTimeField, F, Func, Q
from django.db.models.lookups import GreaterThanOrEqual, LessThan
from django.http import QueryDict

from customers.lengths import LONGEST_TEXT
from customers.limits import Metric
from customers.models import Agent, Channel, Customer, Tier
from sessions_app.database.snapshots import one_snapshot
from sessions_app.decision.rules import Reason
from sessions_app.livetok.events import LONGEST_DURATION_SECONDS
from sessions_app.models import DENIED, Session, SessionQuerySet
from sessions_app.periods import ONE_DAY
from sessions_app.reports.frame.range_filters import (
    DEFAULT_PERIOD,
    WITHOUT,
    RangeFilters,
    choice_field,
    moment_field,
    number_field,
)
from sessions_app.reports.frame.ranges import Stretch
from sessions_app.reports.list.conditions import (
    DECISIONS,
    LIMITS,
    Asked,
    Cells,
    Condition,
    Words,
    always,
    at_hour,
    at_limit_words,
    cells_by,
    cells_decided,
    cells_in_state,
    cells_of_tier,
    changed_after,
    decided,
    decision_words,
    every_cell,
    everything,
    filled_with,
    going_on_at,
    hour_words,
    in_state,
    lasting,
    lasting_below,
    lasting_from,
    leaves,
    limit_words,
    no_cells,
    of_customer,
    on_weekday,
    open_now,
    text_in,
    text_words,
    weekday_words,
    with_moment,
)
from sessions_app.reports.list.cursors import Cursor, CursorField
from sessions_app.reports.list.search import Found, search
from sessions_app.sums.counting import TIMED, Amounts
from sessions_app.sums.reading import cells_between, kept
from sessions_app.usage.own_days import on_own_days
from sessions_app.usage.shares import FULL_DAYS
from sessions_app.wording import REASONS, STATES, reason_words

# Who looks for one session or one customer should find more than last week's.
DEFAULT_SEARCH_PERIOD = "90d"
SORTS = {"started": "newest first", "duration": "longest first", "customer": "by customer"}
# Sorted by what a session may lack, the list leaves those without it out.
SORTED = {"started": Q(), "duration": Q(duration_seconds__isnull=False), "customer": Q(customer__isnull=False)}


@dataclass(frozen=True)
class Filter:
    """One filter: its name in the address, its field, and all that follows from its value.

    `chip` has the words for what a link has narrowed the list to, `condition` the sessions that it leaves, and `cells`
    which of the sums' cells hold just them. What is `in_form` the template shows; the rest links alone set.
    `instead_of_days`: the days asked for say nothing then.
    """

    name: str
    field: forms.Field
    chip: Words | None = None
    condition: Condition = everything
    cells: Cells = no_cells
    in_form: bool = False
    instead_of_days: bool = False


def _switch(name: str, words: str, condition: Condition = everything, **more: Any) -> Filter:
    """A filter that is on or off."""
    return Filter(name, forms.BooleanField(required=False), always(words), condition, **more)


def _text(label: str, **more: Any) -> forms.CharField:
    return forms.CharField(label=label, required=False, max_length=LONGEST_TEXT, **more)


_CUSTOMER = forms.ModelChoiceField(
    Customer.objects.all(),
    required=False,
    error_messages={"invalid_choice": "There is no such customer. Look for the name instead."},
)
_SEARCH = forms.TextInput(attrs={"type": "search", "placeholder": "Name, number, session or external id"})
_CAME = Q(begin_received_at__isnull=False)
_USED = Q(customer__isnull=False, is_test=False) & ~DENIED
_NAMED = Q(customer__isnull=False) | ~Q(phone_key="", external_id="")
_PLAUSIBLE = Q(duration_seconds__gte=0, duration_seconds__lte=LONGEST_DURATION_SECONDS)
_REASONS = [*((reason.value, REASONS[reason]) for reason in Reason), (WITHOUT, reason_words(None))]
_FULL_DAYS = [(name, which.words) for name, which in FULL_DAYS.items()]
_CHANGE = "Begin, end, correction or merging came after {}"

# Each filter of the list; chips stand in this order. Those without a condition are seen to by `SessionFilters`: `q` by
# `sessions`, once all others have left theirs, and those of the customers' own days by `_of_days`.
FILTERS = (
    Filter("tier", choice_field("Tier"), None, filled_with("tier", "tier__slug"), cells_of_tier, in_form=True),
    Filter("channel", choice_field("Channel"), None, filled_with("channel"), cells_by("channel"), in_form=True),
    Filter("agent", choice_field("Agent"), None, filled_with("agent"), cells_by("agent"), in_form=True),
    Filter("state", choice_field("State", list(STATES.items())), None, in_state, cells_in_state, in_form=True),
    Filter("reason", choice_field("Reason", _REASONS), None, filled_with("reason"), cells_by("reason"), in_form=True),
    Filter("customer", _CUSTOMER, None, of_customer),
    Filter("q", _text("Search", widget=_SEARCH), in_form=True),
    _switch("counted", "Ended with a duration that counts", leaves(TIMED), cells=every_cell),
    _switch("used", "Counts as used by its customer", leaves(_USED)),
    _switch("calls", "Counts toward call minutes", leaves(Q(counts_toward_call_minutes=True))),
    _switch("unknown", "Caller was no customer", leaves(Q(customer__isnull=True))),
    _switch("named", "Caller is known or gave a number or id", leaves(_NAMED)),
    _switch("both_came", "Begin and end both came", leaves(_CAME & Q(end_received_at__isnull=False) & _PLAUSIBLE)),
    _switch("begin_stated", "LiveTok stated when it began", leaves(_CAME & Q(begin_stated_at__isnull=False))),
    Filter("decision", choice_field("Decision", [*DECISIONS.items()]), decision_words, decided, cells_decided),
    Filter("phone", _text("Number"), text_words("number"), text_in("phone_key")),
    Filter("external", _text("LiveTok's customer id"), text_words("id"), text_in("external_id")),
    Filter("seconds_from", number_field("Lasting from", 0, 86_400), lasting("{} or more"), lasting_from),
    Filter("seconds_below", number_field("Lasting less than", 1, 86_401), lasting("less than {}"), lasting_below),
    Filter("weekday", number_field("Weekday", 0, 6), weekday_words, on_weekday),
    Filter("hour", number_field("Hour", 0, 23), hour_words, at_hour),
    Filter("at", moment_field("Going on at"), with_moment("Going on at {}"), going_on_at, instead_of_days=True),
    _switch("open_now", "Open now", open_now, instead_of_days=True),
    _switch("own_days", "On the customers' own days"),
    _switch("reaching", "Or going on into them"),
    Filter("at_limit", choice_field("Days at a limit", _FULL_DAYS), at_limit_words, instead_of_days=True),
    Filter("limit", choice_field("Limit", [*LIMITS.items()]), limit_words),
    Filter("limit_channel", _text("Limit on channel"), text_words("limit on channel")),
    Filter("limit_agent", _text("Limit with agent"), text_words("limit with agent")),
    Filter("changed_after", moment_field("Changed after"), with_moment(_CHANGE), changed_after),
)


class SessionFilters(RangeFilters):
    """The form of the list of sessions. Its fields, beyond its days, order and page, are those of `FILTERS`."""

    sort = choice_field("Sorted by", list(SORTS.items()))
    older = CursorField(required=False)
    newer = CursorField(required=False)

    set_by_links = ("period", "sort", "older", "newer", *(one.name for one in FILTERS if not one.in_form))
    narrowed_by = tuple(one.name for one in FILTERS if one.in_form)

    def __init__(self, data: QueryDict, now: datetime) -> None:
        super().__init__(data, now)
        self.fields["sort"].choices = list(SORTS.items())  # type: ignore[attr-defined]
        self.tiers = list(Tier.objects.all())
        self._offer("tier", [(tier.slug, tier.name) for tier in self.tiers], "No tier")
        self._offer("channel", [(channel.pk, str(channel)) for channel in Channel.objects.all()], "No channel")
        self._offer("agent", [(agent.pk, str(agent)) for agent in Agent.objects.all()], "No agent")

    def _offer(self, name: str, choices: list[tuple[str, str]], without: str) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "All"), *choices, (WITHOUT, without)]

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if values.get("at_limit") and not values.get("customer"):
            self.add_error("at_limit", "Days at a limit are one customer's: give a customer too.")
        for name, needs in (("limit", "at_limit"), ("limit_channel", "limit"), ("limit_agent", "limit")):
            if values.get(name) and not values.get(needs):
                self.add_error(name, f"This narrows “{self[needs].label}”: give {needs} too.")
        return values

    def usual_period(self) -> str:
        is_search = self.cleaned_data.get("q") or self.cleaned_data.get("customer")
        return DEFAULT_SEARCH_PERIOD if is_search else DEFAULT_PERIOD

    @cached_property
    def chosen(self) -> list[tuple[Filter, Any]]:
        """The filters that are set, with their values: 0 is one, what is off or blank is none."""
        values = [(one, self.cleaned_data[one.name]) for one in FILTERS]
        return [(one, value) for one, value in values if value is not False and value not in (None, "")]

    @cached_property
    def asked(self) -> Asked:
        return Asked(self.cleaned_data, self.range, self.now, self.tiers, self.has_days)

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but days is asked for."""
        return bool(self.chosen)

    @property
    def chips(self) -> list[tuple[str, str]]:
        """What links have narrowed the list to, in words, each with the filter that it stands for; none where something
        is wrong with a filter."""
        if self.errors:
            return []
        return [(one.name, one.chip(value, self.asked)) for one, value in self.chosen if one.chip]

    @property
    def narrowing(self) -> list[str]:
        customer = self.cleaned_data.get("customer")
        return [*super().narrowing, *([str(customer)] if customer else []), *(words for _, words in self.chips)]

    @property
    def kept(self) -> list[tuple[str, Any]]:
        """What the form has no field for, and sends again; the customer the template sends itself."""
        names = ("sort", *(one.name for one in FILTERS if one.chip))
        return [(name, self.data[name]) for name in names if self.data.get(name)]

    @property
    def days_alone(self) -> str:
        """The address of the same days without any other filter."""
        names = ("period", "first_day", "last_day", "test")
        return urlencode({name: self.data[name] for name in names if self.data.get(name)})

    @property
    def orders(self) -> dict[str, str]:
        return SORTS

    @property
    def order(self) -> str:
        return self.cleaned_data["sort"] or "started"

    @property
    def order_words(self) -> str:
        return SORTS[self.order]

    @property
    def has_days(self) -> bool:
        """Whether the days asked for say which sessions are shown."""
        return not any(one.instead_of_days for one, _ in self.chosen)

    @property
    def has_stretches(self) -> bool:
        """Whether the sessions can be had stretch by stretch: by start, those of the company's days, no search's."""
        values = self.cleaned_data
        return self.has_days and self.order == "started" and not (values["q"] or values["own_days"])

    @property
    def periods_at_limit(self) -> list[tuple[date, date]]:
        return self.asked.filled

    search: Found | None = None

    def sessions(
        self, *, older: Cursor | None = None, newer: Cursor | None = None, within: Stretch | None = None
    ) -> SessionQuerySet:
        """The sessions that started within the range and match every filter, in no order. Where they are sorted by
        start and it is given, those at a place and on one side of it alone; where they can be had so, those within a
        stretch of the range."""
        condition = SORTED[self.order]
        for one, value in self.chosen:
            condition &= one.condition(value, self.asked)
        live = Session.objects.all() if self.cleaned_data["test"] else Session.objects.filter(is_test=False)
        found = self._of_days(live.filter(condition), older, newer, within)
        if self.cleaned_data["q"]:
            self.search = search(self.cleaned_data["q"], found)
            return self.search.sessions
        return found

    def beside(self, older: Cursor | None, newer: Cursor | None, size: int) -> SessionQuerySet | None:
        """Of `sessions()`, at least those that a page beside a place needs; None where all do as well."""
        place = newer or older
        if self.order != "started":
            return None
        if self.search is not None:
            return self.search.near((place.started_at, place.pk) if place else None, size)
        return self.sessions(older=older, newer=newer) if place else None

    def amounts_from_sums(self) -> Amounts | None:
        """What the sessions come to, where the sums know it."""
        wanted = [one.cells(value, self.asked) for one, value in self.chosen]
        known = [has for has in wanted if has is not None]
        if len(known) < len(wanted) or self.order != "started":
            return None
        is_test = None if self.cleaned_data["test"] else False
        with one_snapshot():
            cells = cells_between(self.range.starts_at, self.range.ends_before, kept(), is_test=is_test)
        found = cells.of(lambda cell: all(has(cell) for has in known))
        # `counted` leaves only the timed sessions of each cell, which the cells count as well.
        return found._replace(sessions=found.timed) if self.cleaned_data["counted"] else found

    def _of_days(
        self, sessions: SessionQuerySet, older: Cursor | None, newer: Cursor | None, within: Stretch | None
    ) -> SessionQuerySet:
        values = self.cleaned_data
        if values["at_limit"]:
            # A session counts on the day of its start; its minutes on each that it touches.
            reaching = self.asked.limit is None or self.asked.limit.metric is Metric.CALL_MINUTES
            return on_own_days(sessions, self.periods_at_limit, reaching=reaching)
        if not self.has_days:
            return sessions
        if values["own_days"]:
            return on_own_days(sessions, [self.own_stretch], reaching=values["reaching"])
        return sessions.filter(self._started(older, newer, within or self.range.stretch))

    @property
    def own_stretch(self) -> tuple[date, date]:
        """The days, without the last, that are read in each session's own time zone."""
        return self.range.first_day, self.range.last_day + ONE_DAY

    def _started(self, older: Cursor | None, newer: Cursor | None, within: Stretch) -> Q:
        first, until = within.starts_at, within.ends_before
        # Of the days' bound and a page's SQLite takes the days', and reads all pages up to the one that is asked for.
        if self.order == "started" and newer is not None:
            first = max(first, newer.started_at)
        elif self.order == "started" and older is not None:
            until = min(until, older.started_at + timedelta.resolution)
        if self.order == "duration" and connection.vendor == "sqlite":
            return Q(GreaterThanOrEqual(_PLAIN_START, first)) & Q(LessThan(_PLAIN_START, until))
        return Q(started_at__gte=first, started_at__lt=until)


SessionFilters.base_fields.update({one.name: one.field for one in FILTERS})

# SQLite would take the index of starts and sort what it finds; so it goes through that of durations, in order.
_PLAIN_START = Func(F("started_at"), template="+%(expressions)s", output_field=DateTimeField())
