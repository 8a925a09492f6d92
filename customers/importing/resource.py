"""What the rows of a file mean for customers: whom they are matched with, what is wrong in them, what they change."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from import_export import resources
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from customers.editing import change_reason, described, number_changes, number_key, replace_numbers
from customers.importing.cells import (
    COLUMNS,
    KEY_COLUMN,
    Cell,
    Column,
    NumbersCell,
    NumbersColumn,
    StatusCell,
    TierCell,
    numbers_of,
    text_of,
)
from customers.importing.formats import FileRows
from customers.importing.results import MOST_LISTED, ChangedRow, ImportResult, Remark, changed_row
from customers.importing.shown import Marks, marks_of, untouched
from customers.masking import may_see_numbers
from customers.models import Customer, PhoneNumber, Tier
from customers.phones import is_number
from customers.search.keeping import keep_search_keys
from customers.settling import settle_customers
from customers.spreadsheets import cell_of

NO_ID = (
    "Give the customer's id in your CRM; rows are matched by it. Only a row whose numbers all belong to one customer "
    "without an id needs none."
)
CHANGED_MEANWHILE = "Somebody changed this customer after the preview. Import the file again, and look at this row."


def _cells(resource: resources.Resource, instance: Any) -> list[str]:
    """As they would be read again from an export: what differs only in what no file can hold is the same."""
    return [text_of(cell_of(field.export(instance))) for field in resource.get_import_fields()]


class CustomerResource(resources.ModelResource):
    """Matched by external id, and customers without one by their numbers; absent columns leave what there is.

    What the rows are matched with is read at once before the first row. A preview only reads. `store` takes rows that a
    preview has found good, a few at a time, and writes them after the last in as few statements as it can.

    `shown` are the marks of the preview that somebody has looked at; None: nobody has, and nothing is compared.
    """

    external_id = Column("external_id", Cell(), is_kept_where_blank=True)
    name = Column("name", Cell())
    email = Column("email", Cell())
    tier = Column("tier", TierCell(), is_kept_where_blank=True)
    status = Column("status", StatusCell(), is_kept_where_blank=True)
    time_zone = Column("time_zone", Cell())
    numbers = NumbersColumn("numbers", NumbersCell())

    class Meta:
        model = Customer
        fields = COLUMNS
        import_id_fields = (KEY_COLUMN,)
        report_skipped = True
        skip_diff = True  # it would copy every customer; `skip_row` compares cells instead

    is_preview = True

    def __init__(self, shown: Marks | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._marks_shown = shown

    @classmethod
    def get_result_class(cls) -> type[ImportResult]:
        return ImportResult

    def get_export_fields(self, selected_fields: Any = None) -> Any:
        """Without the columns that may not be seen: masked, they would come back as numbers with the next import."""
        found = super().get_export_fields(selected_fields)
        return found if may_see_numbers() else [one for one in found if one.column_name not in ("email", "numbers")]

    def filter_export(self, queryset: QuerySet[Customer], **kwargs: Any) -> QuerySet[Customer]:
        return queryset.select_related("tier").prefetch_related("numbers")

    def import_data(self, dataset: FileRows, dry_run: bool = False, **kwargs: Any) -> Any:
        """What an import would do: read, and nothing locked."""
        return self._go_through(dataset, kwargs.get("file_name"), kwargs.get("user"))

    def store(self, dataset: FileRows, file_name: str | None, user: Any) -> Any:
        """Judge the rows again and write them, within the caller's transaction, which a bad result must undo."""
        self.is_preview = False
        return self._go_through(dataset, file_name, user)

    def _go_through(self, dataset: FileRows, file_name: str | None, user: Any) -> Any:
        return self.import_data_inner(
            dataset,
            dry_run=self.is_preview,
            # No transaction of the library's: a preview writes nothing, and `store` runs within its caller's.
            raise_errors=False,
            using_transactions=False,
            collect_failed_rows=False,
            file_name=file_name,
            user=user,
        )

    # Before the first row

    def before_import(self, dataset: FileRows, **kwargs: Any) -> None:
        self._why = f"import of {kwargs.get('file_name') or 'a file'}"[:100]
        self._user = kwargs.get("user")
        self._numbers_in_file = dataset.numbers
        self._remarks: list[Remark] = []
        self._shown: list[ChangedRow] = []
        self._places: list[int] = []
        self._marks: set[str] = set()
        self._not_shown: list[ChangedRow] = []
        self.new: list[Customer] = []
        self.changed: list[Customer] = []
        self._changed_columns: set[str] = set()
        self._row_of_id: dict[str, int] = {}
        self._row_of_number: dict[str, int] = {}
        self._row_of_first_contact: dict[int, int] = {}
        self.fields["tier"].widget.tiers = {tier.slug: tier for tier in Tier.objects.all()}
        self._read_owners(dataset)
        self._read_customers(dataset)

    def _read_owners(self, dataset: FileRows) -> None:
        """Who has the file's numbers now."""
        cells = dataset["numbers"] if "numbers" in dataset.headers else []
        self._owners: dict[str, Customer] = {}
        for keys in _in_parts(key for cell in cells for key in _keys_of(cell)):
            for number in PhoneNumber.objects.filter(key__in=keys).select_related("customer"):
                self._owners[number.key] = number.customer

    def _read_customers(self, dataset: FileRows) -> None:
        """The stored customers of the file; locked in one order where they are to be written."""
        stored = Customer.objects.select_related("tier").prefetch_related("numbers").order_by("pk")
        if not self.is_preview:
            stored = stored.select_for_update(of=("self",), no_key=True)
        self._customers: dict[str, Customer] = {}
        for ids in _in_parts(text_of(cell) for cell in dataset[KEY_COLUMN]):
            self._customers |= {str(found.external_id): found for found in stored.filter(external_id__in=ids)}
        owners = {owner.pk for owner in self._owners.values() if owner.external_id is None}
        self._without_id: dict[int, Customer] = {}
        for pks in _in_parts(sorted(owners)):
            # Once more without an id: somebody may have given one before the lock was there.
            found_now = stored.filter(pk__in=pks, external_id__isnull=True)
            self._without_id |= {found.pk: found for found in found_now}
        if not self.is_preview:
            settle_customers([*self._customers.values(), *self._without_id.values()])
        self._first_contacts = {pk: found for pk, found in self._without_id.items() if found.is_provisional()}
        self._untouched: set[int] = set()
        if self._marks_shown is not None:
            for pks in _in_parts(self._first_contacts):
                self._untouched |= untouched(pks)

    # Row by row

    def before_import_row(self, row: dict[str, Any], **kwargs: Any) -> None:
        self._number = self._numbers_in_file[kwargs["row_number"] - 1]
        row[KEY_COLUMN] = external_id = text_of(row[KEY_COLUMN])
        if not external_id and self._customer_without_id(row) is None:
            raise ValidationError({KEY_COLUMN: NO_ID})
        if external_id and (first := self._row_of_id.setdefault(external_id, self._number)) != self._number:
            raise ValidationError({KEY_COLUMN: f'"{external_id}" is in row {first} too. Leave one of them.'})

    def get_instance(self, instance_loader: Any, row: dict[str, Any]) -> Customer | None:
        """The customer with the external id; else the first contact who has one of the row's numbers."""
        if not row[KEY_COLUMN]:
            return self._customer_without_id(row)
        return self._customers.get(row[KEY_COLUMN]) or self._first_contact(row)

    def _customer_without_id(self, row: dict[str, Any]) -> Customer | None:
        """The one customer without an external id to whom all numbers of the row belong."""
        owners = {owner.pk if owner else 0 for owner in map(self._owners.get, _keys_of(row.get("numbers")))}
        return self._without_id.get(owners.pop()) if len(owners) == 1 else None

    def _first_contact(self, row: dict[str, Any]) -> Customer | None:
        for key in _keys_of(row.get("numbers")):
            owner = self._owners.get(key)
            if owner is not None and owner.pk in self._first_contacts and owner.pk not in self._row_of_first_contact:
                return self._first_contacts[owner.pk]
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
        if number_problems := self._number_problems(instance):
            problems["numbers"] = number_problems
        if problems:
            raise ValidationError(problems)

    def _number_problems(self, instance: Customer) -> list[str]:
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
            if problem := self._claim(key, text, instance):
                problems.append(problem)
            elif not is_number(key) and "@" not in key:
                self._remark("numbers", f'"{text}" is no phone number: it is kept, and matched as the text that it is.')
        if instance.pk and hasattr(instance, "wanted_numbers"):
            for number in instance.numbers.all():
                if number.key not in kept:
                    self._owners.pop(number.key, None)  # free for the rows below
        return problems

    def _claim(self, key: str, text: str, instance: Customer) -> str:
        """What stands against this row's having the number; a first contact goes to one row, with all its numbers."""
        if (first := self._row_of_number.setdefault(key, self._number)) != self._number:
            return f"{text} is in row {first} too. Leave one of them."
        owner = self._owners.get(key)
        if owner is None or (owner.pk == instance.pk and owner.pk not in self._first_contacts):
            return ""
        if owner.pk not in self._first_contacts:
            return f"{text} belongs to {described(owner)}. Remove it there first."
        if (first := self._row_of_first_contact.setdefault(owner.pk, self._number)) != self._number:
            return f"{text} belongs to the first contact who becomes the customer of row {first}. Give it there."
        return ""

    def _remark(self, column: str, text: str) -> None:
        self._remarks.append(Remark(self._number, column, text))

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

    def save_instance(self, instance: Customer, is_create: bool, row: dict[str, Any], **kwargs: Any) -> None:
        """Only noted: what changes is written after the last row."""
        self._places.append(kwargs["row_number"] - 1)
        (self.new if is_create else self.changed).append(instance)
        if not is_create:
            compared = zip(COLUMNS, self._before, self._after, strict=True)
            self._changed_columns |= {name for name, old, new in compared if old != new and name != "numbers"}
        marks = set(marks_of(self._number, instance.pk, self._before, self._after))
        changes = changed_row(self._number, is_create, self._before, self._after)
        if self.is_preview:
            self._marks |= marks
            if len(self._shown) < MOST_LISTED:
                self._shown.append(changes)
        # A caller who became a first contact meanwhile is nobody's change.
        if self._marks_shown is not None and not marks <= self._marks_shown and instance.pk not in self._untouched:
            self._not_shown.append(changes)

    # After the last row

    def after_import(self, dataset: FileRows, result: ImportResult, **kwargs: Any) -> None:
        result.columns_not_read = dataset.columns_not_read
        result.warnings = self._remarks
        result.changed_rows, result.changed_places = self._shown, self._places
        result.marks, result.not_shown = self._marks, self._not_shown
        result.problems = list(_problems(result, dataset.numbers))
        if not self.is_preview:
            result.problems += [Remark(row.number, "", CHANGED_MEANWHILE) for row in self._not_shown]
        if not self.is_preview and not result.problems:
            self._write()

    def _write(self) -> None:
        told: dict[str, Any] = {"default_user": self._user, "default_change_reason": self._why}
        bulk_update_with_history(self.changed, Customer, sorted(self._changed_columns), **told)
        made = bulk_create_with_history(self.new, Customer, **told)
        added: list[PhoneNumber] = []
        rewritten: list[PhoneNumber] = []
        for customer in self.changed:
            self._bring_numbers(customer, added, rewritten)
        added += [
            PhoneNumber(customer=customer, number=text, key=key)
            for customer in made
            for key, text in _by_key(getattr(customer, "wanted_numbers", [])).items()
        ]
        bulk_update_with_history(rewritten, PhoneNumber, ["number"], **told)
        bulk_create_with_history(added, PhoneNumber, **told)
        keep_search_keys(customer.pk for customer in [*self.changed, *made])

    def _bring_numbers(self, customer: Customer, added: list[PhoneNumber], rewritten: list[PhoneNumber]) -> None:
        """Take off what the row does not name; what is to be added or written otherwise is added to the lists."""
        if not hasattr(customer, "wanted_numbers"):
            return
        wanted = _by_key(customer.wanted_numbers)
        if any(self._owners.get(key, customer).pk != customer.pk for key in wanted):  # a first contact gives way
            try:
                replace_numbers(customer, customer.wanted_numbers, why=self._why)
            except ValidationError as error:
                raise ValidationError({"numbers": error.messages}) from error
            return
        changes = number_changes(customer, customer.numbers.all(), wanted)
        for number in changes.removed:
            change_reason(number, self._why)
            number.delete()
        added += changes.added
        rewritten += changes.rewritten


