"""What staff change from a customer's page: more of a limit for a while, another tier, paused or let in again.

Each is stored by the functions, and with the history, that the admin and the API have.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from customers.admin.stale import STATE_FIELD, digest, rows_of
from customers.editing import CustomerIsErased, bring_instance, lock_customer
from customers.granting import allow_more
from customers.history import Part, history_of, history_points
from customers.limits import Limit, Metric
from customers.models import Customer, LimitOverride, PhoneNumber, Tier
from sessions_app.periods import ONE_DAY, local_day, starts_at
from sessions_app.reports.frame.pages import action, page
from sessions_app.reports.outlook import OutlookLine, outlook_lines
from sessions_app.usage.outlook import ready_for_outlook, setting_at
from sessions_app.usage.standing import LimitUse, Standing, standings
from sessions_app.wording import short_number

CHANGE_CUSTOMERS = "customers.change_customer"
ALLOW_MORE = (CHANGE_CUSTOMERS, "customers.add_limitoverride", "customers.change_limitoverride")
PARTS = (Part(PhoneNumber, "customer"), Part(LimitOverride, "customer"))
MOST_AMOUNT = 1_000_000_000
LAST_DAY = date(2999, 12, 31)
FRIDAY = 4
STATUS_SAID = {
    Customer.Status.ACTIVE: "{} is active: let in again, as far as the limits allow.",
    Customer.Status.PAUSED: "{} is paused: every session is denied until somebody lets this customer in again.",
}


def limit_name(limit: Limit) -> str:
    """Such as "Call minutes a day on telephony"."""
    words = [limit.metric.words.capitalize()]
    words += [f"a {limit.period}"] if limit.period else []
    words += [f"on {limit.channel}"] if limit.channel is not None else []
    words += [f"with agent {limit.agent}"] if limit.agent is not None else []
    return " ".join(words)


def limit_code(limit: Limit) -> str:
    """A limit as forms and addresses name it: short, whatever an agent's id is."""
    code = f"{limit.metric}_{limit.period}".removesuffix("_")
    return f"{code}-{digest(json.dumps([limit.channel, limit.agent]))}" if limit.has_scope else code


def may_allow_more(user: Any, standing: Standing) -> bool:
    return bool(_raisable(standing)) and bool(user.has_perms(ALLOW_MORE))


def _raisable(standing: Standing) -> list[LimitUse]:
    """What can be given more of, hard limits first."""
    found = [use for use in standing.uses if use.limit.amount is not None and use.limit.amount < MOST_AMOUNT]
    return sorted(found, key=lambda use: not use.limit.hard)


def _proposed(uses: list[LimitUse], lines: list[OutlookLine]) -> str:
    """The limit that denies, else the fullest, call minutes before others."""
    denying = (line.outlook.decision.decisive for line in lines if not line.is_allowed)
    by_limit = next((check.limit for check in denying if check is not None and check.limit is not None), None)
    fullest = max(
        uses, key=lambda use: (use.limit.hard, use.share or 0.0, use.limit.metric is Metric.CALL_MINUTES)
    ).limit
    return limit_code(by_limit or fullest)


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

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if {"limit", "amount"} <= given.keys():
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
            used = f", and {short_number(use.used)} are used" if use.used else ""
            self.add_error("amount", f"Give {least} or more: the limit is {use.limit.amount} now{used}.")


def _limit_choice(use: LimitUse) -> str:
    amount = short_number(use.limit.amount or 0)
    used = "" if use.used is None else f", {short_number(use.used)} used"
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

    def __init__(self, data: Mapping[str, Any] | None, customer: Customer) -> None:
        super().__init__(
            data, initial={"tier": customer.tier}, use_required_attribute=False, auto_id="tier-%s", label_suffix=""
        )
        shown: Any = self.fields["tier"]
        offered = Tier.objects.filter(Q(is_active=True) | Q(pk=customer.tier_id))
        shown.queryset = offered.order_by("name").prefetch_related("limits")
        shown.label_from_instance = _tier_choice


def _tier_choice(tier: Tier) -> str:
    return f"{tier} – {', '.join(str(limit) for limit in tier.limits.all()) or 'unlimited'}"


@dataclass(frozen=True)
class Shown:
    """What a form showed of a customer, as one digest of all that the admin's form has one for each field of."""

    rows: str
    seen: dict[str, int]

    def __str__(self) -> str:
        return json.dumps([self.rows, self.seen], separators=(",", ":"))


def _read_shown(text: str) -> Shown | None:
    try:
        rows, seen = json.loads(text)
        return Shown(str(rows), {name: int(number) for name, number in seen.items()})
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


Make = Callable[[Mapping[str, Any] | None, Standing, list[OutlookLine], datetime], forms.Form]
Store = Callable[[Any, Customer, datetime], str]


