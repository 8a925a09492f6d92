"""Customers from and to spreadsheets: one row a customer, nothing half imported. Pages: `customers.admin.imports`."""

import csv
import io
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import tablib
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString
from import_export import fields, resources, widgets
from import_export.formats.base_formats import CSV, XLSX
from import_export.tmp_storages import BaseStorage

from customers.editing import adoptable, change_reason, lock_customer, replace_numbers
from customers.models import Customer, Tier

MOST_ROWS = 5_000
KEPT_SECONDS = 24 * 60 * 60

_FORMULA = re.compile(r"^[=+\-@\t\r]")
_NUMBERS = re.compile(r"^\+[\d\s().;+]*$")


def text_of(cell: Any) -> str:
    """A cell as the text that its reader sees; an apostrophe that marks text in a spreadsheet is no part of it."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).strip()
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def harmless(text: str) -> str:
    """The text so that no spreadsheet takes it for a formula. Phone numbers cannot be one, and stay."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBERS.match(text) else text


class Cell(widgets.Widget):
    def clean(self, value: Any, row: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        return text_of(value)

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return harmless("" if value is None else str(value))


class TierCell(Cell):
    def clean(self, value: Any, row: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        slug = text_of(value)
        tier = Tier.objects.filter(slug=slug).first()
        if tier is None:
            known = ", ".join(Tier.objects.filter(is_active=True).values_list("slug", flat=True))
            raise ValueError(f'"{slug}" is no tier. Give one of: {known}.')
        return tier

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return value.slug if value is not None else ""


class StatusCell(Cell):
    def clean(self, value: Any, row: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        status = text_of(value).lower()
        if status not in Customer.Status.values:
            raise ValueError(f'"{text_of(value)}" is no status. Give one of: {", ".join(Customer.Status.values)}.')
        return status


class NumbersCell(Cell):
    def clean(self, value: Any, row: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        return [number.strip() for number in text_of(value).split(";") if number.strip()]

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return harmless("; ".join(value or []))


class Column(fields.Field):
    """A column. Where a customer must have something, a blank cell leaves what there is."""

    def __init__(self, name: str, widget: widgets.Widget, *, is_kept_where_blank: bool = False) -> None:
        super().__init__(attribute=name, column_name=name, widget=widget)
        self.is_kept_where_blank = is_kept_where_blank

    def save(self, instance: Any, row: Mapping[str, Any], is_m2m: bool = False, **kwargs: Any) -> None:
        if self.is_kept_where_blank and not text_of(row[self.column_name]):
            return
        setattr(instance, self.attribute, self.clean(row, **kwargs))


class NumbersColumn(Column):
    """The list replaces the customer's; it is saved after the customer."""

    def save(self, instance: Any, row: Mapping[str, Any], is_m2m: bool = False, **kwargs: Any) -> None:
        instance.wanted_numbers = self.clean(row, **kwargs)

    def get_value(self, instance: Any) -> list[str]:
        """Sorted, since their order says nothing: a row in another order is unchanged."""
        wanted: list[str] | None = getattr(instance, "wanted_numbers", None)
        if wanted is None:
            wanted = [number.number for number in instance.numbers.all()] if instance.pk else []
        return sorted(wanted)


class Difference:
    """A row's columns before and after, as the preview shows them."""

    def __init__(self, resource: resources.Resource, instance: Any, new: bool) -> None:
        self.before = [] if new else _cells(resource, instance)
        self.after: list[str] = []

    def compare_with(self, resource: resources.Resource, instance: Any, dry_run: bool = False) -> None:
        self.after = _cells(resource, instance) if instance else []

    def as_html(self) -> list[SafeString]:
        before = self.before or [""] * len(self.after)
        return [_difference(old, new) for old, new in zip(before, self.after, strict=True)]


def _cells(resource: resources.Resource, instance: Any) -> list[str]:
    return [text_of(field.export(instance)) for field in resource.get_import_fields()]


def _difference(old: str, new: str) -> SafeString:
    if old == new:
        return format_html("{}", new)
    if not old:
        return format_html("<ins>{}</ins>", new)
    return format_html("<del>{}</del> <ins>{}</ins>", old, new) if new else format_html("<del>{}</del>", old)


class CustomerResource(resources.ModelResource):
    """Matched by external id; absent columns leave what there is."""

    external_id = Column("external_id", Cell())
    name = Column("name", Cell())
    email = Column("email", Cell())
    tier = Column("tier", TierCell(), is_kept_where_blank=True)
    status = Column("status", StatusCell(), is_kept_where_blank=True)
    time_zone = Column("time_zone", Cell())
    numbers = NumbersColumn("numbers", NumbersCell())

    class Meta:
        model = Customer
        fields = ("external_id", "name", "email", "tier", "status", "time_zone", "numbers")
        import_id_fields = ("external_id",)
        clean_model_instances = True
        skip_unchanged = True
        report_skipped = True
        use_transactions = True

    def get_queryset(self) -> QuerySet[Customer]:
        return Customer.objects.select_related("tier").prefetch_related("numbers")

    @classmethod
    def get_diff_class(cls) -> type[Difference]:
        return Difference

    def filter_export(self, queryset: QuerySet[Customer], **kwargs: Any) -> QuerySet[Customer]:
        return queryset.select_related("tier").prefetch_related("numbers")

    # Reading a file

    columns_not_read: list[str] = []

    def before_import(self, dataset: tablib.Dataset, **kwargs: Any) -> None:
        try:
            self._read_headers(dataset)
        except ValueError:
            dataset.wipe()  # else every row would be tried, and fail
            raise
        self._seen: dict[str, int] = {}
        self._tiers_not_offered = set(Tier.objects.filter(is_active=False))
        self._file_name = str(kwargs.get("file_name") or "a file")

    def _read_headers(self, dataset: tablib.Dataset) -> None:
        headers = [str(header or "").strip().lower().replace(" ", "_") for header in dataset.headers or []]
        if "external_id" not in headers:
            raise ValueError('The file has no column "external_id". Its first row must name the columns.')
        if repeated := sorted({name for name in headers if name and headers.count(name) > 1}):
            raise ValueError(f"More than one column is named {', '.join(repeated)}. Leave one.")
        if len(dataset) > MOST_ROWS:
            raise ValueError(f"The file has more than {MOST_ROWS} rows. Divide it, or use the API.")
        dataset.headers = headers
        self.columns_not_read = [name for name in headers if name and name not in self.fields]

    def after_import(self, dataset: tablib.Dataset, result: Any, **kwargs: Any) -> None:
        result.columns_not_read = self.columns_not_read

    def before_import_row(self, row: dict[str, Any], **kwargs: Any) -> None:
        external_id = text_of(row["external_id"])
        if not external_id:
            raise ValidationError({"external_id": "Give the customer's id in your CRM; rows are matched by it."})
        if (first := self._seen.setdefault(external_id, kwargs["row_number"])) != kwargs["row_number"]:
            raise ValidationError({"external_id": f'"{external_id}" is in row {first + 1} too. Leave one of them.'})
        row["external_id"] = external_id

    def get_instance(self, instance_loader: Any, row: dict[str, Any]) -> Customer | None:
        """The customer with the external id; else the first contact who has one of the row's numbers."""
        found = super().get_instance(instance_loader, row)
        if found is not None:
            return lock_customer(found.pk)
        return adoptable(NumbersCell().clean(row.get("numbers")))

    def after_init_instance(self, instance: Customer, new: bool, row: dict[str, Any], **kwargs: Any) -> None:
        if new:
            instance.source = Customer.Source.IMPORT

    def import_instance(self, instance: Customer, row: dict[str, Any], **kwargs: Any) -> None:
        tier_before: int | None = instance.tier_id
        problems: dict[str, Any] = {}
        try:
            super().import_instance(instance, row, **kwargs)
        except ValidationError as error:
            problems = error.update_error_dict({})
        if getattr(instance, "tier_id", None) is None:
            problems.setdefault("tier", ["A new customer needs a tier. Give its slug."])
        elif instance.tier_id != tier_before and instance.tier in self._tiers_not_offered:
            problems["tier"] = [f'"{instance.tier.slug}" is not offered any more. Give an active tier.']
        if problems:
            raise ValidationError(problems)

    def before_save_instance(self, instance: Customer, row: dict[str, Any], **kwargs: Any) -> None:
        change_reason(instance, f"import of {self._file_name}")

    def after_save_instance(self, instance: Customer, row: dict[str, Any], **kwargs: Any) -> None:
        wanted = getattr(instance, "wanted_numbers", None)
        if wanted is None:
            return
        try:
            replace_numbers(instance, wanted, why=f"import of {self._file_name}")
        except ValidationError as error:
            raise ValidationError({"numbers": error.messages}) from error


class CustomerCsv(CSV):
    """CSV in UTF-8, with commas, or with semicolons as spreadsheets of some countries write it."""

    def create_dataset(self, in_stream: Any, **kwargs: Any) -> tablib.Dataset:
        text = in_stream.decode("utf-8-sig") if isinstance(in_stream, bytes) else str(in_stream)
        header = text.partition("\n")[0]
        delimiter = ";" if ";" in header and "," not in header else ","
        return _dataset(list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)))


class CustomerXlsx(XLSX):
    """The first sheet."""

    def create_dataset(self, in_stream: bytes) -> tablib.Dataset:
        read = super().create_dataset(in_stream)
        return _dataset([list(read.headers or []), *(list(row) for row in read)])


def _dataset(rows: list[list[Any]]) -> tablib.Dataset:
    """Every row as long as the header, and no blank ones at the end: spreadsheets leave cells out, or add some."""
    while rows and not any(text_of(cell) for cell in rows[-1]):
        rows.pop()
    if not rows:
        return tablib.Dataset()
    width = len(rows[0])
    dataset = tablib.Dataset(headers=rows[0])
    for row in rows[1:]:
        dataset.append((row + [""] * width)[:width])
    return dataset


class UnknownUpload(Exception):
    """A name that no upload has."""


class KeptUpload(BaseStorage):
    """An uploaded file between preview and confirmation: in the data folder, for a day at most."""

    def _folder(self) -> Path:
        folder: Path = settings.DATA_DIR / "uploads"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _path(self) -> Path:
        if not re.fullmatch(r"[0-9a-f]{32}", self.name or ""):
            raise UnknownUpload(self.name)
        return self._folder() / self.name

    def save(self, data: bytes) -> None:
        for path in self._folder().iterdir():
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink(missing_ok=True)
        self.name = uuid4().hex
        self._path().touch(mode=0o600)
        self._path().write_bytes(data)

    def read(self) -> bytes:
        return self._path().read_bytes()

    def remove(self) -> None:
        self._path().unlink(missing_ok=True)
