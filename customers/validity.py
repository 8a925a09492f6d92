"""When a customer or an override is valid: said once for rows, once for the ORM and once in SQL.

A `valid_from` of None is since ever, a `valid_until` of None for ever; the latter's own moment is outside.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Q


@dataclass(frozen=True)
class Validity:
    valid_from: datetime | None
    valid_until: datetime | None

    @classmethod
    def of(cls, row: Any) -> "Validity":
        """Of a customer, an override, or what the history has of one."""
        return cls(row.valid_from, row.valid_until)

    def has_begun(self, moment: datetime) -> bool:
        return self.valid_from is None or self.valid_from <= moment

    def has_expired(self, moment: datetime) -> bool:
        return self.valid_until is not None and self.valid_until <= moment

    def holds_at(self, moment: datetime) -> bool:
        return self.has_begun(moment) and not self.has_expired(moment)

    def overlaps(self, other: "Validity") -> bool:
        return self._begins_before_end_of(other) and other._begins_before_end_of(self)

    def _begins_before_end_of(self, other: "Validity") -> bool:
        return self.valid_from is None or other.valid_until is None or self.valid_from < other.valid_until


def valid_at(moment: datetime) -> Q:
    return (Q(valid_from__isnull=True) | Q(valid_from__lte=moment)) & (
        Q(valid_until__isnull=True) | Q(valid_until__gt=moment)
    )


def valid_sql(row: str) -> str:
    """The condition in SQL on a row by its alias; the moment is the parameter `now`."""
    return (
        f"({row}.valid_from IS NULL OR {row}.valid_from <= %(now)s)"
        f" AND ({row}.valid_until IS NULL OR {row}.valid_until > %(now)s)"
    )


# What the database asks of each row.
UNTIL_IS_AFTER_FROM = Q(valid_from__isnull=True) | Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from"))
UNTIL_IS_NOT_AFTER_FROM = "Valid until: give a time after valid from."