@action(*ALLOW_MORE)
def more(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask for more of a limit until a day, and give it."""

    def make(data: Mapping[str, Any] | None, standing: Standing, lines: list[OutlookLine], now: datetime) -> forms.Form:
        uses = _raisable(standing)
        asked = request.GET.get("limit", "")
        codes = [limit_code(use.limit) for use in uses]
        proposed = asked if asked in codes else _proposed(uses, lines) if uses else ""
        return AllowMoreForm(data, uses, Ends(now, standing.zone), initial={"limit": proposed})

    def store(form: AllowMoreForm, customer: Customer, now: datetime) -> str:
        limit, amount = form.chosen.limit, form.cleaned_data["amount"]
        note = form.cleaned_data["note"]
        assert isinstance(request.user, User)
        told = allow_more(customer, limit, amount, form.ends_at, now=now, author=request.user, note=note)
        until = f"until the end of {_day_words(form.last_day)} ({form.ends.zone.key})"
        return " ".join([f"{customer}: {limit_name(limit).lower()}, {short_number(amount)} {until}.", *told])

    return _edited(request, pk, "reports/allow_more.html", "Allow more", make, store)


@action(CHANGE_CUSTOMERS)
def tier(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask for another tier, and change it."""

    def make(data: Mapping[str, Any] | None, standing: Standing, lines: list[OutlookLine], now: datetime) -> forms.Form:
        return ChangeTierForm(data, standing.customer)

    def store(form: ChangeTierForm, customer: Customer, now: datetime) -> str:
        is_changed = bring_instance(customer, {"tier": form.cleaned_data["tier"]})
        return f"{customer} is on tier {customer.tier}." if is_changed else f"{customer} stays on tier {customer.tier}."

    return _edited(request, pk, "reports/change_tier.html", "Change tier", make, store)


@action(CHANGE_CUSTOMERS)
def status(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Pause a customer, or let the customer in again: a button of the customer's page."""
    address = reverse("reports:customer", args=[pk])
    if request.method != "POST":
        return HttpResponseRedirect(address)
    wanted, shown = request.POST.get("status", ""), request.POST.get("shown", "")
    if wanted not in STATUS_SAID:
        messages.error(request, "Nothing was changed: choose Pause or Let in again.")
        return HttpResponseRedirect(address)
    with transaction.atomic():
        customer = _locked(pk)
        if customer.status != shown:
            text = f"Nothing was changed: {customer} is {customer.get_status_display().lower()} meanwhile. Look again."
            messages.warning(request, text)
        else:
            bring_instance(customer, {"status": wanted})
            messages.success(request, STATUS_SAID[Customer.Status(wanted)].format(customer))
    return HttpResponseRedirect(address)


def _edited(request: HttpRequest, pk: int, template: str, what: str, make: Make, store: Store) -> HttpResponseBase:
    """A form of one customer, as the admin has it: stored under the customer's lock, and refused where it is stale."""
    address = reverse("reports:customer", args=[pk])
    if request.method != "POST":
        return _form_page(request, pk, template, what, make)
    with transaction.atomic():
        customer = _locked(pk)
        shown = _read_shown(request.POST.get(STATE_FIELD, ""))
        if shown is None or shown.rows != digest(rows_of(Customer, pk, PARTS)):
            changes = history_of(Customer, pk, PARTS, after=shown.seen) if shown else []
            return _form_page(
                request, pk, template, what, make, stale={"is_known": shown is not None, "changes": changes}
            )
        now = timezone.now()
        standing, lines = _standing(pk, now)
        form = make(request.POST, standing, lines, now)
        if form.is_valid():
            try:
                with transaction.atomic():
                    messages.success(request, store(form, customer, now))
            except ValidationError as error:
                form.add_error(None, error)
            else:
                return HttpResponseRedirect(address)
    # The lock is gone: what somebody saves by now is not what the person has seen, and the form is as old as it was.
    return _form_page(request, pk, template, what, make, form=form, shown=shown)


def _locked(pk: int) -> Customer:
    try:
        return lock_customer(pk)
    except (Customer.DoesNotExist, CustomerIsErased):  # pages of erased customers have no such buttons
        raise Http404 from None


def _standing(pk: int, now: datetime) -> tuple[Standing, list[OutlookLine]]:
    found = ready_for_outlook(Customer.objects.filter(pk=pk), now).first()
    if found is None:
        raise Http404
    standing = standings([found], now)[pk]
    return standing, outlook_lines(standing, setting_at(now))


def _form_page(
    request: HttpRequest,
    pk: int,
    template: str,
    what: str,
    make: Make,
    *,
    form: forms.Form | None = None,
    shown: Shown | None = None,
    stale: dict[str, Any] | None = None,
) -> HttpResponseBase:
    # Before the form reads, never after: what is saved in between is then refused, rather than overlooked.
    state = shown or Shown(digest(rows_of(Customer, pk, PARTS)), history_points(Customer, PARTS))
    now = timezone.now()
    standing, lines = _standing(pk, now)
    if form is None:
        form = make(request.POST if stale else None, standing, lines, now)
    context = {
        "title": f"{what}: {standing.customer}",
        "what": what,
        "customer": standing.customer,
        "zone": standing.zone.key,
        "outlook": lines,
        "form": form,
        "can_raise": bool(_raisable(standing)),
        "shown_state": state,
        "stale": stale,
        "address": reverse("reports:customer", args=[pk]),
    }
    return page(request, template, context, status=200 if form.is_bound is False else 409 if stale else 400)
