"""Tables as files: CSV that streams however long it is, and XLSX up to a number of rows."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from tempfile import TemporaryFile
from typing import Any, TypeAlias

from django.http import FileResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from openpyxl import Workbook

from customers.downloads import one_of_few
from customers.spreadsheets import csv_cell, xlsx_cell
from sessions_app.database.replica import Reading, current_reading, reading_from

FORMATS = ("csv", "xlsx")
MOST_XLSX_ROWS = 100_000
ROWS_AT_ONCE = 500
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Row: TypeAlias = Sequence[Any]


class TooManyRows(Exception):
    """An XLSX of so many rows is not made; CSV is."""


@one_of_few
def export(name: str, file_format: str, columns: Sequence[str], rows: Iterable[Row]) -> HttpResponseBase:
    """The rows under their columns as a download. Cells are texts, numbers, moments, days or None.

    What they may hold `customers.spreadsheets` decides. Raises TooManyRows for XLSX alone.
    """
    if file_format == "csv":
        response: HttpResponseBase = StreamingHttpResponse(
            _csv(columns, rows, current_reading()), content_type="text/csv; charset=utf-8"
        )
        response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        response["Cache-Control"] = "no-store"
        return response
    return FileResponse(_xlsx(columns, rows), as_attachment=True, filename=f"{name}.xlsx", content_type=XLSX)


def _csv(columns: Sequence[str], rows: Iterable[Row], reading: Reading | None) -> Iterator[bytes]:
    """RFC 4180 in UTF-8, with the mark by which spreadsheets know it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(map(csv_cell, columns))
    yield "\ufeff".encode() + _taken(buffer)
    rows = iter(rows)
    while some := _some(rows, reading):
        writer.writerows([map(csv_cell, row) for row in some])
        yield _taken(buffer)


def _some(rows: Iterator[Row], reading: Reading | None) -> list[Row]:
    with reading_from(reading):  # the page that was asked for is long answered
        return list(islice(rows, ROWS_AT_ONCE))


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _xlsx(columns: Sequence[str], rows: Iterable[Row]) -> Any:
    rows = iter(rows)
    # Otherwise openpyxl keeps every cell as an object until the file is saved.
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet()
    sheet.append([xlsx_cell(column) for column in columns])
    for row in islice(rows, MOST_XLSX_ROWS):
        sheet.append([xlsx_cell(cell) for cell in row])
    if next(rows, None) is not None:
        sheet.close()
        raise TooManyRows
    file = TemporaryFile()  # noqa: SIM115 - the response closes it
    workbook.save(file)
    file.seek(0)
    return file
