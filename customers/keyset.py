"""Lists page by page by the place of a row, never by counting: fast on the last page, right while rows change."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from django.db.models import Q

Row = TypeVar("Row")
Place = TypeVar("Place")


@dataclass(frozen=True)
class Page(Generic[Row]):
    rows: list[Row]
    has_previous: bool
    has_next: bool


def page_beside(
    after: Place | None,
    before: Place | None,
    size: int,
    following: Callable[[Place | None, int], Iterable[Row]],
    preceding: Callable[[Place, int], Iterable[Row]],
) -> Page[Row]:
    """The page that follows a place, or the one before one; else the first.

    `following` reads on from a place, or from the beginning, and `preceding` backwards, the nearest first. Each is told
    how many are looked at.
    """
    if before is not None:
        found = list(islice(preceding(before, size + 1), size + 1))
        if len(found) > size:
            return Page(found[:size][::-1], has_previous=True, has_next=True)
        after = None  # less than a page comes before: the first page shows it, filled up
    found = list(islice(following(after, size + 1), size + 1))
    return Page(found[:size], has_previous=after is not None, has_next=len(found) > size)


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
