"""The formats of imports and exports, as the library behind the admin's pages wants them."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import tablib
from import_export.formats.base_formats import CSV, XLSX
from openpyxl import Workbook

from customers.importing.cells import COLUMNS, KEY_COLUMN
from customers.importing.delimited import rows_of_csv
from customers.importing.tables import Row, table_of
from customers.importing.workbooks import rows_of_xlsx
from customers.spreadsheets import csv_cell, xlsx_cell


class FileRows(tablib.Dataset):
    """A file's rows with their numbers in it."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Row], columns_not_read: Sequence[str] = ()) -> None:
        super().__init__(*(cells for _, cells in rows), headers=columns)
        self.numbers = [number for number, _ in rows]
        self.columns_not_read = columns_not_read

    def part(self, places: Sequence[int]) -> "FileRows":
        return FileRows(self.headers, [(self.numbers[place], self[place]) for place in places])


def _file_rows(rows: Iterator[Row]) -> FileRows:
    table = table_of(rows, COLUMNS, KEY_COLUMN)
    return FileRows(table.columns, table.rows, table.columns_not_read)


class CustomerCsv(CSV):
    """Bytes both ways: which encoding a file has, only its beginning tells."""

    def create_dataset(self, in_stream: bytes, **kwargs: Any) -> FileRows:
        return _file_rows(rows_of_csv(in_stream))

    def export_data(self, dataset: tablib.Dataset, **kwargs: Any) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerows(map(csv_cell, row) for row in (dataset.headers, *dataset))
        return text.getvalue().encode("utf-8-sig")

    def is_binary(self) -> bool:
        return True

    def get_read_mode(self) -> str:
        return "rb"


class CustomerXlsx(XLSX):
    def create_dataset(self, in_stream: bytes) -> FileRows:
        return _file_rows(rows_of_xlsx(in_stream))

    def export_data(self, dataset: tablib.Dataset, **kwargs: Any) -> bytes:
        workbook = Workbook(write_only=True)
        sheet = workbook.create_sheet("Customers")
        for row in (dataset.headers, *dataset):
            sheet.append([xlsx_cell(cell) for cell in row])
        file = io.BytesIO()
        workbook.save(file)
        return file.getvalue()
