"""What a cell of every file that leaves may hold, and how a reader takes that back. Files are made elsewhere."""

import re
import unicodedata
from datetime import date, datetime
from decimal import Decimal
from typing import Any

MOST_CHARACTERS = 32_767  # of a cell in Excel, which counts UTF-16

# All that XML 1.0 cannot hold (section 2.2), lone surrogates included.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile(r"\r\n?")  # which XML's readers make a line feed of
_FORMULA_STARTS = frozenset("=+-@")
_PHONE_NUMBERS = re.compile(r"\+[0-9][0-9 ().]*(?:; \+[0-9][0-9 ().]*)*")
_LOOKS_ESCAPED = re.compile("_(?=x[0-9A-Fa-f]{4}_)")


def cell_of(value: Any) -> Any:
    """The value as every file holds it: texts cleaned, cut and marked; numbers, days, moments and None as they are."""
    if isinstance(value, str):
        return _cut(marked(cleaned(value)))
    return value if isinstance(value, date | int | float | Decimal | None) else cell_of(str(value))


def csv_cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return cell_of(value)


def xlsx_cell(value: Any) -> Any:
    """Excel knows no time zones, and takes `_x0041_` in a text for an A."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    cell = cell_of(value)
    return _LOOKS_ESCAPED.sub("_x005F_", cell) if isinstance(cell, str) else cell


def cleaned(text: str) -> str:
    """The text without what XML or a spreadsheet cannot hold."""
    return _UNWRITABLE.sub("", _LINE_BREAK.sub("\n", text))


def marked(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would compute it (OWASP, CSV injection).

    So has what would be read as such a mark; `unmarked` takes off exactly what this puts on.
    """
    return f"'{text}" if is_formula(text.lstrip("'")) else text


def unmarked(text: str) -> str:
    return text[1:] if text.startswith("'") and is_formula(text.lstrip("'")) else text


def is_formula(text: str) -> bool:
    """Whether some spreadsheet would compute the text, or drop what stands before a formula in it and then do so.

    Phone numbers compute nothing but themselves.
    """
    if text[:1].isascii() and text[:1].isalnum():  # nearly always
        return False
    if text.startswith(("\t", "\n", "\r")):
        return True
    first = next((char for char in text if not _is_invisible(char)), "")
    if unicodedata.normalize("NFKC", first)[:1] not in _FORMULA_STARTS:
        return False
    return _PHONE_NUMBERS.fullmatch(text) is None


def _is_invisible(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) in ("Cc", "Cf")


def _cut(text: str) -> str:
    if len(text) <= MOST_CHARACTERS // 2:
        return text
    units = text.encode("utf-16-le")
    if len(units) <= 2 * MOST_CHARACTERS:
        return text
    return units[: 2 * MOST_CHARACTERS - 2].decode("utf-16-le", errors="ignore") + "…"
