"""What a page of sessions is asked for: the filters in its address, checked, and the sessions that they leave."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db import connection
from django.db.models import DateTimeField, F, Func, Q
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan
from django.http import QueryDict

from customers.lengths import LONGEST_TEXT
from customers.models import Agent, Channel, Customer, Tier
from customers.past import numbers_moved_since
from sessions_app.database.snapshots import one_snapshot
from sessions_app.decision.rules import Reason
from sessions_app.livetok.events import LONGEST_DURATION_SECONDS
from sessions_app.models import DENIED, NO_END, PastMonthWrite, Session, SessionQuerySet, SupersededEnd
from sessions_app.periods import ONE_DAY, hours_of
from sessions_app.reports.frame.range_filters import DEFAULT_PERIOD, choice_field, moment_field, number_field
from sessions_app.reports.frame.range_filters import WITHOUT as WITHOUT
from sessions_app.reports.frame.range_filters import RangeFilters as RangeFilters
from sessions_app.reports.frame.ranges import Stretch
from sessions_app.reports.list.cursors import Cursor, CursorField
from sessions_app.reports.list.search import Found, search
from sessions_app.sums.counting import TIMED, Amounts, Sums, joined
from sessions_app.sums.peaks import LONGEST_WITHOUT_END
from sessions_app.sums.reading import cells_between, kept
from sessions_app.usage.own_days import ENDS, on_own_days
from sessions_app.usage.shares import FULL_DAYS, which_full_days
from sessions_app.wording import REASONS, STATES, duration_words, reason_words

# Who looks for one session or one customer should find more than last week's.
DEFAULT_SEARCH_PERIOD = "90d"


SORTS = {"started": "newest first", "duration": "longest first", "customer": "by customer"}
ADMITTING = {reason.value for reason in Reason if reason.admits}
DENYING = {reason.value for reason in Reason} - ADMITTING
DECISIONS = {"allowed": "Let in", "denied": "Denied at first"}
# Filters that figures alone set, on or off: what they say, and what they leave.
BEHIND_FIGURES = {
    "counted": ("Ended with a duration that counts", TIMED),
    "used": ("Counts as used by its customer", Q(customer__isnull=False, is_test=False) & ~DENIED),
    "calls": ("Counts toward call minutes", Q(counts_toward_call_minutes=True)),
    "unknown": ("Caller was no customer", Q(customer__isnull=True)),
    "named": ("Caller is known or gave a number or id", Q(customer__isnull=False) | ~Q(phone_key="", external_id="")),
    "both_came": (
        "Begin and end both came",
        Q(begin_received_at__isnull=False, end_received_at__isnull=False)
        & Q(duration_seconds__gte=0, duration_seconds__lte=LONGEST_DURATION_SECONDS),
    ),
    "begin_stated": (
        "LiveTok stated when it began",
        Q(begin_received_at__isnull=False, begin_stated_at__isnull=False),
    ),
}
# What figures alone set, that says which days.
TIMES = ("weekday", "hour", "at", "open_now", "own_days", "reaching", "at_limit", "changed_after")
WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


class SessionFilters(RangeFilters):
    """The filters of the list of sessions."""

    tier = choice_field("Tier")
    channel = choice_field("Channel")
    agent = choice_field("Agent")
    state = choice_field("State", list(STATES.items()))
    reason = choice_field(
        "Reason", [(reason.value, REASONS[reason]) for reason in Reason] + [(WITHOUT, reason_words(None))]
    )
    customer = forms.ModelChoiceField(
        Customer.objects.all(),
        required=False,
        error_messages={"invalid_choice": "There is no such customer. Look for the name instead."},
    )
    q = forms.CharField(
        label="Search",
        required=False,
        max_length=LONGEST_TEXT,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name, number, session or external id"}),
    )
    sort = choice_field("Sorted by", list(SORTS.items()))
    # What figures lead to.
    decision = choice_field("Decision", list(DECISIONS.items()))
    phone = forms.CharField(label="Number", required=False, max_length=LONGEST_TEXT)
    external = forms.CharField(label="LiveTok's customer id", required=False, max_length=LONGEST_TEXT)
    seconds_from = number_field("Lasting from", 0, 86_400)
    seconds_below = number_field("Lasting less than", 1, 86_401)
    weekday = number_field("Weekday", 0, 6)
    hour = number_field("Hour", 0, 23)
    at = moment_field("Going on at")
    open_now = forms.BooleanField(required=False)
    own_days = forms.BooleanField(required=False)
    reaching = forms.BooleanField(required=False)
    at_limit = choice_field("Days at a limit", [(name, which.words) for name, which in FULL_DAYS.items()])
    changed_after = moment_field("Changed after")
    older = CursorField(required=False)
    newer = CursorField(required=False)

    not_in_form = ("decision", "phone", "external", "seconds_from", "seconds_below", *BEHIND_FIGURES, *TIMES)
    set_by_links = ("period", "customer", "sort", *not_in_form, "older", "newer")

    def __init__(self, data: QueryDict, now: datetime) -> None:
        super().__init__(data, now)
        for name in BEHIND_FIGURES:
            self.fields[name] = forms.BooleanField(required=False)
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
        return values

    def usual_period(self) -> str:
        is_search = self.cleaned_data.get("q") or self.cleaned_data.get("customer")
        return DEFAULT_SEARCH_PERIOD if is_search else DEFAULT_PERIOD

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but days is asked for."""
        names = ("tier", "channel", "agent", "state", "reason", "customer", "q")
        return any(self.cleaned_data[name] for name in names) or bool(self.chips)

    @property
    def kept(self) -> list[tuple[str, Any]]:
        """What the form has no field for, and sends again."""
        return [(name, self.data[name]) for name in ("sort", *self.not_in_form) if self.data.get(name)]

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
        return not any(self.cleaned_data[name] for name in ("at", "open_now", "at_limit"))

    @property
    def has_stretches(self) -> bool:
        """Whether the sessions can be had stretch by stretch: by start, those of the company's days, no search's."""
        values = self.cleaned_data
        return self.has_days and self.order == "started" and not (values["q"] or values["own_days"])

    @cached_property
    def days_at_limit(self) -> list[date]:
        values = self.cleaned_data
        return which_full_days(self.now, FULL_DAYS[values["at_limit"]], values["customer"].pk)

    @cached_property
    def chips(self) -> list[tuple[str, str]]:
        """What links have narrowed the list to, in words, each with the filter that it stands for; none where something
        is wrong with a filter."""
        if self.errors:
            return []
        values = self.cleaned_data
        chips = [(name, words) for name, (words, _) in BEHIND_FIGURES.items() if values[name]]
        if values["decision"]:
            chips.append(("decision", DECISIONS[values["decision"]]))
        for name, label in (("phone", "number"), ("external", "id")):
            if values[name]:
                chips.append(
                    (name, f"No {label}" if values[name] == WITHOUT else f"{label.capitalize()}: {values[name]}")
                )
        if values["seconds_from"] is not None:
            chips.append(("seconds_from", f"Lasting {duration_words(values['seconds_from'])} or more"))
        if values["seconds_below"] is not None:
            chips.append(("seconds_below", f"Lasting less than {duration_words(values['seconds_below'])}"))
        return chips + self._chips_of_time()

    def _chips_of_time(self) -> list[tuple[str, str]]:
        values = self.cleaned_data
        chips = []
        if values["weekday"] is not None:
            chips.append(("weekday", f"On {WEEKDAYS[values['weekday']]}"))
        if values["hour"] is not None:
            chips.append(("hour", f"From {values['hour']:02}:00 to {values['hour']:02}:59"))
        if values["at"]:
            chips.append(("at", f"Going on at {values['at'].astimezone(self.zone):%a %-d %b %Y %H:%M:%S}"))
        if values["open_now"]:
            chips.append(("open_now", "Open now"))
        if values["own_days"]:
            chips.append(("own_days", "On the customers' own days"))
        if values["reaching"]:
            chips.append(("reaching", "Or going on into them"))
        if values["at_limit"]:
            which, found = FULL_DAYS[values["at_limit"]], len(self.days_at_limit)
            days = f"{found} day{'' if found == 1 else 's'}"
            chips.append(("at_limit", f"On the {days} of the last {which.days} {which.words}"))
        if values["changed_after"]:
            moment = values["changed_after"].astimezone(self.zone)
            chips.append(
                ("changed_after", f"Begin, end, correction or merging came after {moment:%a %-d %b %Y %H:%M:%S}")
            )
        return chips

    search: Found | None = None

    def sessions(
        self, *, older: Cursor | None = None, newer: Cursor | None = None, within: Stretch | None = None
    ) -> SessionQuerySet:
        """The sessions that started within the range and match every filter, in no order. Where they are sorted by
        start and it is given, those at a place and on one side of it alone; where they can be had so, those within a
        stretch of the range."""
        values = self.cleaned_data
        found = Session.objects.all()
        if not values["test"]:
            found = found.filter(is_test=False)
        for name, path in (("tier", "tier__slug"), ("channel", "channel"), ("agent", "agent"), ("reason", "reason")):
            if values[name] == WITHOUT:
                found = found.filter(**{f"{name}__isnull": True})
            elif values[name]:
                found = found.filter(**{path: values[name]})
        if values["state"]:
            found = found.in_state(values["state"], self.now)
        if values["customer"]:
            found = found.filter(customer=values["customer"])
        found = self._of_time(found.filter(self._behind_figures(), _SORTED[self.order]), older, newer, within)
        if values["q"]:
            self.search = search(values["q"], found)
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
        """What the sessions come to, where the sums know it: they know neither customers nor what is open."""
        values = self.cleaned_data
        known = all(name in ("counted", "decision") for name, _ in self.chips)
        is_summed = known and not (values["customer"] or values["q"]) and self.order == "started"
        if not is_summed or values["state"] in (Session.State.OPEN, Session.State.MISSING_END):
            return None
        tier = next((tier.pk for tier in self.tiers if tier.slug == values["tier"]), 0)
        wanted = {
            "tier": tier if values["tier"] else None,
            "outcome": values["state"] or None,
            **{name: _blank(values[name]) if values[name] else None for name in ("channel", "agent", "reason")},
        }
        with one_snapshot():
            cells = cells_between(
                self.range.starts_at, self.range.ends_before, kept(), is_test=None if values["test"] else False
            )
        asked = {name: value for name, value in wanted.items() if value is not None}
        if values["decision"]:
            reasons = ADMITTING if values["decision"] == "allowed" else DENYING
            cells = Sums(
                defaultdict(Amounts, {cell: amounts for cell, amounts in cells.cells.items() if cell.reason in reasons})
            )
        found = cells.of(lambda cell: all(getattr(cell, name) == value for name, value in asked.items()))
        return found._replace(sessions=found.timed) if values["counted"] else found

    def _of_time(
        self, sessions: SessionQuerySet, older: Cursor | None, newer: Cursor | None, within: Stretch | None
    ) -> SessionQuerySet:
        values = self.cleaned_data
        if values["changed_after"]:
            sessions = sessions.filter(_changed_after(values["changed_after"]))
        if values["open_now"]:
            sessions = sessions.in_state(Session.State.OPEN, self.now)
        if values["at"]:
            sessions = sessions.filter(_going_on_at(values["at"]))
        if values["at_limit"]:
            days = [(day, day + ONE_DAY) for day in self.days_at_limit]
            return on_own_days(sessions, days, reaching=True)
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
        condition = Q(started_at__gte=first, started_at__lt=until)
        if self.order == "duration" and connection.vendor == "sqlite":
            condition = Q(GreaterThanOrEqual(_PLAIN_START, first)) & Q(LessThan(_PLAIN_START, until))
        weekday, hour = self.cleaned_data["weekday"], self.cleaned_data["hour"]
        if weekday is None and hour is None:
            return condition
        hours = [
            (one.starts_at, one.ends_before)
            for day in self.range.days
            if weekday in (None, day.weekday())
            for one in hours_of(day, self.zone)
            if hour in (None, one.hour)
        ]
        pieces = Q(pk__in=[])
        for start, end in joined(hours):
            pieces |= Q(started_at__gte=start, started_at__lt=end)
        return condition & pieces

    def _behind_figures(self) -> Q:
        values = self.cleaned_data
        condition = Q()
        for name, (_, left) in BEHIND_FIGURES.items():
            if values[name]:
                condition &= left
        for name, field in (("phone", "phone_key"), ("external", "external_id")):
            if values[name]:
                condition &= Q(**{field: _blank(values[name])})
        if values["decision"]:
            condition &= Q(allowed=values["decision"] == "allowed")
        if values["seconds_from"] is not None or values["seconds_below"] is not None:
            condition &= TIMED
        if values["seconds_from"] is not None:
            condition &= Q(duration_seconds__gte=values["seconds_from"])
        if values["seconds_below"] is not None:
            condition &= Q(duration_seconds__lt=values["seconds_below"])
        return condition


