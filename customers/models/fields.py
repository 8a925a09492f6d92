"""Checks that several models' fields share."""

from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError


def validate_context(value: Any) -> None:
    """A context is a JSON object; LiveTok's agent reads its keys."""
    if not isinstance(value, dict):
        raise ValidationError('Give a JSON object, such as {"custom_field": "value"}.')


def validate_time_zone(value: str) -> None:
    if value not in _time_zones():
        raise ValidationError(f"{value} is no time zone. Give a name such as Europe/Madrid.")


@cache
def _time_zones() -> set[str]:
    """Each look goes through the system's files, and an import asks with every row."""
    return available_timezones()
