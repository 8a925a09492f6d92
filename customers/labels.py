"""Names for fields that a page shows without a label of their own, for whoever hears the page instead of seeing it."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime

PARTS = ("date", "time")


def with_named_parts(field: forms.Field | None) -> forms.Field | None:
    """The field, each box of a date and time called by the field and by what goes into it."""
    if field is not None and isinstance(field.widget, AdminSplitDateTime):
        for widget, part in zip(field.widget.widgets, PARTS, strict=True):
            widget.attrs["aria-label"] = f"{field.label} – {part}"
    return field


def with_own_name(field: forms.Field | None) -> forms.Field | None:
    """The field called by its label, for cells of a table: the head of a column is no label."""
    if field is not None:
        # Django's choice of one of many wraps the box that a page shows.
        widget: Any = getattr(field.widget, "widget", field.widget)
        widget.attrs.setdefault("aria-label", str(field.label).capitalize())
    return field
