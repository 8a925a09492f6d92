"""The list of sessions, page by page, as fast on the last one as on the first; and all of it, for a file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any

from django.db.models import Max, Min, QuerySet

from customers.keyset import beyond, page_beside, reversed_order
from customers.models import Customer
from sessions_app.database.replica import steadily
from sessions_app.models import Session, SessionQuerySet
from sessions_app.reports.frame.ranges import Stretch
from sessions_app.reports.list.cursors import Cursor

PAGE_SIZE = 50
BY_START = ("-started_at", "-pk")
BY_DURATION = ("-duration_seconds", *BY_START)
BY_NAME = ("name", "pk")
# Sorted by customer, the first customers are gone through one by one, since one of them may have all that a page needs
# and a hundred times more; then they are few sessions each, and gone through in steps that grow.
ROWS_AT_ONCE = 2000
FIRST_CUSTOMERS, MOST_CUSTOMERS = 8, 5000
# Of a stretch of time with more sessions than that, a shorter one is read; of the shortest, all.
MOST_ROWS_AT_ONCE = 10_000
FIRST_STRETCH, SHORTEST_STRETCH = timedelta(hours=1), timedelta(milliseconds=1)
# All that a line of one customer's sessions needs; the rest of a session can be large.
LISTED_OF_ONE = (
    "session_id",
    "number",
    "is_test",
    "number_received",
    "phone_key",
    "external_id",
    "allowed",
    "reason",
    "begin_received_at",
    "end_received_at",
    "stated_seconds",
    "declared_missing_at",
    "started_at",
    "duration_seconds",
    "missing_from",
    "flags",
    "channel__label",
    "agent__name",
    "customer_id",
)
LISTED = (*LISTED_OF_ONE, "tier__name", "customer__name", "customer__external_id")


@dataclass(frozen=True)
class Page:
    """Some sessions in order, and where the pages beside it begin; None where there is none."""

    sessions: list[Session]
    newer: Cursor | None
    older: Cursor | None


def page_of(
    sessions: SessionQuerySet,
    order: str,
    older: Cursor | None,
    newer: Cursor | None,
    beside: SessionQuerySet | None = None,
) -> Page:
    """The page that follows `older`, or the one before `newer`; else the first.

    `beside` are fewer sessions that do for a page at its place.
    """
    beside = sessions if beside is None else beside
    older, newer = (None if place and not place.is_of(order) else place for place in (older, newer))
    # Of a page before `newer` that is not full the first page is shown, and for that `beside` does not do.
    forwards = beside if newer is None else sessions
    found = page_beside(
        older,
        newer,
        PAGE_SIZE,
        lambda place, at_most: in_order(_lines(forwards), order, place, at_most=at_most),
        lambda place, at_most: _backwards(_lines(beside), order, place, at_most),
    )
    if not found.rows:
        return Page([], None, None)
    first, last = Cursor.of(found.rows[0], order), Cursor.of(found.rows[-1], order)
    return Page(found.rows, first if found.has_previous else None, last if found.has_next else None)


def in_order(
    sessions: SessionQuerySet, order: str, after: Cursor | None = None, *, at_most: int = ROWS_AT_ONCE
) -> Iterator[Any]:
    """The sessions in order, from where `after` stands; by duration those with one, by customer customers' alone.

    `at_most`, or a few more, are read.
    """
    if order == "customer":
        return _by_customer(sessions, after, at_most)
    ordered = _by_duration(sessions, after) if order == "duration" else _by_start(sessions, after)
    return iter(ordered[:at_most])


def all_in_order(sessions: SessionQuerySet, order: str, place_of: Callable[[Any], Cursor]) -> Iterator[Any]:
    """All of them, some at a time: whoever takes them slowly holds nothing of the database between.

    `place_of` tells what `sessions` gives by its place.
    """
    after = None
    while some := steadily(partial(_some, sessions, order, after)):
        yield from some
        if len(some) < ROWS_AT_ONCE:
            return
        after = place_of(some[-1])


def _some(sessions: SessionQuerySet, order: str, after: Cursor | None) -> list[Any]:
    return list(islice(in_order(sessions, order, after), ROWS_AT_ONCE))


def _backwards(sessions: SessionQuerySet, order: str, before: Cursor, at_most: int) -> Iterator[Session]:
    """The sessions before a place, the nearest first."""
    if order == "customer":
        return _by_customer_backwards(sessions, before, at_most)
    if order == "started":
        return iter(_after(sessions, before)[:at_most])
    shortest_first = reversed_order(BY_DURATION)
    longer = sessions.filter(beyond(shortest_first, (before.first, before.started_at, before.pk)))
    return iter(longer.order_by(*shortest_first)[:at_most])


def _lines(sessions: SessionQuerySet) -> SessionQuerySet:
    return sessions.select_related("channel", "agent", "tier", "customer").only(*LISTED)


def _by_start(sessions: SessionQuerySet, after: Cursor | None) -> SessionQuerySet:
    return (_before(sessions, after) if after else sessions).order_by(*BY_START)


def newest_first(sessions_of: Callable[[Stretch], SessionQuerySet], whole: Stretch) -> Iterator[Any]:
    """All sessions of a stretch by start, the newest first; `sessions_of` gives those of a part of it, in no order.

    Each part is read forwards and handed out backwards. Sessions are stored as they come, and old ones are in no
    memory: a disk that is read forwards reads ahead, while backwards each page of them would have to be waited for.
    """
    starts = steadily(lambda: Session.objects.aggregate(oldest=Min("started_at"), newest=Max("started_at")))
    if starts["oldest"] is None:
        return
    start, end = max(whole.starts_at, starts["oldest"]), min(whole.ends_before, starts["newest"] + timedelta.resolution)
    length = FIRST_STRETCH
    while start < end:
        length = min(length, end - start)
        most = MOST_ROWS_AT_ONCE + 1 if length > SHORTEST_STRETCH else None
        rows = steadily(partial(_forwards, sessions_of, Stretch(end - length, end), most))
        if most and len(rows) == most:
            length = max(length / 4, SHORTEST_STRETCH)
            continue
        yield from reversed(rows)
        end -= length
        # Each part shall have some thousand sessions, whether it is night or noon.
        length = length * 2 if len(rows) < ROWS_AT_ONCE else max(length / 2, SHORTEST_STRETCH)


def _forwards(sessions_of: Callable[[Stretch], SessionQuerySet], stretch: Stretch, most: int | None) -> list[Any]:
    return list(sessions_of(stretch).order_by("started_at", "pk")[:most])


def _by_duration(sessions: SessionQuerySet, after: Cursor | None) -> SessionQuerySet:
    sessions = sessions.filter(duration_seconds__isnull=False)
    if after is not None:
        sessions = sessions.filter(beyond(BY_DURATION, (after.first, after.started_at, after.pk)))
    return sessions.order_by(*BY_DURATION)


def _by_customer(sessions: SessionQuerySet, after: Cursor | None, at_most: int) -> Iterator[Any]:
    """By name, and of one customer the newest first: an index for each step, where one for all cannot be."""
    customers = Customer.objects.order_by(*BY_NAME)
    if after is not None:
        last = Customer.objects.filter(pk=after.first or 0).first()
        # The customer is gone, merged into another, and nobody knows any more where it stood.
        if last is None:
            return
        yield from _by_start(sessions.filter(customer=last), after)[:at_most]
        customers = _customers_after(customers, last.name, last.pk)
    steps = _steps(customers)
    for pk in next(steps, []):
        yield from _by_start(sessions.filter(customer=pk), None)[:at_most]
    for some in steps:
        ordered = sessions.filter(customer__in=some)
        yield from ordered.order_by("customer__name", "customer_id", "-started_at", "-pk")[:at_most]


def _by_customer_backwards(sessions: SessionQuerySet, before: Cursor, at_most: int) -> Iterator[Session]:
    first = Customer.objects.filter(pk=before.first or 0).first()
    if first is None:
        return
    yield from _after(sessions.filter(customer=first), before)[:at_most]
    steps = _steps(_customers_before(Customer.objects.all(), first.name, first.pk), backwards=True)
    for pk in next(steps, []):
        yield from sessions.filter(customer=pk).order_by("started_at", "pk")[:at_most]
    for some in steps:
        ordered = sessions.filter(customer__in=some)
        yield from ordered.order_by("-customer__name", "-customer_id", "started_at", "pk")[:at_most]


def _customers_after(customers: QuerySet[Customer], name: str, pk: int) -> QuerySet[Customer]:
    return customers.filter(beyond(BY_NAME, (name, pk))).order_by(*BY_NAME)


def _customers_before(customers: QuerySet[Customer], name: str, pk: int) -> QuerySet[Customer]:
    backwards = reversed_order(BY_NAME)
    return customers.filter(beyond(backwards, (name, pk))).order_by(*backwards)


def _steps(customers: QuerySet[Customer], *, backwards: bool = False) -> Iterator[list[int]]:
    beyond = _customers_before if backwards else _customers_after
    size, last = FIRST_CUSTOMERS, None
    while True:
        rest = customers if last is None else beyond(customers, last[1], last[0])
        some = list(rest.values_list("pk", "name")[:size])
        if not some:
            return
        yield [pk for pk, _ in some]
        last, size = some[-1], min(size * 4, MOST_CUSTOMERS)


def _before(sessions: SessionQuerySet, cursor: Cursor) -> SessionQuerySet:
    return sessions.filter(beyond(BY_START, (cursor.started_at, cursor.pk)))


def _after(sessions: SessionQuerySet, cursor: Cursor) -> SessionQuerySet:
    oldest_first = reversed_order(BY_START)
    return sessions.filter(beyond(oldest_first, (cursor.started_at, cursor.pk))).order_by(*oldest_first)
