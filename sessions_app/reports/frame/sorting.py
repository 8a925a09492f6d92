"""Heads of columns that sort a list by links: up, then down."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import F
from django.db.models.expressions import OrderBy

LONGEST_COLUMN = 100


@dataclass(frozen=True)
class Column:
    """`name` as addresses have it; blank where a list cannot be sorted by the column."""

    name: str
    label: str
    is_number: bool = False


@dataclass(frozen=True)
class Head:
    """`following` is the order that its link asks for; `direction` is blank where the list is not in its order."""

    column: Column
    following: str
    direction: str


def heads_of(columns: Iterable[Column], sort: str) -> list[Head]:
    """`sort` is a column's name, with a minus where it goes down; blank: the list's own order.

    Numbers are sorted from the largest first: that is what people look for.
    """
    return [_head(column, sort) for column in columns]


def _head(column: Column, sort: str) -> Head:
    up, down = column.name, f"-{column.name}"
    if not column.name or sort not in (up, down):
        return Head(column, down if column.is_number else up, "")
    return Head(column, up if sort == down else down, "descending" if sort == down else "ascending")


def check_sort(sort: str, columns: Sequence[Column]) -> str:
    """The same order; raises `ValidationError` for one that the columns do not have."""
    names = [column.name for column in columns if column.name]
    if sort and sort.removeprefix("-") not in names:
        known = ", ".join(names)
        raise ValidationError(f"Nothing is sorted by “{sort}”. Choose one of {known}; with a minus before it, down.")
    return sort


def ordered(expression: Any, *, down: bool) -> OrderBy:
    """What has no value comes last, up and down, on both databases."""
    found = F(expression) if isinstance(expression, str) else expression
    return OrderBy(found, descending=down, nulls_last=True)
