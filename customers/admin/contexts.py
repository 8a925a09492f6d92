"""Pages of what brings a context for the agent: tiers and customers."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest

from customers.admin.context_rows import ContextRows, GivenRows, joined
from customers.admin.pages import HistoryAdmin
from customers.context import OWN_KEYS, BadContext, parse_context
from customers.models.fields import validate_context


class ContextField(forms.JSONField):
    """A JSON object, as rows or as text; blank is the empty one. What is refused is shown as it was written."""

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str | GivenRows) else json.dumps(value, indent=2, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, GivenRows):
            return joined(value)
        if isinstance(value, str):
            try:
                return parse_context(value) if value.strip() else {}
            except BadContext as error:
                raise ValidationError(str(error)) from error
        return {} if value is None else value

    # Django's would read the JSON here, and stumble over what `to_python` refuses in words.
    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial if self.disabled else data

    def clean(self, value: Any) -> Any:
        cleaned = self.to_python(value)
        validate_context(cleaned)
        return cleaned


class ContextAdmin(HistoryAdmin):
    formfield_overrides = {
        models.JSONField: {"form_class": ContextField, "widget": ContextRows(attrs={"rows": 5, "cols": 60})}
    }

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        warn_of_hidden_keys(self, request, obj.context)


def warn_of_hidden_keys(model_admin: admin.ModelAdmin, request: HttpRequest, context: dict[str, Any]) -> None:
    """A context may say otherwise than Frontdesk does, but seldom on purpose."""
    hidden = sorted(set(context) & set(OWN_KEYS))
    if hidden:
        keys = ", ".join(hidden)
        what = "a key" if len(hidden) == 1 else "keys"
        text = f"The context has {what} of Frontdesk's own: {keys}. The agent is told yours instead."
        if denied := [key for key in hidden if key.startswith("denied_")]:
            verb = "comes" if len(denied) == 1 else "come"
            text += f" When a session is denied, Frontdesk's {' and '.join(denied)} {verb} last."
        model_admin.message_user(request, text, messages.WARNING)