def _problems(result: ImportResult, numbers: Sequence[int]) -> Iterator[Remark]:
    for error in result.base_errors:
        yield Remark(0, "", str(error.error))
    for row in result.invalid_rows:
        for column, texts in row.field_specific_errors.items():
            yield from (Remark(numbers[row.number - 1], column, text) for text in texts)
        yield from (Remark(numbers[row.number - 1], "", text) for text in row.non_field_specific_errors)
    for row in result.error_rows:
        yield from (Remark(numbers[row.number - 1], "", f"This row could not be read: {e.error}") for e in row.errors)


def _by_key(texts: Iterable[str]) -> Mapping[str, str]:
    """Each number once, as it is written first."""
    by_key: dict[str, str] = {}
    for text in texts:
        by_key.setdefault(number_key(text), text)
    return by_key


def _keys_of(cell: Any) -> list[str]:
    """The keys of a cell's numbers; those that are none are refused elsewhere."""
    keys = []
    with contextlib.suppress(ValueError):
        for text in numbers_of(cell):
            with contextlib.suppress(ValidationError):
                keys.append(number_key(text))
    return keys


def _in_parts(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Databases take only so many parameters at once."""
    remaining = iter(dict.fromkeys(items))
    while part := list(islice(remaining, 500)):
        yield part
