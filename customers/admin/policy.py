"""The policy, which is one row, and the denial messages beside it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string

from customers.admin.pages import HistoryAdmin, counted, without_related_links
from customers.defaults import the_policy
from customers.models import DenialMessage, Policy


class PolicyForm(forms.ModelForm):
    """Denying everybody takes a second word: one wrong click would turn away every call."""

    deny_all_confirmed = forms.BooleanField(required=False, label="Yes, deny all")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if is_to_deny_all(self.data, self.instance) and not cleaned.get("deny_all_confirmed"):
            self.add_error("deny_all_confirmed", f"{_turned_away()} Tick this and save again, or choose another.")
        return cleaned


def is_to_deny_all(given: Mapping[str, Any], stored: Policy) -> bool:
    """Whether nobody is denied so now: a switch that ended by itself is stored still."""
    deny_all = Policy.Emergency.DENY_ALL
    return given.get("emergency") == deny_all and stored.emergency_at(timezone.now()) != deny_all


def _turned_away() -> str:
    calls: Callable[[datetime], tuple[int, float | None]] = import_string(settings.CALLS_AN_HOUR)
    last, usual = calls(timezone.now())
    text = f"Every caller would be turned away: {counted(last, 'call')} came in the last hour"
    return f"{text}, {usual:.0f} is usual for this hour of the week." if usual is not None else f"{text}."


@admin.register(Policy)
class PolicyAdmin(HistoryAdmin):
    form = PolicyForm
    confirmations = ["deny_all_confirmed"]
    change_form_template = "admin/customers/policy/change_form.html"
    radio_fields = {
        "unknown_callers": admin.HORIZONTAL,
        "callers_without_number": admin.HORIZONTAL,
        "limits_in_answer": admin.HORIZONTAL,
        "emergency": admin.VERTICAL,
    }
    fieldsets = [
        (
            "Emergency switch",
            {
                "fields": ["emergency", "emergency_until"],
                "description": "Stands above every other rule. A banner is on all pages while it is on.",
            },
        ),
        ("Unknown callers", {"fields": ["unknown_callers", "unknown_callers_tier"]}),
        ("Callers without a number", {"fields": ["callers_without_number", "callers_without_number_tier"]}),
        ("The answer to LiveTok", {"fields": ["limits_in_answer"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        switch, *others = super().get_fieldsets(request, obj)
        if obj is None or not is_to_deny_all(request.POST, obj):
            return [switch, *others]
        fields = ["emergency", "deny_all_confirmed", "emergency_until"]
        return [(switch[0], {**switch[1], "fields": fields}), *others]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return without_related_links(super().formfield_for_dbfield(db_field, request, **kwargs))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:customers_policy_change", args=[the_policy().pk]))

    def save_model(self, request: HttpRequest, obj: Policy, form: forms.ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if obj.emergency != Policy.Emergency.NORMAL and obj.emergency_until is None:
            text = "The emergency switch is on without an end: it stays on until somebody sets it back."
            self.message_user(request, text, messages.WARNING)
        elif obj.emergency != Policy.Emergency.NORMAL and obj.emergency_at(timezone.now()) != obj.emergency:
            text = "The emergency switch's end has passed already, so it has no effect."
            self.message_user(request, text, messages.WARNING)


def in_words(message: DenialMessage) -> str:
    return message.reason.replace("_", " ").capitalize()


class MessageInList(forms.ModelForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # In the list each stands in a cell, without a label.
        self.fields["message"].widget.attrs["aria-label"] = f"Message: {in_words(self.instance)}"


@admin.register(DenialMessage)
class DenialMessageAdmin(HistoryAdmin):
    list_display = ["reason_in_words", "message"]
    list_editable = ["message"]
    search_fields = ["reason", "message"]
    readonly_fields = ["reason"]
    fields = ["reason", "message"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "message":
            kwargs["widget"] = forms.Textarea(attrs={"rows": 2, "cols": 60, "maxlength": 300})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> type[forms.ModelForm]:
        return super().get_changelist_form(request, **{"form": MessageInList, **kwargs})

    @admin.display(description="reason", ordering="reason")
    def reason_in_words(self, message: DenialMessage) -> str:
        return in_words(message)
