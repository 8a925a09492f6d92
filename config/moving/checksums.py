"""A table's checksum over all rows and columns, alike whichever database they are read from."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from config.moving.tables import WHOLE_LENGTH, Table

MODULUS = 1 << 128
# More digits than a number in JSON has.
EXACT = Context(prec=2000)


@dataclass
class Checksum:
    """The rows' hashes, added up: so their order, in which the databases differ for texts, does not matter."""

    rows: int = 0
    total: int = 0

    def add(self, row: Sequence[Any]) -> None:
        digest = blake2b(repr(tuple(row)).encode(errors="surrogatepass"), digest_size=16).digest()
        self.total = (self.total + int.from_bytes(digest, "little")) % MODULUS
        self.rows += 1


def added_up(table: Table, rows: Iterator[Sequence[Any]]) -> Iterator[Checksum]:
    """The checksum after each row, of values as SQLite holds them."""
    documents = table.places_of("JSONField")
    decimals = table.places_of("DecimalField")
    padded = [(place, length) for kind, length in WHOLE_LENGTH.items() for place in table.places_of(kind)]
    checksum = Checksum()
    for row in rows:
        values = list(row)
        for place, length in padded:
            if values[place] is not None and len(values[place]) < length:
                values[place] = _with_microseconds(values[place], length)
        for place in decimals:
            # PostgreSQL keeps the zeros behind the point; SQLite has a number, whole or not.
            if values[place] is not None:
                values[place] = _digits(str(values[place]))
        for place in documents:
            if values[place] is not None:
                values[place] = canonical(values[place])
        checksum.add(values)
        yield checksum


def _with_microseconds(text: str, length: int) -> str:
    return (text if "." in text else f"{text}.").ljust(length, "0")


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """One text for whatever PostgreSQL takes for the same: it sorts keys, and writes numbers its own way."""
    return json.dumps(json.loads(text, parse_int=_number, parse_float=_number), sort_keys=True)


def _number(text: str) -> list[str]:
    return ["number", _digits(text)]


def _digits(text: str) -> str:
    return str(Decimal(text).normalize(EXACT))
