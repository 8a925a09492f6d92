"""A rule's actions in its form: the fields that fit the destination's kind, and their texts checked on saving."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils.safestring import SafeString

from automations.admin.offers import action_for
from automations.models import Action, Destination
from automations.needs import why_not_on
from automations.texts.checks import check_action
from automations.texts.kinds import ACTION_FIELDS, ACTION_FIELDS_OF_SOME, KEPT
from automations.texts.messages import DEFAULT_PARAMETER
from customers.admin.rows import ShortFormSet, ShortInline

Kind = Destination.Kind

DEFAULTS: dict[str, Any] = {name: getattr(Action(), name) for name in ACTION_FIELDS_OF_SOME}
# Digits of a key that the database can hold.
LONGEST_KEY = 18
# With these, a field's label need not say for which kind it is.
HELP_OF_KIND: dict[tuple[str, str], str] = {
    (Kind.EMAIL.value, "recipient"): "Addresses, divided by commas. Placeholders may stand for one.",
    (Kind.EMAIL.value, "subject"): "On one line.",
    (Kind.EMAIL.value, "text"): "Plain text.",
    (Kind.HTTP.value, "path"): "What follows the destination's address, if anything.",
    (Kind.HTTP.value, "body"): "JSON. A text that is one placeholder alone becomes its value.",
    (Kind.SLACK.value, "body"): "JSON as Slack takes it. Callers' values cannot call anybody, or make links.",
    (Kind.TEAMS.value, "body"): "JSON with an Adaptive Card. Callers' values cannot make links.",
    (Kind.WHATSAPP.value, "recipient"): "A number such as {{ session.number }}.",
    (Kind.WHATSAPP.value, "text"): "The template's parameters, one on each line. None may be empty: "
    f"{DEFAULT_PARAMETER} says what stands for a name that is not known.",
    (Kind.WHATSAPP.value, "template_name"): "The template's name, as WhatsApp has it.",
    (Kind.WHATSAPP.value, "template_language"): "Such as en_US.",
}
NAMES_LINK = ' <a href="#names-table">Names that texts may use</a>'
WITH_NAMES = ("recipient", "subject", "text", "path", "body")


class ActionForm(forms.ModelForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind = self._kind()
        for name in ACTION_FIELDS_OF_SOME:
            if name not in self.fields:
                continue
            if self.kind and name not in ACTION_FIELDS[self.kind]:
                self.fields[name].widget = forms.HiddenInput()
                continue
            text = HELP_OF_KIND.get((self.kind, name), self.fields[name].help_text)
            self.fields[name].help_text = SafeString(str(text) + (NAMES_LINK if name in WITH_NAMES else ""))

    def _kind(self) -> str:
        """Of the destination that was sent, or is stored, or is offered; blank while none is chosen."""
        given = self.data.get(self.add_prefix("destination")) if self.is_bound else None
        given = given or self.initial.get("destination")
        key = str(given or "")
        if not key.isdecimal() or len(key) > LONGEST_KEY:
            return ""
        return Destination.objects.filter(pk=int(key)).values_list("kind", flat=True).first() or ""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        destination = data.get("destination")
        if destination is None:
            return data
        for name in ACTION_FIELDS_OF_SOME:
            if name in data and name not in ACTION_FIELDS[destination.kind]:
                data[name] = DEFAULTS[name]
        for name, problem in check_action(destination.kind, data).items():
            if name not in self.errors:
                self.add_error(name, problem)
        return data

    def add_error(self, field: str | None, error: Any) -> None:
        """A hidden field shows no error, so it is told above."""
        if field in self.fields and self.fields[field].widget.is_hidden and field not in ("id", "rule"):
            field = None
        super().add_error(field, error)


class ActionFormSet(ShortFormSet):
    """A rule that is on does something."""

    def clean(self) -> None:
        super().clean()
        rows = [getattr(form, "cleaned_data", {}) for form in self.forms]
        is_idle = not any(row.get("destination") and not row.get("DELETE") for row in rows)
        # Where an action has an error of its own, that is said already.
        if self.instance.is_active and is_idle and not any(self.errors):
            raise ValidationError("A rule that is on does something: give it an action, or leave it off.")
        used = [row["destination"] for row in rows if row.get("destination") and not row.get("DELETE")]
        problems = why_not_on(used) if self.instance.is_active else []
        if problems:
            raise ValidationError([f"{problem} Until then, leave the rule off." for problem in problems])


class ActionInline(ShortInline, admin.StackedInline):
    model = Action
    form = ActionForm
    formset = ActionFormSet
    verbose_name_plural = "actions – what it does, all of them each time"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "destination",
                    "recipient",
                    "subject",
                    ("template_name", "template_language"),
                    "text",
                    "method",
                    "path",
                    "body",
                    *KEPT,
                    "not_later_than_minutes",
                ]
            },
        )
    ]

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj is not None and obj.actions.exists() else 1

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        rows = {"text": 10, "body": 16}.get(db_field.name)
        if rows:
            kwargs["widget"] = forms.Textarea(attrs={"rows": rows, "cols": 80, "class": "code", "spellcheck": "false"})
        if db_field.name in ("recipient", "subject", "path", *KEPT):
            kwargs["widget"] = forms.TextInput(attrs={"class": "vTextField"})
        return super().formfield_for_dbfield(db_field, request, **kwargs)


def initial_action(text: str) -> dict[str, Any]:
    """Of an action for a destination, by what the page's address says of it; empty where it is none of ours."""
    destination = Destination.objects.filter(pk=text).first() if text.isdecimal() and len(text) <= LONGEST_KEY else None
    return {"destination": destination.pk, **action_for(destination)} if destination else {}
