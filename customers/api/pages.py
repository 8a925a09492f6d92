"""Lists page by page: whatever is added, changed or deleted meanwhile, a row that stays comes once, either way."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import DateTimeField, Model, QuerySet
from drf_spectacular.utils import inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from customers.api.fields import Text
from customers.api.reading import StrictSerializer
from customers.keyset import beyond, reversed_order
from customers.lengths import LARGEST_ID

PAGE_SIZE = 100
LARGEST_PAGE = 500
Order = tuple[str, ...]


class PageQuery(StrictSerializer):
    """What every list takes beside its filters."""

    page_size = serializers.IntegerField(
        min_value=1, max_value=LARGEST_PAGE, default=PAGE_SIZE, help_text=f"Rows of a page, {LARGEST_PAGE} at most."
    )
    cursor = Text(required=False, help_text="Where a page starts; comes in `next` and `previous`.")


@dataclass(frozen=True)
class Cursor:
    """A page begins after this row's place, or ends before it. It stays a place when the row goes.

    Without a place: at the list's beginning, or, backwards, at its end.
    """

    place: tuple[Any, ...] = ()
    backwards: bool = False

    def __str__(self) -> str:
        values = [value.isoformat() if isinstance(value, datetime) else value for value in self.place]
        return urlsafe_b64encode(json.dumps([int(self.backwards), *values]).encode()).decode()


def read_cursor(text: str, model: type[Model], order: Order) -> Cursor:
    """Reads what `str(Cursor)` wrote for a list of that order. Raises DRF's ValidationError where it is no such."""
    try:
        backwards, *values = json.loads(urlsafe_b64decode(text.encode("ascii")))
        if backwards not in (0, 1) or len(values) not in (0, len(order)):
            raise ValueError
        place = tuple(_value(_column(model, name), value) for name, value in zip(order, values, strict=False))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValidationError({"cursor": ["No such page. Take cursors from next and previous."]}) from error
    return Cursor(place, backwards == 1)


def _column(model: type[Model], name: str) -> Any:
    name = name.removeprefix("-")
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


def _value(column: Any, value: Any) -> Any:
    """Raises ValueError or TypeError where the column cannot have such a value."""
    if isinstance(column, DateTimeField):
        moment = datetime.fromisoformat(value)
        if moment.utcoffset() != timedelta():
            raise ValueError
        return moment
    if type(value) is not int or not 0 <= value <= LARGEST_ID:
        raise ValueError
    return value


def page_response(
    request: Request,
    rows: QuerySet[Any],
    query: dict[str, Any],
    serializer: type[serializers.Serializer[Any]],
    *,
    order: Order,
    **context: Any,
) -> Response:
    """`order` consists of columns that are times or ids, the last of them unique."""
    size, cursor = query["page_size"], Cursor()
    if "cursor" in query:
        cursor = read_cursor(query["cursor"], rows.model, order)
    found, following, preceding = _page(rows, order, cursor, size)
    return Response(
        {
            "next": _link(request, following),
            "previous": _link(request, preceding),
            "results": serializer(found, many=True, context=context).data,
        }
    )


def _page(
    rows: QuerySet[Any], order: Order, cursor: Cursor, size: int
) -> tuple[list[Model], Cursor | None, Cursor | None]:
    """The rows, and the cursors of the pages after and before them; None where there is none."""
    way = reversed_order(order) if cursor.backwards else order
    if cursor.place:
        rows = rows.filter(beyond(way, cursor.place))
    found = list(rows.order_by(*way)[: size + 1])
    has_more, found = len(found) > size, found[:size]
    has_next, has_previous = has_more, bool(cursor.place)
    if cursor.backwards:
        has_next, has_previous = has_previous, has_next
        found.reverse()
    # Where all rows on this side of the place are gone, the other side begins at the list's own end.
    after = Cursor(_place(found[-1], order)) if found else Cursor()
    before = Cursor(_place(found[0], order) if found else (), backwards=True)
    return found, after if has_next else None, before if has_previous else None


def _place(row: Model, order: Order) -> tuple[Any, ...]:
    return tuple(getattr(row, name.removeprefix("-")) for name in order)


def _link(request: Request, cursor: Cursor | None) -> str | None:
    return None if cursor is None else replace_query_param(request.build_absolute_uri(), "cursor", str(cursor))


def page_of(serializer: type[serializers.Serializer[Any]], name: str) -> serializers.Serializer[Any]:
    """How the API's description says "a page of these"."""
    return inline_serializer(
        name=name,
        fields={
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": serializer(many=True),
        },
    )
