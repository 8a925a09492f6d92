"""What staff fill in to change a customer from the customer's page: more of a limit until a day, or another tier."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q

from customers.admin.stale import digest
from customers.limits import MOST_AMOUNT, Limit
from customers.models import Customer, Tier
from sessions_app.periods import ONE_DAY, local_day, starts_at
from sessions_app.usage.standing import LimitUse
from sessions_app.wording import short_number, used_number

LAST_DAY = date(2999, 12, 31)
FRIDAY = 4


def limit_name(limit: Limit) -> str:
    """Such as "Call minutes a day on telephony"."""
    words = [limit.metric.words.capitalize()]
    words += [f"a {limit.period}"] if limit.period else []
    words += [f"on {limit.channel}"] if limit.channel is not None else []
    words += [f"with agent {limit.agent_words}"] if limit.agent is not None else []
    return " ".join(words)


def limit_code(limit: Limit) -> str:
    """A limit as forms and addresses name it: short, whatever an agent's id is."""
    code = f"{limit.metric}_{limit.period}".removesuffix("_")
    return f"{code}-{digest(json.dumps([limit.channel, limit.agent]))}" if limit.has_scope else code


class Ends:
    """The days that an override can end with, by the customer's calendar, as limits and statements. Each is included.

    A month's statement goes by what holds on the month's last instant in the customer's time: so does its last day.
    """

    def __init__(self, now: datetime, zone: ZoneInfo) -> None:
        self.zone = zone
        self.today = today = local_day(now, zone)
        next_month = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
        self.days = {
            "today": today,
            "friday": today + timedelta(days=(FRIDAY - today.weekday()) % 7),
            "month": next_month - ONE_DAY,
        }

    def choices(self) -> list[tuple[str, str]]:
        return [
            ("today", f"Today, {_day_words(self.today)}"),
            ("friday", f"End of Friday, {_day_words(self.days['friday'])}"),
            ("month", f"End of the month, {_day_words(self.days['month'])}"),
            ("date", "Another day"),
        ]


def _day_words(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


class AllowMoreForm(forms.Form):
    limit = forms.ChoiceField(label="Limit")
    amount = forms.IntegerField(
        label="New limit, in all",
        min_value=0,
        max_value=MOST_AMOUNT,
        widget=forms.NumberInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        error_messages={
            "required": "Give the new limit as a whole number, such as 150.",
            "invalid": "Give the new limit as a whole number, such as 150.",
            "max_value": f"Give a new limit of {MOST_AMOUNT:,} at most, or an override without an amount in the admin.",
        },
    )
    until = forms.ChoiceField(label="Until", widget=forms.RadioSelect, required=False)
    day = forms.DateField(
        label="Day",
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": "Give a day as year, month and day, such as 2026-12-04."},
    )
    note = forms.CharField(label="Why, for your colleagues (may stay empty)", required=False, max_length=200)

    # Off: what was given already is no more than the limit is now.
    asks_for_more = True

    def __init__(self, data: Mapping[str, Any] | None, uses: list[LimitUse], ends: Ends, **options: Any) -> None:
        super().__init__(data, use_required_attribute=False, auto_id="more-%s", label_suffix="", **options)
        self.uses = {limit_code(use.limit): use for use in uses}
        self.ends = ends
        shown: Any = self.fields
        shown["limit"].choices = [(code, _limit_choice(use)) for code, use in self.uses.items()]
        shown["until"].choices = self.ends.choices()

    @property
    def chosen(self) -> LimitUse:
        return self.uses[self.cleaned_data["limit"]]

    @property
    def last_day(self) -> date:
        return self.cleaned_data["day"] or self.ends.days[self.cleaned_data["until"]]

    @property
    def ends_at(self) -> datetime:
        return starts_at(self.last_day + ONE_DAY, self.ends.zone)

    def in_words(self) -> str:
        until = f"until the end of {_day_words(self.last_day)} ({self.ends.zone.key})"
        return f"{limit_name(self.chosen.limit).lower()}, {short_number(self.cleaned_data['amount'])} {until}."

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if self.asks_for_more and {"limit", "amount"} <= given.keys():
            self._check_amount(self.uses[given["limit"]], given["amount"])
        if {"until", "day"} <= given.keys():
            self._check_end(given["until"], given["day"])
        return given

    def _check_end(self, until: str, day: date | None) -> None:
        """A day that is given is meant, also where "another day" was not clicked."""
        if day is None:
            if until == "date":
                self.add_error("day", "Give the day, such as 2026-12-04, or choose one of the others.")
            elif not until:
                self.add_error("until", "Choose until when it holds.")
        elif until in self.ends.days and self.ends.days[until] != day:
            self.add_error("day", "You chose another end above. Choose “Another day”, or empty this field.")
        elif day < self.ends.today:
            self.add_error("day", f"Give a day from today, {self.ends.today}, on.")
        elif day > LAST_DAY:
            self.add_error("day", f"Give a day up to {LAST_DAY}, or an override without an end in the admin.")

    def _check_amount(self, use: LimitUse, amount: int) -> None:
        least = max(floor(use.used or 0.0), use.limit.amount or 0) + 1
        if amount < least:
            used = f", and {used_number(use.used)} are used" if use.used else ""
            self.add_error("amount", f"Give {least:,} or more: the limit is {use.limit.amount:,} now{used}.")


def _limit_choice(use: LimitUse) -> str:
    amount = short_number(use.limit.amount or 0)
    used = "" if use.used is None else f", {used_number(use.used)} used"
    return f"{limit_name(use.limit)}: {amount} now{used}{'' if use.limit.hard else ' (soft)'}"


class ChangeTierForm(forms.Form):
    tier = forms.ModelChoiceField(
        Tier.objects.none(),
        label="Tier",
        widget=forms.RadioSelect,
        empty_label=None,
        error_messages={
            "required": "Choose a tier.",
            "invalid_choice": "This tier is not offered any more. Choose another one.",
        },
    )

    day = forms.DateField(
        label="From this day on (empty: at once)",
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": "Give a day as year, month and day, such as 2026-12-01."},
    )
    note = forms.CharField(label="Why, for your colleagues (may stay empty)", required=False, max_length=200)

    def __init__(self, data: Mapping[str, Any] | None, customer: Customer, now: datetime, zone: ZoneInfo) -> None:
        super().__init__(
            data, initial={"tier": customer.tier}, use_required_attribute=False, auto_id="tier-%s", label_suffix=""
        )
        self.zone = zone
        self.today = local_day(now, zone)
        shown: Any = self.fields["tier"]
        offered = Tier.objects.filter(Q(is_active=True) | Q(pk=customer.tier_id))
        shown.queryset = offered.order_by("name").prefetch_related("limits__agent")
        shown.label_from_instance = _tier_choice

    @property
    def from_when(self) -> datetime | None:
        """The first instant of the day in the customer's time; None for at once."""
        day = self.cleaned_data["day"]
        return starts_at(day, self.zone) if day else None

    def from_words(self) -> str:
        return f"from {_day_words(self.cleaned_data['day'])} on ({self.zone.key})"

    def clean_day(self) -> date | None:
        day: date | None = self.cleaned_data["day"]
        if day is not None and not self.today < day <= LAST_DAY:
            raise ValidationError(f"Give a day after today, {self.today}, up to {LAST_DAY}, or none: at once.")
        return day


def _tier_choice(tier: Tier) -> str:
    return f"{tier} – {', '.join(str(limit) for limit in tier.limits.all()) or 'unlimited'}"
