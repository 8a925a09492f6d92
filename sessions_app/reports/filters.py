"""What a page of sessions is asked for: the filters in its address, checked, and the sessions that they leave."""

import re
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q
from django.http import QueryDict
from django.utils import timezone

from customers.models import Agent, Channel, Customer, Tier
from customers.phones import phone_key
from sessions_app.decision import Reason
from sessions_app.models import Session, SessionQuerySet
from sessions_app.periods import local_day
from sessions_app.reports.cursors import CursorField
from sessions_app.reports.ranges import PRESETS, DayRange, preset_range
from sessions_app.wording import REASONS, STATES, reason_words

MOST_DAYS = 366
# No slug, channel or agent id of LiveTok's looks like this.
WITHOUT = "(none)"
DEFAULT_PERIOD = "7d"
# Who looks for one session or one customer should find more than last week's.
DEFAULT_SEARCH_PERIOD = "90d"

_SEPARATORS = re.compile(r"[\s\-.()\[\]+]")


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
    def chosen_period(self) -> str:
        """The preset that is shown; blank where the dates rule."""
        if self.cleaned_data["first_day"] is not None:
            return ""
        return self.cleaned_data["period"] or self.usual_period()

    def usual_period(self) -> str:
        """The preset where neither a period nor dates are given."""
        return self.default_period


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
    older = CursorField(required=False)
    newer = CursorField(required=False)

    def __init__(self, data: QueryDict, now: datetime) -> None:
        super().__init__(data, now)
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
        return any(self.cleaned_data[name] for name in names)

    def sessions(self) -> SessionQuerySet:
        """The sessions that started within the range and match every filter, in no order."""
        values = self.cleaned_data
        found = Session.objects.filter(started_at__gte=self.range.starts_at, started_at__lt=self.range.ends_before)
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
            found = found.filter(_names(values["q"]))
        return found


def _names(text: str) -> Q:
    """Sessions by their id; by the first or last digits of the number; by the customer's external id, or the
    beginning of the name."""
    named = Customer.objects.filter(Q(name__istartswith=text) | Q(external_id=text))
    found = Q(session_id=text) | Q(external_id=text) | Q(customer__in=named)
    digits = _SEPARATORS.sub("", text)
    if digits.isdecimal() and digits.isascii():
        found |= Q(phone_key__startswith="+" + digits) | Q(phone_key__endswith=digits)
    try:
        key = phone_key(text, settings.PHONE_REGION)
    except ValueError:
        key = None
    return found | Q(phone_key__startswith=key) if key else found
