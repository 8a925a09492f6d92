"""Where a page of a list begins: the session that it follows, written in the page's address."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from sessions_app.models import Session

LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Cursor:
    """A session's place in the list, newest first. It stays a place when the session goes."""

    started_at: datetime
    pk: int

    @classmethod
    def of(cls, session: Session) -> "Cursor":
        return cls(session.started_at, session.pk)

    def __str__(self) -> str:
        return f"{self.started_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{self.pk}"


class CursorField(forms.Field):
    """Reads what `str(Cursor)` wrote."""

    def to_python(self, value: Any) -> Cursor | None:
        if not value:
            return None
        moment, _, pk = str(value).partition("_")
        try:
            cursor = Cursor(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC), int(pk))
        except ValueError:
            cursor = None
        if cursor is None or not 0 <= cursor.pk <= LARGEST_ID:
            raise ValidationError("This link into the list is broken. Start again at the newest session.")
        return cursor
