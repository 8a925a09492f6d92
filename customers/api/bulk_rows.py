"""Many customers at once: whom each row of a list means, and writing rows in as few statements as they allow.

What a row may hold and what it does to its customer is `customers.api.writing`'s, as for one customer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import transaction
from rest_framework import status
from rest_framework.exceptions import ValidationError
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from customers.api.errors import django_detail, flat_errors
from customers.api.writing import (
    LookUp,
    Values,
    customer_fields,
    new_customer,
    wanted_overrides,
    write_customer,
    write_overrides,
)
from customers.editing import (
    REASON_LENGTH,
    CustomerIsErased,
    OverrideValues,
    are_overrides,
    change_reason,
    changed_fields,
    described,
    is_erased,
    lock_customer,
    number_changes,
    number_keys,
    number_warning,
)
from customers.models import Customer, PhoneNumber, Tier
from customers.search.keeping import SEARCHED, keep_search_keys
from customers.settling import settle_customers

# Of one row. A thousand rows of fifty would be an answer that nobody reads.
MOST_ERRORS_OF_ROW = 10
NO_NAME = "Give id, external_id or numbers: without one of them the customer could not be found again."


class RowConflict(ValidationError):
    """Other rows, or other customers, stand against this row."""

    status_code = status.HTTP_409_CONFLICT


class NobodyThere(ValidationError):
    status_code = status.HTTP_404_NOT_FOUND


@dataclass(frozen=True)
class Row:
    """A row that was read. `keys` are those of its numbers, in their order."""

    index: int
    values: Values
    keys: Sequence[str]

    @property
    def pk(self) -> int | None:
        return self.values.get("id")

    @property
    def external_id(self) -> str | None:
        return self.values.get("external_id")

    @property
    def names(self) -> Iterator[tuple[str, Any]]:
        """What it calls its customer, each with its place in the row."""
        yield from (name for name in (("id", self.pk), ("external_id", self.external_id)) if name[1] is not None)
        yield from ((f"numbers[{index}]", key) for index, key in enumerate(self.keys))


@dataclass(frozen=True)
class RowAnswer:
    index: int
    status: int
    id: int | None = None
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def refused(index: int, error: ValidationError | DjangoValidationError) -> RowAnswer:
    """What is answered to a row of which nothing is stored."""
    if isinstance(error, DjangoValidationError):
        error = ValidationError(django_detail(error))
    return RowAnswer(index, error.status_code, errors=flat_errors(error.detail, most=MOST_ERRORS_OF_ROW))


def named_row(index: int, values: Values, row_of_name: dict[tuple[str, Any], int]) -> Row:
    """The row with what it calls its customer, which no row before it may have called so; notes it.

    Raises ValidationError, DRF's or Django's, where the customer has no name or another row has it.
    """
    row = Row(index, values, number_keys(values.get("numbers", ())))
    names = {place: (place.partition("[")[0], name) for place, name in row.names}
    if not names:
        raise ValidationError({"body": [NO_NAME]})
    twice = {place: row_of_name[name] for place, name in names.items() if name in row_of_name}
    if twice:
        raise RowConflict({place: [_twice(first)] for place, first in twice.items()})
    row_of_name |= dict.fromkeys(names.values(), index)
    return row


def _twice(first: int) -> str:
    return f"This customer is in the row with index {first} already. Send each customer once in a list."


class StoredCustomers(LookUp):
    """The customers whom some rows may mean, read and locked at once. `note` keeps it true while rows are judged."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._by_pk: dict[int, Customer] = {}
        for pks in _in_parts(sorted(_meant(rows))):
            # In one order for all, as `Changes.write` stores.
            locked = Customer.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=pks).order_by("pk")
            found = locked.select_related("tier", "erasure").prefetch_related("numbers", "overrides")
            settle_customers(found)
            self._by_pk |= {customer.pk: customer for customer in found}
        customers = self._by_pk.values()
        self._by_external_id = {customer.external_id: customer for customer in customers if customer.external_id}
        self._by_key = {number.key: customer for customer in customers for number in customer.numbers.all()}
        slugs = {row.values["tier"] for row in rows if "tier" in row.values}
        self._tiers = {tier.slug: tier for tier in Tier.objects.filter(slug__in=slugs)}

    def tier(self, slug: str) -> Tier | None:
        return self._tiers.get(slug)

    def customer(self, external_id: str) -> Customer | None:
        return self._by_external_id.get(external_id)

    def of_row(self, row: Row) -> Customer | None:
        """The customer whom a row means; None: there is nobody yet.

        Raises RowConflict where its names lead to different customers or to an erased one, and NobodyThere where there
        is no such id.
        """
        if row.pk is not None and row.pk not in self._by_pk:
            raise NobodyThere({"id": [f"There is no customer with id {row.pk}. Leave id out to make one."]})
        leads = [(place, self._led_to(place, name)) for place, name in row.names]
        if erased := [place for place, customer in leads if customer is not None and is_erased(customer)]:
            raise RowConflict({erased[0]: CustomerIsErased().messages})
        # A first contact gives way to whoever else is meant.
        found = [lead for lead in leads if lead[1] and (lead[0] == "id" or not lead[1].is_provisional())]
        if not found:
            return next((customer for _, customer in leads if customer), None)
        by, customer = found[0]
        assert customer is not None
        for place, other in found[1:]:
            if other is not None and other.pk != customer.pk:
                raise RowConflict({place: [_different(by, customer, other)]})
        if by.startswith("numbers") and row.values.get("external_id", customer.external_id) != customer.external_id:
            self._require_no_external_id(by, customer, row)
        return customer

    def _led_to(self, place: str, name: Any) -> Customer | None:
        known: Mapping[Any, Customer] = {"id": self._by_pk, "external_id": self._by_external_id}.get(  # type: ignore[assignment]
            place, self._by_key
        )
        return known.get(name)

    def _require_no_external_id(self, by: str, customer: Customer, row: Row) -> None:
        """A number alone does not say that a customer of the CRM's is now another one."""
        if customer.external_id is not None:
            given = "no external id" if row.external_id is None else f"external id {row.external_id}"
            text = (
                f"The row has {given}, but {by} leads to {described(customer)} with id {customer.pk}. "
                "Take the number off one of them, or give that id to change its external id."
            )
            raise RowConflict({"external_id": [text]})

    def others_give_way(self, customer: Customer | None, row: Row) -> bool:
        """Whether first contacts have to be merged into the customer of the row."""
        owners = (self._by_key.get(key) for key in row.keys)
        return any(owner is not None and customer is not None and owner.pk != customer.pk for owner in owners)

    def note(self, customer: Customer, row: Row, external_id_before: str | None) -> None:
        """The customer is going to be as the row says."""
        if external_id_before is not None:
            self._by_external_id.pop(external_id_before, None)
        if customer.external_id is not None:
            self._by_external_id[customer.external_id] = customer
        if "numbers" in row.values:
            for key in [key for key, owner in self._by_key.items() if owner is customer]:
                del self._by_key[key]
            self._by_key |= dict.fromkeys(row.keys, customer)


def _meant(rows: Sequence[Row]) -> set[int]:
    meant = {row.pk for row in rows if row.pk is not None}
    for names in _in_parts(row.external_id for row in rows if row.external_id is not None):
        meant |= set(Customer.objects.filter(external_id__in=names).values_list("pk", flat=True))
    for keys in _in_parts(key for row in rows for key in row.keys):
        meant |= set(PhoneNumber.objects.filter(key__in=keys).values_list("customer", flat=True))
    return meant


def _different(by: str, customer: Customer, other: Customer) -> str:
    return (
        f"It leads to {described(other)} with id {other.pk}, but {by} to {described(customer)} with id {customer.pk}. "
        "Send what belongs to one of them, or change the other one first."
    )


class Changes:
    """What rows that were found good change, until it is written at once."""

    def __init__(self, why: str) -> None:
        self._why = why
        self._start()

    def _start(self) -> None:
        self._new: list[Customer] = []
        self._changed: list[Customer] = []
        self._changed_fields: set[str] = set()
        self._removed: list[PhoneNumber] = []
        self._rewritten: list[PhoneNumber] = []
        self._added: list[PhoneNumber] = []
        self._overrides: list[tuple[Customer, list[OverrideValues]]] = []

    def add(self, customer: Customer | None, row: Row, stored: StoredCustomers) -> Customer:
        """Bring the row's customer to its values, unsaved. Raises ValidationError, and then nothing is changed."""
        customer = customer or new_customer(row.values, lambda texts: None)
        values = customer_fields(customer, row.values, merge_context=True, look_up=stored)
        overrides = wanted_overrides(row.values) if "overrides" in row.values else None
        external_id_before = customer.external_id
        changed = changed_fields(customer, values)
        for name in values:
            setattr(customer, name, values[name])
        if customer._state.adding:
            self._new.append(customer)
        elif changed:
            self._changed.append(customer)
            self._changed_fields |= changed
        if "numbers" in row.values:
            self._add_numbers(customer, row)
        if overrides is not None and not are_overrides(_rows_of(customer, "overrides"), overrides):
            self._overrides.append((customer, overrides))
        stored.note(customer, row, external_id_before)
        return customer

    def _add_numbers(self, customer: Customer, row: Row) -> None:
        wanted: dict[str, str] = {}
        for key, text in zip(row.keys, row.values["numbers"], strict=True):
            wanted.setdefault(key, text)
        changes = number_changes(customer, _rows_of(customer, "numbers"), wanted)
        self._removed += changes.removed
        self._rewritten += changes.rewritten
        self._added += changes.added

    def write(self) -> None:
        """Numbers leave their customers before others get them.

        What is new is stored in one order for all, so that two lists of the same customers do not wait for each other.
        """
        told: dict[str, Any] = {"default_change_reason": self._why[:REASON_LENGTH]}
        self._new.sort(key=lambda customer: customer.external_id or "")
        self._added.sort(key=lambda number: number.key)
        for number in self._removed:
            change_reason(number, self._why)
            number.delete()
        if self._changed:
            bulk_update_with_history(self._changed, Customer, sorted(self._changed_fields), **told)
        if self._new:
            bulk_create_with_history(self._new, Customer, **told)
        if self._rewritten:
            bulk_update_with_history(self._rewritten, PhoneNumber, ["number"], **told)
        if self._added:
            bulk_create_with_history(self._added, PhoneNumber, **told)
        for customer, rows in self._overrides:
            write_overrides(customer, rows, why=self._why)
        numbers = [*self._removed, *self._rewritten, *self._added]
        renamed = [*self._new, *(self._changed if self._changed_fields & SEARCHED else [])]
        keep_search_keys([*(customer.pk for customer in renamed), *(number.customer_id for number in numbers)])
        self._start()


