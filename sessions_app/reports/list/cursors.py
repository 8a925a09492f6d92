"""Where a page of a list begins: the session that it follows, written in the page's address."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from customers.lengths import LARGEST_ID
from sessions_app.models import Session

# So that there is a time before it and one after it.
FIRST, AFTER_LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 12, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cursor:
    """A session's place in the list. It stays a place when the session goes.

    `first` is what the list is sorted by before start and id: the duration, or the customer's id.
    """

    started_at: datetime
    pk: int
    first: int | None = None

    @classmethod
    def of(cls, session: Session, order: str = "started") -> "Cursor":
        first = {"duration": session.duration_seconds, "customer": session.customer_id}.get(order)
        return cls(session.started_at, session.pk, first)

    def is_of(self, order: str) -> bool:
        """Whether it tells a place in a list of that order."""
        return order == "started" or self.first is not None

    def __str__(self) -> str:
        place = f"{self.started_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{self.pk}"
        return place if self.first is None else f"{place}_{self.first}"


class CursorField(forms.Field):
    """Reads what `str(Cursor)` wrote."""

    def to_python(self, value: Any) -> Cursor | None:
        if not value:
            return None
        moment, *numbers = str(value).split("_")
        try:
            pk, first = (*(int(number) for number in numbers), None)[:2]
            cursor = Cursor(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC), pk or 0, first)
        except ValueError:
            cursor = None
        is_place = cursor is not None and FIRST <= cursor.started_at < AFTER_LAST and 0 <= cursor.pk <= LARGEST_ID
        if cursor is None or not is_place or abs(cursor.first or 0) > LARGEST_ID:
            raise ValidationError("This link into the list is broken. Start again at the first page.")
        return cursor
