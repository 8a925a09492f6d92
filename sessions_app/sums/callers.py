"""Sets of callers, packed: whole numbers of eight bytes, in order. Pure."""

import sys
from array import array
from collections.abc import Iterable
from hashlib import blake2b


def caller_number(customer_id: int | None, phone_key: str, external_id: str) -> int | None:
    """A caller as a number: the customer's own, else a negative one made of the number or LiveTok's customer id.

    None where a session names nobody. Of a million strangers, two share a number once in ten million such sets.
    """
    if customer_id is not None:
        return customer_id
    name = f"number {phone_key}" if phone_key else f"id {external_id}" if external_id else ""
    if not name:
        return None
    # One bit less, so that it fits eight signed bytes; negative, as no customer's id is.
    return -1 - (int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) >> 1)


def pack(callers: Iterable[int]) -> bytes:
    numbers = array("q", sorted(callers))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def unpack(packed: bytes | memoryview) -> "array[int]":
    numbers: array[int] = array("q")
    numbers.frombytes(packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
