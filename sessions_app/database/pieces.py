"""Writing much without keeping LiveTok's requests waiting: in short transactions, each in its turn."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

from django.db.models import QuerySet

from customers.keyset import beyond
from sessions_app.database.prepared import djangos_transaction
from sessions_app.database.sqlite.turns import BULK_TURN_SECONDS

BATCH = 500
PAUSE_SECONDS = 0.02

Row = TypeVar("Row")


def bulk_transaction() -> AbstractContextManager[None]:
    """A transaction of somebody who has time: with many requests, SQLite's turn may take long to come."""
    return djangos_transaction(BULK_TURN_SECONDS)


def in_pieces(rows: Iterable[Row], write: Callable[[list[Row]], object], *, batch: int = BATCH) -> None:
    """`write` some rows after others, each piece in a transaction of its own. What it does must be safe to repeat."""
    rest = iter(rows)
    while piece := list(islice(rest, batch)):
        with bulk_transaction():
            write(piece)
        if len(piece) == batch:
            # So that whoever waits gets a turn; after the last piece nothing follows.
            time.sleep(PAUSE_SECONDS)


def delete_in_pieces(
    rows: QuerySet[Any], should_stop: Callable[[], bool] = lambda: False, require: Callable[[], object] = lambda: None
) -> int:
    """Delete the rows in their order, while what is required in each transaction raises nothing. Returns how many."""
    deleted = 0
    while not should_stop():
        with bulk_transaction():
            require()
            batch = list(rows.values_list("pk", flat=True)[:BATCH])
            rows.model._default_manager.filter(pk__in=batch).delete()
        deleted += len(batch)
        if len(batch) < BATCH:
            break
        time.sleep(PAUSE_SECONDS)
    return deleted


def rows_in_pieces(rows: QuerySet[Any], *columns: str, key: int = 1, at_once: int = 5000) -> Iterator[tuple[Any, ...]]:
    """Values of `columns` in the order of the first ones, as many as make a row's unique `key`.

    Some at a time, by where the last ones ended: no cursor stays open on the server, and not all rows are in memory.
    """
    order = columns[:key]
    rows = rows.order_by(*order).values_list(*columns)
    some = list(rows[:at_once])
    while some:
        yield from some
        some = list(rows.filter(beyond(order, some[-1][:key]))[:at_once]) if len(some) == at_once else []


def keys_of(rows: QuerySet[Any], *, at_once: int = 1000) -> Iterator[Any]:
    """The primary keys in their order, some at a time: nothing of the database is held between."""
    some = list(rows.order_by("pk").values_list("pk", flat=True)[:at_once])
    while some:
        yield from some
        some = list(rows.filter(pk__gt=some[-1]).order_by("pk").values_list("pk", flat=True)[:at_once])
