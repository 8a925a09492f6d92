"""The years of times that staff may give: those that every time zone can show."""

from datetime import datetime

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import ValidationError

FIRST_YEAR, LAST_YEAR = 1000, 9000


def check_year(moment: datetime) -> None:
    """Raises ValidationError for one on which a page of another time zone might fail."""
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValidationError(f"Give a time between the years {FIRST_YEAR} and {LAST_YEAR}.")


def with_checked_year(field: forms.Field | None) -> forms.Field | None:
    if field is not None and isinstance(field.widget, AdminSplitDateTime):
        field.validators = [*field.validators, check_year]
    return field
