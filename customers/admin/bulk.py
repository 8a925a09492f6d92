"""One edit of the customers that were chosen in their list: a form, then what it would change, then it is done."""

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

from customers.admin.pages import admin_page, counted
from customers.bulk_edits import Write, change_tier, edit_all, give_override, in_the_way
from customers.editing import OverrideValues, check_period
from customers.labels import with_named_parts
from customers.limits import Metric
from customers.models import Agent, Channel, Customer, LimitOverride, Tier
from customers.models.limits import METRIC_CHOICES, PERIOD_CHOICES

Chosen = QuerySet[Customer]


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
        min_value=0, max_value=2**31 - 1, required=False, help_text="0: none at all. Blank: unlimited."
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
    left: Chosen
    left_because: tuple[str, str]
    write: Write


@dataclass(frozen=True)
class BulkEdit:
    title: str
    form: type[forms.Form]
    plan: Callable[[Any, Chosen], Plan]


def _plan_tier(form: TierForm, chosen: Chosen) -> Plan:
    tier: Tier = form.cleaned_data["tier"]
    return Plan(
        f"Tier: {tier}.", chosen.filter(tier=tier), ("is on it already", "are on it already"), change_tier(tier)
    )


def _plan_override(form: OverrideForm, chosen: Chosen) -> Plan:
    values = form.values()
    until = date_format(timezone.localtime(values.valid_until), "D j M Y, H:i")
    having = chosen.filter(pk__in=in_the_way(values).values("customer"))
    rest = "an override of this kind in that time already, which stays"
    because = (f"has {rest}", f"have {rest}")
    return Plan(f"Override: {LimitOverride(**vars(values))}, until {until}.", having, because, give_override(values))


EDITS = {
    "change_tier": BulkEdit("Change the tier of", TierForm, _plan_tier),
    "give_override": BulkEdit("Give an override to", OverrideForm, _plan_override),
}


def bulk_edit(
    model_admin: admin.ModelAdmin, request: HttpRequest, chosen: Chosen, name: str
) -> HttpResponseBase | None:
    """Shows the form, then the plan; does it once that is confirmed. None: the list is shown again."""
    edit = EDITS[name]
    chosen = chosen.prefetch_related(None).order_by("pk")
    # Callers who become customers in between are not among those that were counted.
    newest = _number(request.POST.get("newest")) or chosen.values_list("pk", flat=True).last() or 0
    chosen = chosen.filter(pk__lte=newest)
    was_sent = "preview" in request.POST or "apply" in request.POST
    form = edit.form(request.POST if was_sent else None, prefix="edit")
    plan = edit.plan(form, chosen) if was_sent and form.is_valid() else None
    after, done = _number(request.POST.get("after")) or 0, _number(request.POST.get("done")) or 0
    has_failed = False
    if plan is not None and "apply" in request.POST:
        progress = edit_all(chosen, plan.write, plan.what, request.user, after=after)  # type: ignore[arg-type]
        done += progress.changed
        if progress.is_through:
            text = f"{plan.what} {counted(done, 'customer')} changed."
            model_admin.message_user(request, text, messages.SUCCESS)
            return None
        after, has_failed = progress.last, progress.has_failed
    total = chosen.count()
    left = plan.left.count() if plan else 0
    context = {
        "title": f"{edit.title} {counted(total, 'customer')}",
        "action": name,
        "form": form,
        "plan": plan,
        "total": total,
        "left": left,
        "left_because": plan.left_because[left != 1] if plan else "",
        "changes": total - left,
        "after": after,
        "done": done,
        "has_begun": "apply" in request.POST,
        "has_failed": has_failed,
        "rest": chosen.filter(pk__gt=after).count(),
        "newest": newest,
        "select_across": request.POST.get("select_across", "0"),
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "checkbox": ACTION_CHECKBOX_NAME,
        "back": request.get_full_path(),
        "media": model_admin.media + form.media,
    }
    return admin_page(request, "admin/customers/customer/bulk.html", context, of=model_admin)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
