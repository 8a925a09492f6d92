"""What several models' fields share: their checks, and a context's own way of being read."""

from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import models

from customers.context import BadContext, check_context, read_json, sound_context
from customers.currencies import MINOR_DECIMALS


def validate_context(value: Any) -> None:
    """A context is a JSON object; LiveTok's agent reads its keys."""
    try:
        check_context(value)
    except BadContext as error:
        raise ValidationError(str(error)) from error


def validate_time_zone(value: str) -> None:
    if value not in time_zones():
        raise ValidationError(f"{value} is no time zone. Give a name such as Europe/Madrid.")


@cache
def time_zones() -> frozenset[str]:
    """The names of all. Each look goes through the system's files, and an import asks with every row."""
    return frozenset(available_timezones())


def validate_currency(value: str) -> None:
    if value.upper() not in MINOR_DECIMALS:
        raise ValidationError("This is no currency. Give the three letters of ISO 4217, such as EUR.")


class CurrencyField(models.CharField):
    """Three capital letters, however they were written."""

    def to_python(self, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class ContextField(models.JSONField):
    """A JSON object that is read whatever is stored; to the database and to migrations it is Django's own field."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else sound_context(read_json(value))

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs
