"""What a preview showed of each row, as short marks: by them an import tells what it would change beyond that."""

from collections.abc import Iterator, Sequence, Set
from hashlib import blake2b

from customers.history import records_of
from customers.models import Customer, PhoneNumber
from customers.models.histories import BY_SOMEBODY

Marks = Set[str]
_MARK_BYTES = 8


def marks_of(number: int, pk: int | None, before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Of a row of the file: one mark for each cell that changes a stored customer, or one for a whole new customer."""
    if pk is None:
        yield _mark(number, *after)
        return
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            yield _mark(number, pk, place, old, new)


def _mark(*parts: str | int) -> str:
    return blake2b(repr(parts).encode(), digest_size=_MARK_BYTES).hexdigest()


def untouched(first_contacts: Sequence[int]) -> set[int]:
    """Those whom only calls have made what they are: a row may take them over unseen. At most 500 at a time."""
    touched: set[int] = set()
    for model, column in ((Customer, "id"), (PhoneNumber, "customer_id")):
        records = records_of(model)._base_manager.filter(BY_SOMEBODY, **{f"{column}__in": first_contacts})
        touched.update(records.values_list(column, flat=True))
    return set(first_contacts) - touched
