"""The rows of an inline: how many there may be, and how their fields look."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from customers.admin.pages import without_related_links
from customers.editing import MOST_ROWS


class ShortFormSet(forms.BaseInlineFormSet):
    """Rows of an inline: as many as a list of the API may have, refused in words where there are more."""

    default_error_messages = {
        **forms.BaseInlineFormSet.default_error_messages,
        "too_many_forms": f"There may be {MOST_ROWS} rows at most. Take some out.",
    }


class ShortInline(admin.options.InlineModelAdmin):
    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        bounds = {"max_num": MOST_ROWS, "validate_max": True, "absolute_max": MOST_ROWS + 1}
        return super().get_formset(request, obj, **bounds | kwargs)

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        return without_related_links(super().formfield_for_dbfield(db_field, request, **kwargs))
