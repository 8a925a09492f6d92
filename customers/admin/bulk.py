"""One edit of the customers that were chosen in their list: a form, then what it would change, then it is done."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
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

from customers.admin.chosen import chosen_before, chosen_keys, in_slices, packed
from customers.admin.pages import admin_page, counted
from customers.bulk_edits import Progress, Write, edit_all, getting_less, give_override, having_one, set_field
from customers.editing import OverrideValues, check_period
from customers.labels import with_named_parts
from customers.limits import MOST_AMOUNT, TOO_MUCH, Metric
from customers.models import Agent, Channel, Customer, LimitOverride, Tier
from customers.models.limits import METRIC_CHOICES, PERIOD_CHOICES
from customers.years import check_year


class TierForm(forms.Form):
    tier = forms.ModelChoiceField(Tier.objects.filter(is_active=True), empty_label="Choose one")


class ActivateForm(forms.Form):
    blocked_too = forms.BooleanField(
        required=False, label="Let in those who are blocked, too", help_text="Off: who is blocked stays so."
    )


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
    valid_until = forms.SplitDateTimeField(
        validators=[check_year], widget=AdminSplitDateTime, help_text="Up to but not including."
    )
    channel = forms.ModelChoiceField(Channel.objects.all(), required=False, empty_label="all channels")
    agent = forms.ModelChoiceField(Agent.objects.all(), required=False, empty_label="all agents")
    hard = forms.BooleanField(initial=True, required=False, help_text=LimitOverride._meta.get_field("hard").help_text)
    note = forms.CharField(max_length=200, required=False, help_text="Why, for your colleagues.")
    less_too = forms.BooleanField(
        required=False,
        label="Give it also to those who get less by it than now",
        help_text="Off: they are counted, and keep what they have.",
    )

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
class Group:
    """Customers of whom a plan says something: in words for one and for more, and which of some keys they are."""

    words: tuple[str, str]
    among: Callable[[Sequence[int]], set[int]]

    def in_words(self, count: int) -> str:
        return f"{count} {self.words[count != 1]}."


@dataclass(frozen=True)
class Plan:
    """What an edit comes to: its words, whom it leaves as they are and why, and how it is written.

    `taken` are changed, too, but the person should know of them. Who is in two groups counts in the first.
    """

    what: str
    left: Sequence[Group]
    write: Write
    taken: Sequence[Group] = ()

    def left_in_words(self, count: int) -> str:
        reasons = " or ".join(group.words[count != 1] for group in self.left)
        return f"{count} {reasons}."

    def counts(self, keys: Sequence[int]) -> list[int]:
        """How many are in each group, those that are left first."""
        found = [0] * (len(self.left) + len(self.taken))
        for some in in_slices(keys):
            seen: set[int] = set()
            for place, group in enumerate((*self.left, *self.taken)):
                members = group.among(some) - seen
                found[place] += len(members)
                seen |= members
        return found


@dataclass(frozen=True)
class BulkEdit:
    title: str
    form: type[forms.Form]
    plan: Callable[[Any], Plan]


def _with(**values: Any) -> Callable[[Sequence[int]], set[int]]:
    return lambda keys: set(Customer.objects.filter(pk__in=keys, **values).values_list("pk", flat=True))


def _plan_tier(form: TierForm) -> Plan:
    tier: Tier = form.cleaned_data["tier"]
    on_it = Group(("is on it already", "are on it already"), _with(tier=tier))
    return Plan(f"Tier: {tier}.", [on_it], set_field("tier", tier))


def _plan_override(form: OverrideForm) -> Plan:
    values = form.values()
    until = date_format(timezone.localtime(values.valid_until), "D j M Y, H:i")
    rest = "an override of this kind in that time already, which stays"
    having = Group((f"has {rest}", f"have {rest}"), lambda keys: having_one(keys, values))
    what = f"Override: {LimitOverride(**vars(values))}, until {until}."
    if form.cleaned_data["less_too"]:
        less = Group(("gets less than now", "get less than now"), lambda keys: getting_less(keys, values))
        return Plan(what, [having], give_override(values, less_too=True), [less])
    words = ("would get less than now, and is left out", "would get less than now, and are left out")
    less = Group(words, lambda keys: getting_less(keys, values))
    return Plan(what, [having, less], give_override(values))


def _plan_status(status: Customer.Status, *, blocked_too: bool = True) -> Plan:
    label = status.label.lower()
    there = Group((f"is {label} already", f"are {label} already"), _with(status=status))
    write = set_field("status", status.value, keeping=() if blocked_too else (Customer.Status.BLOCKED.value,))
    among_blocked = _with(status=Customer.Status.BLOCKED)
    if not blocked_too:
        stays = Group(("is blocked, and stays so", "are blocked, and stay so"), among_blocked)
        return Plan(f"Status: {status.label}.", [there, stays], write)
    taken = [Group(("is blocked now", "are blocked now"), among_blocked)]
    return Plan(f"Status: {status.label}.", [there], write, taken)


EDITS = {
    "change_tier": BulkEdit("Change the tier of", TierForm, _plan_tier),
    "give_override": BulkEdit("Give an override to", OverrideForm, _plan_override),
    "activate": BulkEdit(
        "Activate",
        ActivateForm,
        lambda form: _plan_status(Customer.Status.ACTIVE, blocked_too=form.cleaned_data["blocked_too"]),
    ),
    # A blocked customer who was paused would be let in again with the others who are.
    "pause": BulkEdit("Pause", forms.Form, lambda form: _plan_status(Customer.Status.PAUSED, blocked_too=False)),
    "block": BulkEdit("Block", forms.Form, lambda form: _plan_status(Customer.Status.BLOCKED)),
}

# What a page of an edit that goes on posts of its progress.
COUNTS = ("last", "changed", "left", "gone")


def bulk_edit(
    model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Customer], name: str
) -> HttpResponseBase | None:
    """Shows the form, if there is one, then the plan; does it once that is confirmed. None: the list is shown again.

    Whoever was counted on the first page is who is changed, whatever matches the list's search and filters later. Who
    is erased is not one of them.
    """
    edit = EDITS[name]
    # What no page has counted is not changed, but shown first.
    is_confirmed = "apply" in request.POST and chosen_before(request) is not None
    was_sent = is_confirmed or bool({"preview", "apply"} & set(request.POST)) or not edit.form.base_fields
    keys = chosen_keys(request, queryset.filter(erasure=None))
    form = edit.form(request.POST if was_sent else None, prefix="edit")
    plan = edit.plan(form) if was_sent and form.is_valid() else None
    last, changed, left_so_far, gone = (_number(request.POST.get(name)) for name in COUNTS)
    progress = Progress(last, changed, left_so_far, gone)
    if plan is not None and is_confirmed:
        edit_all(keys, plan.write, plan.what, request.user, progress)  # type: ignore[arg-type]
        if progress.is_through:
            model_admin.message_user(request, _outcome(plan, progress), messages.SUCCESS)
            return None
    counts = plan.counts(keys) if plan and not is_confirmed else []
    left = sum(counts[: len(plan.left)]) if plan else 0
    context = {
        "title": f"{edit.title} {counted(len(keys), 'customer')}",
        "action": name,
        "form": form,
        "plan": plan,
        "total": len(keys),
        "groups": _lines(plan, counts) if plan else [],
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


def _lines(plan: Plan, counts: Sequence[int]) -> list[str]:
    """What the preview says of each group that has somebody in it."""
    groups = zip((*plan.left, *plan.taken), counts, strict=False)
    return [group.in_words(count) for group, count in groups if count]


def _outcome(plan: Plan, progress: Progress) -> str:
    """How many were changed, and how many not, and why."""
    words = [f"{plan.what} {counted(progress.changed, 'customer')} changed."]
    if progress.left:
        words.append(plan.left_in_words(progress.left))
    if progress.gone:
        were = "was deleted, erased or merged" if progress.gone == 1 else "were deleted, erased or merged"
        words.append(f"{progress.gone} {were} meanwhile.")
    return " ".join(words)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0
