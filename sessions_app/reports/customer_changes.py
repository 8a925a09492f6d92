"""What staff change from a customer's page: more of a limit for a while, another tier, paused or let in again.

Each is stored by the functions, and with the history, that the admin and the API have.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from customers.admin.stale import STATE_FIELD, are_last_by, digest, rows_of, stale_words
from customers.editing import CustomerIsErased, bring_instance, is_erased, lock_customer
from customers.granting import allow_more
from customers.history import Part, history_of, history_points, records_of
from customers.limits import MOST_AMOUNT, Metric
from customers.models import Customer, CustomerChange, LimitOverride, PhoneNumber, TopUp
from customers.scheduling import cancel, planned_of_customer, schedule_tier
from customers.topping_up import add_top_up
from sessions_app.reports.change_forms import AllowMoreForm, ChangeTierForm, Ends, limit_code
from sessions_app.reports.frame.pages import action, page
from sessions_app.reports.outlook import OutlookLine, outlook_lines
from sessions_app.reports.top_ups import AddTopUpForm, is_added
from sessions_app.usage.outlook import ready_for_outlook, setting_at
from sessions_app.usage.standing import LimitUse, Standing, standings

CHANGE_CUSTOMERS = "customers.change_customer"
ALLOW_MORE = (CHANGE_CUSTOMERS, "customers.add_limitoverride", "customers.change_limitoverride")
ADD_TOP_UP = (CHANGE_CUSTOMERS, "customers.add_topup")
PARTS = (
    Part(PhoneNumber, "customer"),
    Part(LimitOverride, "customer"),
    Part(TopUp, "customer"),
    Part(CustomerChange, "customer"),
)
STATUS_SAID = {
    Customer.Status.ACTIVE: "{} is active: let in again, as far as the limits allow.",
    Customer.Status.PAUSED: "{} is paused: every session is denied until somebody lets this customer in again.",
}


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
# What a valid form stores, in words.
Store = Callable[[Any, Customer, datetime], str]
# The same of what was sent where it is stored already; blank where it is not.
Stored = Callable[[Standing, datetime], str]


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
        limit, amount, note = form.chosen.limit, form.cleaned_data["amount"], form.cleaned_data["note"]
        assert isinstance(request.user, User)
        told = allow_more(customer, limit, amount, form.ends_at, now=now, author=request.user, note=note)
        return " ".join([f"{customer}: {form.in_words()}", *told])

    def stored(standing: Standing, now: datetime) -> str:
        form = AllowMoreForm(request.POST, list(standing.uses), Ends(now, standing.zone))
        form.asks_for_more = False
        if not form.is_valid():
            return ""
        given = form.cleaned_data
        found = LimitOverride.objects.valid_at(now).filter(customer=pk, valid_until=form.ends_at)
        is_stored = any(
            (override.as_limit().key, override.amount) == (form.chosen.limit.key, given["amount"])
            and given["note"] in ("", override.note)
            for override in found
        )
        return f"{standing.customer}: {form.in_words()}" if is_stored else ""

    return _edited(request, pk, "reports/allow_more.html", "Allow more", make, store, stored)


@action(*ADD_TOP_UP)
def top_up(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask for a top-up, and add it."""

    def make(data: Mapping[str, Any] | None, standing: Standing, lines: list[OutlookLine], now: datetime) -> forms.Form:
        return AddTopUpForm(data, Ends(now, standing.zone), request.GET.get("metric", ""))

    def store(form: AddTopUpForm, customer: Customer, now: datetime) -> str:
        given = form.cleaned_data
        assert isinstance(request.user, User)
        add_top_up(
            customer,
            given["metric"],
            given["amount"],
            now,
            form.valid_until,
            given["note"],
            author=request.user,
        )
        return f"{customer}: {form.in_words()}"

    def stored(standing: Standing, now: datetime) -> str:
        form = AddTopUpForm(request.POST, Ends(now, standing.zone))
        if not form.is_valid() or not is_added(standing.customer, form):
            return ""
        return f"{standing.customer}: {form.in_words()}"

    return _edited(request, pk, "reports/add_top_up.html", "Add a top-up", make, store, stored)


