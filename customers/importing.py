"""Customers from and to spreadsheets: one row a customer, nothing half imported. Pages: `customers.admin.imports`."""

import contextlib
import csv
import io
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
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
from simple_history.utils import bulk_create_with_history

from customers.editing import change_reason, described, lock_customer, number_key, replace_numbers
from customers.models import Customer, PhoneNumber, Tier

MOST_ROWS = 5_000
KEPT_SECONDS = 24 * 60 * 60

_FORMULA = re.compile(r"^\s*[=+\-@]")
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
    """`tiers` is filled once for each file."""

    def __init__(self) -> None:
        super().__init__()
        self.tiers: dict[str, Tier] = {}

    def clean(self, value: Any, row: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        slug = text_of(value)
        if slug not in self.tiers:
            known = ", ".join(sorted(slug for slug, tier in self.tiers.items() if tier.is_active))
            raise ValueError(f'"{slug}" is no tier. Give one of: {known}.')
        return self.tiers[slug]

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


def _cells(resource: resources.Resource, instance: Any) -> list[str]:
    return [text_of(field.export(instance)) for field in resource.get_import_fields()]


def _difference(old: str, new: str) -> SafeString:
    if old == new:
        return format_html("{}", new)
    if not old:
        return format_html("<ins>{}</ins>", new)
    return format_html("<del>{}</del> <ins>{}</ins>", old, new) if new else format_html("<del>{}</del>", old)


class CustomerResource(resources.ModelResource):
    """Matched by external id; absent columns leave what there is.

    What the rows are matched with is read at once before the first, and a preview only reads: on SQLite a transaction
    would keep begins waiting.
    """

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
        report_skipped = True
        use_transactions = True
        skip_diff = True  # it would copy every customer; `skip_row` compares cells instead

    columns_not_read: list[str] = []
    is_preview = False

    def filter_export(self, queryset: QuerySet[Customer], **kwargs: Any) -> QuerySet[Customer]:
        return queryset.select_related("tier").prefetch_related("numbers")

    def import_data(self, dataset: tablib.Dataset, dry_run: bool = False, **kwargs: Any) -> Any:
        self.is_preview = dry_run
        if not dry_run:
            return super().import_data(dataset, **kwargs)
        kwargs = {"file_name": kwargs.get("file_name"), "user": kwargs.get("user")}
        return self.import_data_inner(
            dataset, dry_run=True, raise_errors=False, using_transactions=False, collect_failed_rows=False, **kwargs
        )

    # Before the first row

    def before_import(self, dataset: tablib.Dataset, **kwargs: Any) -> None:
        try:
            self._read_headers(dataset)
        except ValueError:
            dataset.wipe()  # else every row would be tried, and fail
            raise
        self._why = f"import of {kwargs.get('file_name') or 'a file'}"[:100]
        self._user = kwargs.get("user")
        self._new: list[Customer] = []
        self._row_of_id: dict[str, int] = {}
        self._row_of_number: dict[str, int] = {}
        self.fields["tier"].widget.tiers = {tier.slug: tier for tier in Tier.objects.all()}
        self._read_customers(dataset)
        self._read_owners(dataset)

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

    def _read_customers(self, dataset: tablib.Dataset) -> None:
        """The stored customers of the file; locked in one order where this is the import itself."""
        stored = Customer.objects.select_related("tier").prefetch_related("numbers").order_by("pk")
        if not self.is_preview:
            stored = stored.select_for_update(of=("self",), no_key=True)
        self._customers: dict[str, Customer] = {}
        for ids in _in_parts(text_of(cell) for cell in dataset["external_id"]):
            self._customers |= {str(found.external_id): found for found in stored.filter(external_id__in=ids)}

    def _read_owners(self, dataset: tablib.Dataset) -> None:
        """Who has the file's numbers now."""
        cells = dataset["numbers"] if "numbers" in dataset.headers else []
        self._owners: dict[str, Customer] = {}
        for keys in _in_parts(key for cell in cells for key in _keys_of(cell)):
            for number in PhoneNumber.objects.filter(key__in=keys).select_related("customer__tier"):
                self._owners[number.key] = number.customer

    # Row by row

    def before_import_row(self, row: dict[str, Any], **kwargs: Any) -> None:
        external_id = text_of(row["external_id"])
        if not external_id:
            raise ValidationError({"external_id": "Give the customer's id in your CRM; rows are matched by it."})
        if (first := self._row_of_id.setdefault(external_id, kwargs["row_number"])) != kwargs["row_number"]:
            raise ValidationError({"external_id": f'"{external_id}" is in row {first + 1} too. Leave one of them.'})
        row["external_id"] = external_id

    def get_instance(self, instance_loader: Any, row: dict[str, Any]) -> Customer | None:
        """The customer with the external id; else the first contact who has one of the row's numbers."""
        return self._customers.get(row["external_id"]) or self._first_contact(row)

    def _first_contact(self, row: dict[str, Any]) -> Customer | None:
        for key in _keys_of(row.get("numbers")):
            owner = self._owners.get(key)
            if owner is not None and owner.is_provisional():
                return owner if self.is_preview else lock_customer(owner.pk)
        return None

    def after_init_instance(self, instance: Customer, new: bool, row: dict[str, Any], **kwargs: Any) -> None:
        self._before = [""] * len(self.fields) if new else _cells(self, instance)
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
        elif instance.tier_id != tier_before and not instance.tier.is_active:
            problems["tier"] = [f'"{instance.tier.slug}" is not offered any more. Give an active tier.']
        problems |= self._number_problems(instance, kwargs["row_number"])
        if problems:
            raise ValidationError(problems)

    def _number_problems(self, instance: Customer, row_number: int) -> dict[str, list[str]]:
        """What `replace_numbers` would refuse, found without writing."""
        problems = []
        kept = set()
        for text in getattr(instance, "wanted_numbers", []):
            try:
                key = number_key(text)
            except ValidationError as error:
                problems += error.messages
                continue
            kept.add(key)
            owner = self._owners.get(key)
            if (first := self._row_of_number.setdefault(key, row_number)) != row_number:
                problems.append(f"{text} is in row {first + 1} too. Leave one of them.")
            elif owner is not None and owner.pk != instance.pk and not owner.is_provisional():
                problems.append(f"{text} belongs to {described(owner)}. Remove it there first.")
        if instance.pk and hasattr(instance, "wanted_numbers"):
            for number in instance.numbers.all():
                if number.key not in kept:
                    self._owners.pop(number.key, None)  # free for the rows below
        return {"numbers": problems} if problems else {}

    def validate_instance(
        self, instance: Customer, import_validation_errors: Any = None, validate_unique: bool = True
    ) -> None:
        """Fields alone: the rows were matched by what is unique, and no constraint is on these columns."""
        errors = dict(import_validation_errors or {})
        try:
            instance.clean_fields(exclude={"tier", "context", *errors})
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def skip_row(
        self, instance: Customer, original: Any, row: dict[str, Any], import_validation_errors: Any = None
    ) -> bool:
        self._after = _cells(self, instance)
        return instance.pk is not None and not import_validation_errors and self._after == self._before

    def after_import_row(self, row: dict[str, Any], row_result: Any, **kwargs: Any) -> None:
        if self.is_preview:
            row_result.diff = [_difference(old, new) for old, new in zip(self._before, self._after, strict=True)]

    def save_instance(self, instance: Customer, is_create: bool, row: dict[str, Any], **kwargs: Any) -> None:
        if self.is_preview:
            return
        if is_create:
            self._new.append(instance)
            return
        change_reason(instance, self._why)
        instance.save()
        wanted = getattr(instance, "wanted_numbers", None)
        if wanted is not None:
            try:
                replace_numbers(instance, wanted, why=self._why)
            except ValidationError as error:
                raise ValidationError({"numbers": error.messages}) from error

    # After the last row

    def after_import(self, dataset: tablib.Dataset, result: Any, **kwargs: Any) -> None:
        result.columns_not_read = self.columns_not_read
        if not self.is_preview and not result.has_errors() and not result.has_validation_errors():
            self._make_new()

    def _make_new(self) -> None:
        """All new customers at once, for the same reason as a preview only reads. Their numbers are nobody's."""
        told = {"batch_size": 500, "default_user": self._user, "default_change_reason": self._why}
        made = bulk_create_with_history(self._new, Customer, **told)
        numbers = [
            PhoneNumber(customer=customer, number=text, key=key)
            for customer in made
            for key, text in {number_key(text): text for text in getattr(customer, "wanted_numbers", [])}.items()
        ]
        bulk_create_with_history(numbers, PhoneNumber, **told)


def _keys_of(cell: Any) -> list[str]:
    """The keys of a cell's numbers; those that are none are refused elsewhere."""
    keys = []
    for text in NumbersCell().clean(cell):
        with contextlib.suppress(ValidationError):
            keys.append(number_key(text))
    return keys


def _in_parts(items: Iterable[str]) -> Iterator[list[str]]:
    """Databases take only so many parameters at once."""
    remaining = iter(dict.fromkeys(items))
    while part := list(islice(remaining, 500)):
        yield part


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
