"""What a page of sessions is asked for: the filters in its address, checked, and the sessions that they leave."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connection
from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Func, Q
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan
from django.http import QueryDict
from django.utils import timezone

from customers.models import Agent, Channel, Customer, Tier
from sessions_app.decision import Reason
from sessions_app.models import NO_END, Session, SessionQuerySet
from sessions_app.periods import hours_of, local_day
from sessions_app.reports.cursors import CursorField
from sessions_app.reports.ranges import PRESETS, DayRange, preset_range
from sessions_app.reports.search import named
from sessions_app.snapshots import one_snapshot
from sessions_app.sums.counting import TIMED, joined
from sessions_app.sums.peaks import LONGEST_WITHOUT_END
from sessions_app.sums.reading import cells_between, kept
from sessions_app.wording import REASONS, STATES, duration_words, reason_words

MOST_DAYS = 366
# No slug, channel or agent id of LiveTok's looks like this.
WITHOUT = "(none)"
DEFAULT_PERIOD = "7d"
# Who looks for one session or one customer should find more than last week's.
DEFAULT_SEARCH_PERIOD = "90d"


class DayInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


def _day_field(label: str) -> forms.DateField:
    era = "Give a day between 1970 and 2199."
    return forms.DateField(
        label=label,
        required=False,
        widget=DayInput,
        input_formats=["%Y-%m-%d"],
        validators=[MinValueValidator(date(1970, 1, 2), era), MaxValueValidator(date(2199, 12, 30), era)],
        error_messages={"invalid": "Give a date such as 2026-03-15."},
    )


def _choice_field(label: str, choices: list[tuple[str, str]] | None = None) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        required=False,
        choices=[("", "All"), *(choices or [])],
        error_messages={"invalid_choice": "There is no “%(value)s”. Choose from the list."},
    )


class RangeFilters(forms.Form):
    """The days of a page, and whether it shows test traffic. Dates win over the period; without either, the last days.

    Once the form is valid, `range` is what was asked for.
    """

    default_period = DEFAULT_PERIOD
    set_by_links: tuple[str, ...] = ("period",)
    range: DayRange

    period = forms.ChoiceField(
        required=False,
        choices=list(PRESETS.items()),
        error_messages={"invalid_choice": "There is no period “%(value)s”. Choose one of those above."},
    )
    first_day = _day_field("From")
    last_day = _day_field("To (included)")
    test = forms.BooleanField(label="Include test traffic", required=False)

    def __init__(self, data: QueryDict, now: datetime) -> None:
        super().__init__(data, use_required_attribute=False, auto_id="filter-%s", label_suffix="")
        self.now = now
        self.zone = ZoneInfo(timezone.get_default_timezone_name())

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if self.has_error("period") or self.has_error("first_day") or self.has_error("last_day"):
            return values
        try:
            self.range = self._range(values.get("period"), values.get("first_day"), values.get("last_day"))
        except ValidationError as error:
            self.add_error(None, error)
        return values

    def _range(self, period: str | None, first: date | None, last: date | None) -> DayRange:
        if first is None and last is None:
            return preset_range(period or self.usual_period(), self.now, self.zone)
        if first is None:
            raise ValidationError({"first_day": "Give the first day too."})
        if last is None:
            last = max(first, local_day(self.now, self.zone))
        if last < first:
            raise ValidationError({"last_day": "Give the first day or a later one."})
        if (last - first).days >= MOST_DAYS:
            longest = first + timedelta(days=MOST_DAYS - 1)
            raise ValidationError({"last_day": f"Choose at most {MOST_DAYS} days: {longest} or earlier."})
        return DayRange(first, last, self.zone)

    @property
    def without_a_field(self) -> list[forms.BoundField]:
        """Filters that only links set: what is wrong with them is told above the form."""
        return [self[name] for name in self.fields if name in self.set_by_links]

    @property
    def chosen_period(self) -> str:
        """The preset that is shown; blank where the dates rule."""
        if self.cleaned_data["first_day"] is not None:
            return ""
        return self.cleaned_data["period"] or self.usual_period()

    def usual_period(self) -> str:
        """The preset where neither a period nor dates are given."""
        return self.default_period


def _number_field(label: str, least: int, most: int) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=least, max_value=most)


SORTS = {"started": "newest first", "duration": "longest first", "customer": "by customer"}
DECISIONS = {"allowed": "Let in", "denied": "Denied at first"}
WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


class SessionFilters(RangeFilters):
    """The filters of the list of sessions."""

    tier = _choice_field("Tier")
    channel = _choice_field("Channel")
    agent = _choice_field("Agent")
    state = _choice_field("State", list(STATES.items()))
    reason = _choice_field(
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
        max_length=255,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name, number, session or external id"}),
    )
    sort = _choice_field("Sorted by", list(SORTS.items()))
    # What figures lead to.
    decision = _choice_field("Decision", list(DECISIONS.items()))
    counted = forms.BooleanField(label="Duration counts", required=False)
    seconds_from = _number_field("Lasting from", 0, 86_400)
    seconds_below = _number_field("Lasting less than", 1, 86_401)
    weekday = _number_field("Weekday", 0, 6)
    hour = _number_field("Hour", 0, 23)
    at = forms.DateTimeField(label="Going on at", required=False)
    older = CursorField(required=False)
    newer = CursorField(required=False)

    set_by_links = (
        "period", "customer", "sort", "decision", "counted", "seconds_from", "seconds_below", "weekday", "hour", "at",
        "older", "newer",
    )  # fmt: skip

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
        names = ("sort", "decision", "counted", "seconds_from", "seconds_below", "weekday", "hour", "at")
        return [(name, self.data[name]) for name in names if self.data.get(name)]

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
    def chips(self) -> list[tuple[str, str]]:
        """What links have narrowed the list to, in words, each with the filters that it stands for."""
        values = self.cleaned_data
        chips = []
        if values["decision"]:
            chips.append(("decision", DECISIONS[values["decision"]]))
        if values["counted"]:
            chips.append(("counted", "Ended with a duration that counts"))
        if values["seconds_from"] is not None:
            chips.append(("seconds_from", f"Lasting {duration_words(values['seconds_from'])} or more"))
        if values["seconds_below"] is not None:
            chips.append(("seconds_below", f"Lasting less than {duration_words(values['seconds_below'])}"))
        if values["weekday"] is not None:
            chips.append(("weekday", f"On {WEEKDAYS[values['weekday']]}"))
        if values["hour"] is not None:
            chips.append(("hour", f"From {values['hour']:02}:00 to {values['hour']:02}:59"))
        if values["at"]:
            chips.append(("at", f"Going on at {values['at'].astimezone(self.zone):%a %-d %b %Y %H:%M:%S}"))
        return chips

    def sessions(self) -> SessionQuerySet:
        """The sessions that started within the range and match every filter, in no order."""
        values = self.cleaned_data
        found = Session.objects.filter(_going_on_at(values["at"]) if values["at"] else self._started())
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
        if values["q"]:
            found = found.filter(named(values["q"], found))
        return found.filter(self._behind_figures(), _SORTED[self.order])

    def count_from_sums(self) -> int | None:
        """How many sessions match, where the sums know it: they know neither customers nor what is open."""
        values = self.cleaned_data
        is_summed = not (values["customer"] or values["q"] or self.chips) and self.order == "started"
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
        return cells.of(lambda cell: all(getattr(cell, name) == value for name, value in asked.items())).sessions

    def _started(self) -> Q:
        condition = Q(started_at__gte=self.range.starts_at, started_at__lt=self.range.ends_before)
        if self.order == "duration" and connection.vendor == "sqlite":
            first, until = self.range.starts_at, self.range.ends_before
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
        if values["decision"]:
            condition &= Q(allowed=values["decision"] == "allowed")
        if values["counted"] or values["seconds_from"] is not None or values["seconds_below"] is not None:
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
    going_on = (TIMED & Q(GreaterThan(_ENDS, moment))) | (NO_END & Q(open_until__gt=moment) & undeclared)
    return Q(started_at__lte=moment, started_at__gte=moment - LONGEST_WITHOUT_END) & going_on


# SQLite would take the index of starts and sort what it finds; so it goes through that of durations, in order.
_PLAIN_START = Func(F("started_at"), template="+%(expressions)s", output_field=DateTimeField())
_DURATION = ExpressionWrapper(F("duration_seconds") * timedelta(seconds=1), output_field=DurationField())
_ENDS = ExpressionWrapper(F("started_at") + _DURATION, output_field=DateTimeField())
