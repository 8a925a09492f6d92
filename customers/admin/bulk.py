"""One edit of the customers that were chosen in their list: a form, then what it would change, then it is done."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.formats import date_format

from customers.admin.chosen import chosen_before, chosen_keys, count_among, packed
from customers.admin.pages import admin_page, counted
from customers.bulk_edits import Progress, Write, edit_all, give_override, in_the_way, set_field
from customers.editing import OverrideValues, check_period
from customers.labels import with_named_parts
from customers.limits import MOST_AMOUNT, TOO_MUCH, Metric
from customers.models import Agent, Channel, Customer, LimitOverride, Tier
from customers.models.limits import METRIC_CHOICES, PERIOD_CHOICES


class TierForm(forms.Form):
    tier = forms.ModelChoiceField(Tier.objects.filter(is_active=True), empty_label="Choose one")


class OverrideForm(forms.Form):
    metric = forms.ChoiceField(choices=METRIC_CHOICES, initial=Metric.CALL_MINUTES.value)
    period = forms.ChoiceField(
        choices=[("", "none"), *PERIOD_CHOICES],
        required=False,
        initial="day",
        help_text="None for concurrent sessions alone.",
    )
    amount = forms.IntegerField(
        min_value=0,
        max_value=MOST_AMOUNT,
        required=False,
        error_messages={"max_value": TOO_MUCH},
        help_text="0: none at all. Blank: unlimited.",
    )
    valid_until = forms.SplitDateTimeField(widget=AdminSplitDateTime, help_text="Up to but not including.")
    channel = forms.ModelChoiceField(Channel.objects.all(), required=False, empty_label="all channels")
    agent = forms.ModelChoiceField(Agent.objects.all(), required=False, empty_label="all agents")
    hard = forms.BooleanField(initial=True, required=False, help_text=LimitOverride._meta.get_field("hard").help_text)
    note = forms.CharField(max_length=200, required=False, help_text="Why, for your colleagues.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = timezone.get_current_timezone_name()
        self.fields["valid_until"].label = f"Valid until ({zone})"
        with_named_parts(self.fields["valid_until"])

    def clean_valid_until(self) -> datetime:
        until: datetime = self.cleaned_data["valid_until"]
        if until <= timezone.now():
            raise ValidationError("Give a time that is still to come.")
        return until

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "metric" in cleaned and "period" in cleaned:
            try:
                check_period(Metric(cleaned["metric"]), cleaned["period"])
            except ValidationError as error:
                self.add_error("period", error.messages)
        return cleaned

    def values(self) -> OverrideValues:
        data = self.cleaned_data
        values = {name: data[name] for name in ("metric", "period", "amount", "hard", "valid_until", "note")}
        scope = {f"{name}_id": data[name].pk if data[name] else None for name in ("channel", "agent")}
        return OverrideValues(**{**values, **scope})


@dataclass(frozen=True)
class Plan:
    """What an edit comes to: its words, whom it leaves as they are and why (of one, of more), how it is written."""

    what: str
    left: QuerySet[Customer]
    left_because: tuple[str, str]
    write: Write

    def left_in_words(self, count: int) -> str:
        return f"{count} {self.left_because[count != 1]}."


@dataclass(frozen=True)
class BulkEdit:
    title: str
    form: type[forms.Form]
    plan: Callable[[Any], Plan]


def _plan_tier(form: TierForm) -> Plan:
    tier: Tier = form.cleaned_data["tier"]
    on_it = Customer.objects.filter(tier=tier)
    return Plan(f"Tier: {tier}.", on_it, ("is on it already", "are on it already"), set_field("tier", tier))


def _plan_override(form: OverrideForm) -> Plan:
    values = form.values()
    until = date_format(timezone.localtime(values.valid_until), "D j M Y, H:i")
    having = Customer.objects.filter(pk__in=in_the_way(values).values("customer"))
    rest = "an override of this kind in that time already, which stays"
    because = (f"has {rest}", f"have {rest}")
    return Plan(f"Override: {LimitOverride(**vars(values))}, until {until}.", having, because, give_override(values))


def _status_edit(title: str, status: Customer.Status) -> BulkEdit:
    because = (f"is {status.label.lower()} already", f"are {status.label.lower()} already")
    plan = Plan(
        f"Status: {status.label}.", Customer.objects.filter(status=status), because, set_field("status", status.value)
    )
    return BulkEdit(title, forms.Form, lambda form: plan)


EDITS = {
    "change_tier": BulkEdit("Change the tier of", TierForm, _plan_tier),
    "give_override": BulkEdit("Give an override to", OverrideForm, _plan_override),
    "activate": _status_edit("Activate", Customer.Status.ACTIVE),
    "pause": _status_edit("Pause", Customer.Status.PAUSED),
    "block": _status_edit("Block", Customer.Status.BLOCKED),
}

# What a page of an edit that goes on posts of its progress.
COUNTS = ("last", "changed", "left", "gone")


def bulk_edit(
    model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Customer], name: str
) -> HttpResponseBase | None:
    """Shows the form, if there is one, then the plan; does it once that is confirmed. None: the list is shown again.

    Whoever was counted on the first page is who is changed, whatever matches the list's search and filters later.
    """
    edit = EDITS[name]
    # What no page has counted is not changed, but shown first.
    is_confirmed = "apply" in request.POST and chosen_before(request) is not None
    was_sent = is_confirmed or bool({"preview", "apply"} & set(request.POST)) or not edit.form.base_fields
    keys = chosen_keys(request, queryset)
    form = edit.form(request.POST if was_sent else None, prefix="edit")
    plan = edit.plan(form) if was_sent and form.is_valid() else None
    last, changed, left_so_far, gone = (_number(request.POST.get(name)) for name in COUNTS)
    progress = Progress(last, changed, left_so_far, gone)
    if plan is not None and is_confirmed:
        edit_all(keys, plan.write, plan.what, request.user, progress)  # type: ignore[arg-type]
        if progress.is_through:
            model_admin.message_user(request, _outcome(plan, progress), messages.SUCCESS)
            return None
    left = count_among(keys, plan.left) if plan and not is_confirmed else 0
    context = {
        "title": f"{edit.title} {counted(len(keys), 'customer')}",
        "action": name,
        "form": form,
        "plan": plan,
        "total": len(keys),
        "left": plan.left_in_words(left) if plan and left else "",
        "changes": len(keys) - left,
        "progress": progress,
        "has_begun": is_confirmed,
        "rest": len(keys) - bisect_right(keys, progress.last),
        "chosen": packed(keys),
        "one": keys[0] if keys else "",
        "checkbox": ACTION_CHECKBOX_NAME,
        "back": request.get_full_path(),
        "media": model_admin.media + form.media,
    }
    return admin_page(request, "admin/customers/customer/bulk.html", context, of=model_admin)


def _outcome(plan: Plan, progress: Progress) -> str:
    """How many were changed, and how many not, and why."""
    words = [f"{plan.what} {counted(progress.changed, 'customer')} changed."]
    if progress.left:
        words.append(plan.left_in_words(progress.left))
    if progress.gone:
        were = "was deleted or merged into another one" if progress.gone == 1 else "were deleted or merged into others"
        words.append(f"{progress.gone} {were} meanwhile.")
    return " ".join(words)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0
