"""Reading CSV: UTF-8, or UTF-16 that says so; commas, semicolons or tabs."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator

from customers.importing.tables import MOST_COLUMNS, Row, UnreadableFile, require_no_nul, time_limit, too_wide

# A longer line is no row of a table, and is not taken apart; quoted cells may hold some delimiters too.
MOST_DELIMITERS = 20 * MOST_COLUMNS

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
_DELIMITERS = ",;\t"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def rows_of_csv(data: bytes) -> Iterator[Row]:
    """The rows with their numbers, as a spreadsheet counts them. Raises UnreadableFile, with row and remedy."""
    text = _decoded(data)
    lines = io.StringIO(text, newline="")
    delimiter = _delimiter_of(text[: text.find("\n") + 1] or text)
    if separator := _SEPARATOR_LINE.match(text):  # a line for Excel, which does not show it
        delimiter = separator[1]
        lines.seek(separator.end())
    require_time = time_limit()
    reader = csv.reader(_short(lines, delimiter), delimiter=delimiter, strict=True)
    number = 0
    try:
        for cells in reader:
            number += 1
            require_time()
            if any(cell.strip() for cell in cells[MOST_COLUMNS:]):
                raise too_wide(number)
            require_no_nul(number, delimiter.join(cells))
            yield number, cells
    except csv.Error as error:
        raise UnreadableFile(
            f"Row {number + 1} cannot be read: a double quote is not closed, or stands where none may ({error}). "
            'Put a cell that holds a double quote into double quotes, and write the one it holds twice: "5"" screen".'
        ) from error


def _decoded(data: bytes) -> str:
    if data.startswith(_WORKBOOKS):
        raise UnreadableFile(
            "This is a workbook, no CSV file. Choose the format XLSX; save an older one (XLS) as XLSX."
        )
    try:
        return data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(
            f"Line {line} is not in UTF-8. Save it as CSV in UTF-8 (in Excel: CSV UTF-8), or as XLSX."
        ) from error


def _delimiter_of(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _short(lines: Iterable[str], delimiter: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line.count(delimiter) > MOST_DELIMITERS:
            raise too_wide(number)
        yield line
