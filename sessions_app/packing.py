"""Bytes that nobody asks the database about, packed: what most of them say stands once, in a dictionary. Pure.

It is zlib's own format (RFC 1950), whose head has a checksum of the dictionary and whose tail one of the bytes. So
packed bytes are told from plain ones, which is what stood there before anything was packed, and damaged ones from both.

What is packed is stored for years: a dictionary is never changed. A better one would be another file beside it, with a
migration, so that no older code meets what it packed.
"""

import zlib
from pathlib import Path

# At most 4 KB, as far back as `_WINDOW_BITS` reach, without the ends of its lines. What is most common stands last,
# where it takes least to name.
_DICTIONARY = "".join(Path(__file__).with_name("packing_1.txt").read_text().splitlines()).encode()
_LEVEL, _WINDOW_BITS, _MEMORY = 6, 12, 3
# It has read the dictionary; a copy of it takes half the time of another one that reads it again.
_PACKER = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
# What LiveTok sends is much shorter. Who sends more shall not leave much behind that takes little room.
LONGEST = 4096
# By the checksum by which a head names it.
DICTIONARIES = {zlib.adler32(_DICTIONARY).to_bytes(4, "big"): _DICTIONARY}


class Damaged(ValueError):
    """Packed bytes that are not what was packed."""


def pack(plain: bytes) -> bytes:
    """Fewer bytes from which `unpack` makes the same ones. Long ones stay plain, and those that it makes no fewer."""
    if len(plain) > LONGEST and not _dictionary_of(plain):
        return plain
    packer = _PACKER.copy()
    packed = packer.compress(plain) + packer.flush()
    return packed if len(packed) < len(plain) or _dictionary_of(plain) else plain


def unpack(stored: bytes) -> bytes:
    """What was packed; what never was comes back as it is. Raises Damaged."""
    dictionary = _dictionary_of(stored)
    if dictionary is None:
        return stored
    unpacker = zlib.decompressobj(zdict=dictionary)
    try:
        plain = unpacker.decompress(stored)
    except zlib.error as error:
        raise Damaged(str(error)) from error
    if not unpacker.eof or unpacker.unused_data:
        raise Damaged("packed bytes were cut off, or have others behind them")
    return plain


def _dictionary_of(stored: bytes) -> bytes | None:
    """The dictionary that packed bytes name in their head; None of plain ones."""
    return DICTIONARIES.get(bytes(stored[2:6])) if stored[:1] == b"\x48" else None
