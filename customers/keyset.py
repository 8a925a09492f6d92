"""Lists page by page by the place of a row, never by counting: fast on the last page, right while rows change."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Q


def reversed_order(order: Sequence[str]) -> tuple[str, ...]:
    return tuple(column[1:] if column.startswith("-") else f"-{column}" for column in order)


def beyond(order: Sequence[str], place: Sequence[Any]) -> Q:
    """The rows that come after a place. `order` is as in `order_by` and ends in a unique column.

    The first column's bound stands alone, since it alone bounds an index; the others tell rows of one value apart.
    """
    column, up = order[0].removeprefix("-"), not order[0].startswith("-")
    further = Q(**{f"{column}__{'gt' if up else 'lt'}": place[0]})
    if len(order) == 1:
        return further
    return (further | beyond(order[1:], place[1:])) & Q(**{f"{column}__{'gte' if up else 'lte'}": place[0]})
