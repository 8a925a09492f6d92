"""The rows of an inline: how many there may be, and how their fields look."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import models
from django.forms.formsets import DELETION_FIELD_NAME
from django.http import HttpRequest

from customers.admin.pages import without_related_links
from customers.editing import MOST_ROWS
from customers.labels import with_named_parts, with_own_name
from customers.years import with_checked_year


class ShortFormSet(forms.BaseInlineFormSet):
    """Rows of an inline: as many as a list of the API may have, refused in words where there are more."""

    default_error_messages = {
        **forms.BaseInlineFormSet.default_error_messages,
        "too_many_forms": f"There may be {MOST_ROWS} rows at most. Take some out.",
    }

    given: list[dict[str, str]] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self.given:
            kwargs["initial"] = self.given
        super().__init__(*args, **kwargs)

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if DELETION_FIELD_NAME in form.fields:
            with_own_name(form.fields[DELETION_FIELD_NAME])


class ShortInline(admin.options.InlineModelAdmin):
    """`comes_with_address` is a field of a new object's first row that the form's address may give."""

    comes_with_address = ""

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        bounds = {"max_num": MOST_ROWS, "validate_max": True, "absolute_max": MOST_ROWS + 1}
        made = super().get_formset(request, obj, **bounds | kwargs)
        given = request.GET.get(self.comes_with_address)
        if obj is None and given and request.method == "GET":
            return type(made.__name__, (made,), {"extra": 1, "given": [{self.comes_with_address: given}]})
        return made

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        field = without_related_links(super().formfield_for_dbfield(db_field, request, **kwargs))
        field = with_checked_year(with_named_parts(field))
        return with_own_name(field) if isinstance(self, admin.TabularInline) else field
