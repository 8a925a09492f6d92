"""Whom an action of a list is about, over several pages: the keys as they were when it was chosen, in one short field.

Django would ask the list's search and filters again on each page, and others match these by then.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from customers.lengths import LARGEST_ID

FIELD = "chosen"
# Of the keys as a text, unpacked: a million keys and more. Beyond that it is an attack.
MOST_BYTES = 4_000_000
AT_ONCE = 1000


def packed(keys: Iterable[int]) -> str:
    """The keys as a text: a few hundred characters for 100,000 in a row, some 100,000 for as many among a million."""
    ordered = [0, *sorted(keys)]
    steps = " ".join(str(key - before) for before, key in pairwise(ordered))
    return urlsafe_b64encode(zlib.compress(steps.encode(), 9)).decode()


def unpacked(text: str) -> list[int] | None:
    """What `packed` made it of, in order; None where it did not. A made-up one gains nothing: each is chosen freely."""
    if not text:
        return None
    try:
        unpacking = zlib.decompressobj()
        steps = unpacking.decompress(urlsafe_b64decode(text), MOST_BYTES).decode("ascii").split()
        keys = list(accumulate(int(step) for step in steps))
    except (ValueError, zlib.error):
        return None
    if not unpacking.eof:
        return None
    is_rising = all(before < key for before, key in pairwise([0, *keys]))
    return keys if is_rising and (not keys or keys[-1] <= LARGEST_ID) else None


def chosen_before(request: HttpRequest) -> list[int] | None:
    """The keys that an earlier page of this action has counted; None on its first page."""
    return unpacked(request.POST.get(FIELD, ""))


def chosen_keys(request: HttpRequest, queryset: QuerySet[Any]) -> list[int]:
    """In their order. On the action's first page, those that the list has now."""
    keys = chosen_before(request)
    if keys is None:
        keys = list(queryset.prefetch_related(None).order_by("pk").values_list("pk", flat=True))
    return keys


def in_slices(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    """So many at a time as a statement takes as parameters."""
    return (keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE))
