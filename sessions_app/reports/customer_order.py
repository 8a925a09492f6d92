"""The list of customers page by page: by name, or by another column and then by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, When

from customers.keyset import beyond, page_beside, reversed_order
from customers.models import Customer

PAGE_SIZE = 50
LOOKED_AT_ONCE = 5000
BY_NAME = ("name", "pk")
# Callers whom the policy serves have no name until staff give them one: they come last.
NAMELESS = Case(When(name="", then=1), default=0, output_field=IntegerField())
# By name alone an index serves. The others sort all that are found.
ORDERS: dict[str, tuple[str, ...]] = {
    "-name": ("nameless", "-name", "pk"),
    "tier": ("tier__name", "nameless", *BY_NAME),
    "-tier": ("-tier__name", "nameless", *BY_NAME),
    "status": ("status", "nameless", *BY_NAME),
    "-status": ("-status", "nameless", *BY_NAME),
}


@dataclass(frozen=True)
class CustomerPage:
    customers: list[Customer]
    before: int | None
    after: int | None


def customer_page(
    found: QuerySet[Customer], wanted: set[int] | None, after: int | None, before: int | None, sort: str = "name"
) -> CustomerPage:
    """A page beside the customer `after` or `before` it; as fast wherever it is. `sort` is "name" or of `ORDERS`."""
    # By name an index leads on from any place; the other orders sort all that are left, so all are read at once.
    at_once = None if sort in ORDERS else LOOKED_AT_ONCE
    shown = page_beside(
        _place(after if before is None else None),
        _place(before),
        PAGE_SIZE,
        lambda place, most: _wanted(lambda place: _following(found, sort, place), place, wanted, most, at_once),
        lambda place, most: _wanted(lambda place: _preceding(found, sort, place), place, wanted, most, at_once),
    )
    rows = shown.rows
    return CustomerPage(
        rows,
        rows[0].pk if shown.has_previous and rows else None,
        rows[-1].pk if shown.has_next else None,
    )


def numbers_in_order(found: QuerySet[Customer], wanted: set[int] | None, sort: str) -> list[int]:
    """The ids of all, in one pass: read on from place to place, an order without an index sorts the rest each time."""
    numbers = _following(found, sort, None).values_list("pk", flat=True)
    return [number for number in numbers if wanted is None or number in wanted]


def _place(pk: int | None) -> Customer | None:
    return None if pk is None else Customer.objects.filter(pk=pk).first()


def _following(found: QuerySet[Customer], sort: str, place: Customer | None) -> QuerySet[Customer]:
    """After a place, or all; those without a name last, up and down."""
    if sort in ORDERS:
        return _beyond(found, ORDERS[sort], place)
    if place is not None:
        further = beyond(BY_NAME, (place.name, place.pk))
        found = found.filter(further | Q(name="") if place.name else further & Q(name=""))
    return found.order_by(NAMELESS, *BY_NAME)


def _preceding(found: QuerySet[Customer], sort: str, place: Customer) -> QuerySet[Customer]:
    """Those before a place, the nearest first."""
    if sort in ORDERS:
        return _beyond(found, reversed_order(ORDERS[sort]), place)
    backwards = reversed_order(BY_NAME)
    nearer = beyond(backwards, (place.name, place.pk))
    found = found.filter(nearer & ~Q(name="") if place.name else nearer | ~Q(name=""))
    return found.order_by(NAMELESS.desc(), *backwards)


def _beyond(found: QuerySet[Customer], order: tuple[str, ...], place: Customer | None) -> QuerySet[Customer]:
    found = found.alias(nameless=NAMELESS).order_by(*order)
    if place is None:
        return found
    values = {"nameless": int(not place.name), "name": place.name, "pk": place.pk, "status": place.status}
    values["tier__name"] = place.tier.name
    return found.filter(beyond(order, [values[column.removeprefix("-")] for column in order]))


def _wanted(
    reading_on: Callable[[Any], QuerySet[Customer]],
    place: Customer | None,
    wanted: set[int] | None,
    most: int,
    at_once: int | None,
) -> list[Customer]:
    """The next ones beyond a place. A group may have a hundred thousand, more than a statement can name."""
    if wanted is None:
        return list(reading_on(place)[:most])
    ids: list[int] = []
    while len(ids) < most:
        some = list(reading_on(place).values_list("pk", "name")[:at_once])
        ids += [pk for pk, _ in some if pk in wanted]
        if at_once is None or len(some) < at_once:
            break
        pk, name = some[-1]
        place = Customer(pk=pk, name=name)
    by_pk = Customer.objects.in_bulk(ids[:most])
    return [by_pk[pk] for pk in ids[:most]]