@action(CHANGE_CUSTOMERS)
def tier(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ask for another tier, and change it."""

    def make(data: Mapping[str, Any] | None, standing: Standing, lines: list[OutlookLine], now: datetime) -> forms.Form:
        return ChangeTierForm(data, standing.customer, now, standing.zone)

    def store(form: ChangeTierForm, customer: Customer, now: datetime) -> str:
        wanted, note = form.cleaned_data["tier"], form.cleaned_data["note"]
        if form.from_when is not None:
            assert isinstance(request.user, User)
            try:
                schedule_tier(customer, wanted, form.from_when, note=note, author=request.user)
            except ValidationError as error:  # the form calls the moment a day
                raise ValidationError(error.messages) from error
            return f"{customer} is on tier {wanted} {form.from_words()}."
        is_changed = bring_instance(customer, {"tier": wanted}, note)
        return f"{customer} is on tier {customer.tier}." if is_changed else f"{customer} stays on tier {customer.tier}."

    def stored(standing: Standing, now: datetime) -> str:
        customer = standing.customer
        form = ChangeTierForm(request.POST, customer, now, standing.zone)
        if form.is_valid() and form.from_when is not None:
            found = planned_of_customer(customer).filter(tier=form.cleaned_data["tier"], starts_at=form.from_when)
            return f"{customer} is on tier {form.cleaned_data['tier']} {form.from_words()}." if found else ""
        is_stored = request.POST.get("tier") == str(customer.tier_id)
        return f"{customer} is on tier {customer.tier}." if is_stored else ""

    return _edited(request, pk, "reports/change_tier.html", "Change tier", make, store, stored)


@action(CHANGE_CUSTOMERS)
def cancel_change(request: HttpRequest, pk: int, change: int) -> HttpResponseBase:
    """Cancel another tier that is scheduled: a button of the customer's page."""
    address = reverse("reports:customer", args=[pk])
    if request.method != "POST":
        return HttpResponseRedirect(address)
    with transaction.atomic():
        customer = _locked(pk)
        found = CustomerChange.objects.select_related("tier").filter(customer=customer, pk=change).first()
        if found is None:
            messages.warning(request, "Nothing was changed: it was cancelled meanwhile.")
            return HttpResponseRedirect(address)
        try:
            cancel(found)
            is_last = not planned_of_customer(customer).exists()
            told = f"{customer} stays on tier {customer.tier}." if is_last else "what else is scheduled stays."
            messages.success(request, f"Cancelled: {told}")
        except ValidationError as error:
            messages.error(request, f"Nothing was changed. {' '.join(error.messages)}")
    return HttpResponseRedirect(address)


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
        if customer.status == wanted != shown and _last_changed_by(customer) == request.user.pk:
            # Sent twice, as by a double click.
            messages.success(request, STATUS_SAID[Customer.Status(wanted)].format(customer))
        elif customer.status != shown:
            text = f"Nothing was changed: {customer} is {customer.get_status_display().lower()} meanwhile. Look again."
            messages.warning(request, text)
        else:
            bring_instance(customer, {"status": wanted})
            messages.success(request, STATUS_SAID[Customer.Status(wanted)].format(customer))
    return HttpResponseRedirect(address)


def _last_changed_by(customer: Customer) -> int | None:
    records = records_of(Customer)._base_manager.filter(id=customer.pk).order_by("-history_date", "-history_id")
    last: int | None = records.values_list("history_user_id", flat=True).first()
    return last


def _edited(
    request: HttpRequest, pk: int, template: str, what: str, make: Make, store: Store, stored: Stored
) -> HttpResponseBase:
    """A form of one customer, as the admin has it: stored under the customer's lock, and refused where it is stale.

    One's own that is sent twice is answered as the first was.
    """
    address = reverse("reports:customer", args=[pk])
    if is_erased(get_object_or_404(Customer.objects.select_related("erasure"), pk=pk)):
        return HttpResponseRedirect(address)
    if request.method != "POST":
        return _form_page(request, pk, template, what, make)
    with transaction.atomic():
        customer = _locked(pk)
        now = timezone.now()
        standing, lines = _standing(pk, now)
        shown = _read_shown(request.POST.get(STATE_FIELD, ""))
        if shown is None or shown.rows != digest(rows_of(Customer, pk, PARTS)):
            changes = history_of(Customer, pk, PARTS, after=shown.seen) if shown else []
            if are_last_by(request.user, changes) and (said := stored(standing, now)):
                messages.success(request, said)
                return HttpResponseRedirect(address)
            stale = stale_words(request.user, shown is not None, changes)
            return _form_page(request, pk, template, what, make, stale=stale)
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