# Sorted by what a session may lack, the list leaves those without it out.
_SORTED = {"started": Q(), "duration": Q(duration_seconds__isnull=False), "customer": Q(customer__isnull=False)}


def _blank(value: str) -> str:
    return "" if value == WITHOUT else value


def _going_on_at(moment: datetime) -> Q:
    """Sessions that took place then, as `sums.peaks` has it: one without an end until it counts as open no more."""
    undeclared = Q(declared_missing_at__isnull=True) | Q(declared_missing_at__gt=moment)
    going_on = (TIMED & Q(GreaterThan(ENDS, moment))) | (NO_END & Q(open_until__gt=moment) & undeclared)
    return Q(started_at__lte=moment, started_at__gte=moment - LONGEST_WITHOUT_END) & going_on


def _changed_after(moment: datetime) -> Q:
    """Sessions of which something came, or that came to another customer with the number."""
    corrected = SupersededEnd.objects.filter(recorded_at__gt=moment).values("session")
    # What waited on disk was received earlier than it was stored.
    stored = PastMonthWrite.objects.filter(noted_at__gt=moment, session__isnull=False).values("session")
    changed = Q(begin_received_at__gt=moment) | Q(end_received_at__gt=moment) | Q(pk__in=corrected) | Q(pk__in=stored)
    return changed | Q(phone_key__in=numbers_moved_since(moment))


# SQLite would take the index of starts and sort what it finds; so it goes through that of durations, in order.
_PLAIN_START = Func(F("started_at"), template="+%(expressions)s", output_field=DateTimeField())
