"""Tables as files: CSV that streams however long it is, and XLSX up to a number of rows."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from tempfile import TemporaryFile
from typing import Any, TypeAlias

from django.http import FileResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

FORMATS = ("csv", "xlsx")
MOST_XLSX_ROWS = 100_000
ROWS_AT_ONCE = 500
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Row: TypeAlias = Sequence[Any]


class TooManyRows(Exception):
    """An XLSX of so many rows is not made; CSV is."""


def export(name: str, file_format: str, columns: Sequence[str], rows: Iterable[Row]) -> HttpResponseBase:
    """The rows under their columns as a download. Cells are texts, numbers, moments, days or None.

    Texts that a spreadsheet would take for a formula are escaped. Raises TooManyRows for XLSX alone.
    """
    if file_format == "csv":
        response: HttpResponseBase = StreamingHttpResponse(_csv(columns, rows), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        response["Cache-Control"] = "no-store"
        return response
    return FileResponse(_xlsx(columns, rows), as_attachment=True, filename=f"{name}.xlsx", content_type=XLSX)


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    """RFC 4180 in UTF-8, with the mark by which spreadsheets know it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    yield "\ufeff".encode() + _taken(buffer)
    rows = iter(rows)
    while some := list(islice(rows, ROWS_AT_ONCE)):
        writer.writerows([[_csv_cell(cell) for cell in row] for row in some])
        yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _csv_cell(cell: Any) -> Any:
    if isinstance(cell, str):
        return without_formula(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="seconds")
    return cell


def without_formula(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would compute it (OWASP, CSV injection).

    A phone number stays as it is: its plus computes nothing.
    """
    return f"'{text}" if text[:1] in _FORMULA_STARTS and not _PHONE_NUMBER.fullmatch(text) else text


_FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
_PHONE_NUMBER = re.compile(r"\+[0-9]+")


def _xlsx(columns: Sequence[str], rows: Iterable[Row]) -> Any:
    rows = iter(rows)
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet()
    sheet.append(list(columns))
    for row in islice(rows, MOST_XLSX_ROWS):
        sheet.append([_xlsx_cell(cell) for cell in row])
    if next(rows, None) is not None:
        sheet.close()
        raise TooManyRows
    file = TemporaryFile()  # noqa: SIM115 - the response closes it
    workbook.save(file)
    file.seek(0)
    return file


def _xlsx_cell(cell: Any) -> Any:
    """Excel knows no time zones, and no control characters."""
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=None)
    if isinstance(cell, str):
        return ILLEGAL_CHARACTERS_RE.sub("", without_formula(cell))
    return cell if isinstance(cell, date | int | float | None) else str(cell)
