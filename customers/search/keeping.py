"""Keeping what customers are found by, in the transaction that writes them.

Only customers whom a begin makes get theirs a moment later, from the worker: LiveTok does not wait for it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef

from customers.models import Customer, PhoneNumber, SearchKey
from customers.phones import is_number
from customers.search.folding import LONGEST_WORD, beginnings_of
from customers.turns import PAUSE_SECONDS, short_transaction

AT_ONCE = 500
# So many ids the worker looks through at once, and again below those that it has seen.
LOOKED_AT = 1000
RUN_SECONDS = 1.0

# The customer's own fields that it is found by.
SEARCHED = frozenset({"name", "external_id", "email"})
# A kind and a text.
Key = tuple[str, str]


def keys_of(customer: Any, numbers: Iterable[str]) -> set[Key]:
    """What a customer with these numbers' keys is found by. Asks no database. Nobody is without a key.

    What pages call a customer whom nothing else names, `Customer 40`, is a key of those alone: its digits would come
    before the numbers of others.
    """
    numbers = list(numbers)
    texts = [customer.name, customer.external_id or "", customer.email, *(key for key in numbers if not _digits(key))]
    keys = {(SearchKey.Kind.WORD.value, word) for text in texts for word in beginnings_of(text)}
    keys |= {
        (SearchKey.Kind.BACKWARDS.value, digits[::-1][:LONGEST_WORD]) for key in numbers if (digits := _digits(key))
    }
    return keys or {(SearchKey.Kind.WORD.value, word) for word in beginnings_of(f"Customer {customer.pk}")}


def _digits(key: str) -> str:
    """Of a number, blank of any other text that calls come from."""
    digits = key.removeprefix("+")
    return digits if is_number(key) or (digits.isascii() and digits.isdecimal()) else ""


def keep_search_keys(customer_ids: Iterable[int]) -> None:
    """Bring what these customers are found by to what they are now, in the caller's transaction where there is one.

    Each writer calls it last. It locks them, so of two writers at once the later one sees what both have written.
    """
    remaining = iter(sorted(set(customer_ids)))
    while part := list(islice(remaining, AT_ONCE)):
        with transaction.atomic(savepoint=False):
            _keep(part)


def _keep(ids: list[int]) -> None:
    locked = Customer.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    customers = list(locked.only("name", "external_id", "email"))
    numbers: dict[int, list[str]] = {pk: [] for pk in ids}
    for pk, key in PhoneNumber.objects.filter(customer__in=ids).order_by().values_list("customer_id", "key"):
        numbers[pk].append(key)
    stored: dict[int, dict[Key, int]] = {pk: {} for pk in ids}
    for pk, owner, kind, text in SearchKey.objects.filter(customer__in=ids).values_list(
        "pk", "customer_id", "kind", "text"
    ):
        stored[owner][kind, text] = pk
    added: list[SearchKey] = []
    for customer in customers:
        wanted = keys_of(customer, numbers[customer.pk])
        has = stored[customer.pk]
        added += [
            SearchKey(kind=kind, text=text, customer=customer)
            for kind, text in sorted(wanted)
            if (kind, text) not in has
        ]
        stored[customer.pk] = {key: pk for key, pk in has.items() if key not in wanted}
    removed = [pk for keys in stored.values() for pk in keys.values()]
    if removed:
        SearchKey.objects.filter(pk__in=removed).delete()
    SearchKey.objects.bulk_create(added)


class NewCallers:
    """The worker's part: customers who have no keys yet, the newest first.

    After its start it looks at all, so that what was left behind while no worker ran is made up for. It returns after
    a second, since other jobs wait for it, and goes on from there the next time.
    """

    def __init__(self) -> None:
        # From here on up, all were looked at once.
        self._seen_to: int | None = None
        # Of the long look down after the start: below which id nobody has been looked at.
        self._below = 0

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """How many customers can be found since. Safe to repeat, and to run on several nodes at once."""
        give_up_at = time.monotonic() + RUN_SECONDS

        def is_over() -> bool:
            return should_stop() or time.monotonic() > give_up_at

        highest = Customer.objects.aggregate(last=Max("pk"))["last"] or 0
        if self._seen_to is None:
            self._seen_to = self._below = highest
        found, place = 0, highest
        # Who came since; one of a lower id may be committed later.
        while place > max(self._seen_to - LOOKED_AT, 0):
            if is_over():
                return found
            found += _keep_without(place)
            place -= LOOKED_AT
        self._seen_to = highest
        while self._below > 0 and not is_over():
            found += _keep_without(self._below)
            self._below -= LOOKED_AT
        return found


def _keep_without(last: int) -> int:
    """Give those of the ids up to this one their keys. Returns how many."""
    found = 0
    for piece in _pieces(_without_keys(last)):
        with short_transaction():
            keep_search_keys(piece)
        found += len(piece)
        time.sleep(PAUSE_SECONDS)
    return found


def _without_keys(last: int) -> list[int]:
    """Customers without keys, of the ids up to this one."""
    among = Customer.objects.filter(pk__gt=last - LOOKED_AT, pk__lte=last)
    keys = SearchKey.objects.filter(customer=OuterRef("pk"))
    return list(among.filter(~Exists(keys)).order_by("-pk").values_list("pk", flat=True))


def _pieces(ids: list[int], size: int = 100) -> Iterator[list[int]]:
    for first in range(0, len(ids), size):
        yield ids[first : first + size]


new_callers = NewCallers()