def _rows_of(customer: Customer, name: str) -> Iterable[Any]:
    """A customer's numbers or overrides as they were read with it."""
    return () if customer._state.adding else getattr(customer, name).all()


def write_rows(rows: Sequence[Row], row_of_customer: dict[int, int], why: str) -> list[RowAnswer]:
    """Bring each row's customer to its values, in the caller's transaction. Safe to repeat after a rollback.

    `row_of_customer` says in which row of the list each customer was met, and learns of these. Raises IntegrityError
    where somebody else was first to store what these rows make.
    """
    stored, changes = StoredCustomers(rows), Changes(why)
    written: list[tuple[Row, Customer, int]] = []
    answers: list[RowAnswer] = []
    for row in rows:
        try:
            found = stored.of_row(row)
            if found is not None and (first := row_of_customer.setdefault(found.pk, row.index)) != row.index:
                raise RowConflict({"body": [_twice(first)]})
            if found is not None and stored.others_give_way(found, row):
                changes.write()
                customer = _merged(found, row, why)
                stored = StoredCustomers(rows)
            else:
                customer = changes.add(found, row, stored)
        except (ValidationError, DjangoValidationError) as error:
            answers.append(refused(row.index, error))
        else:
            written.append((row, customer, status.HTTP_201_CREATED if found is None else status.HTTP_200_OK))
    changes.write()
    return answers + [
        RowAnswer(row.index, code, customer.pk, warnings=list(_warnings(row))) for row, customer, code in written
    ]


def _merged(customer: Customer, row: Row, why: str) -> Customer:
    """Written by itself: what first contacts have, past sessions included, moves to the customer."""
    with transaction.atomic():
        return write_customer(lock_customer(customer.pk), row.values, merge_context=True, why=why)


def _warnings(row: Row) -> Iterator[str]:
    for key, text in zip(row.keys, row.values.get("numbers", ()), strict=True):
        if warning := number_warning(text, key):
            yield warning


def _in_parts(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Databases take only so many parameters at once."""
    remaining = iter(dict.fromkeys(items))
    while part := list(islice(remaining, 500)):
        yield part
