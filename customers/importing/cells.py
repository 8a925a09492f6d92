"""The columns of a customer's row: how a cell is read, and how it is written so that reading gives the same again."""

import re
from collections.abc import Mapping
from typing import Any

from import_export import fields, widgets

from customers.lengths import LONGEST_TEXT
from customers.models import Customer, Tier
from customers.spreadsheets import MOST_CHARACTERS, cleaned, unmarked

KEY_COLUMN = "external_id"
COLUMNS = (KEY_COLUMN, "name", "email", "tier", "status", "time_zone", "numbers")

_TEXT_AS_FORMULA = re.compile(r'="([^"]*)"')
# A number in double quotes, or all up to what divides numbers.
_PART = re.compile(r'[ \t]*"((?:[^"]|"")*)"|([^,;\n\r]+)')
_SLASH = re.compile(r"\s/\s")
_WITH_DECIMALS = re.compile(r"(\+?[0-9]{7,15})\.0+")
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?e[+-]?[0-9]+", re.IGNORECASE)
_NOTHING = frozenset({"nan", "null", "none", "n/a", "inf"})


def text_of(cell: str | None) -> str:
    """A cell as the text that its reader sees; what marks text in a spreadsheet (`'`, `="…"`) is no part of it."""
    text = (cell or "").strip()
    as_formula = _TEXT_AS_FORMULA.fullmatch(text)
    return as_formula[1].strip() if as_formula else unmarked(text)


def numbers_of(cell: str | None) -> list[str]:
    """The numbers of a cell. Raises ValueError where a spreadsheet has spoilt one."""
    text = text_of(cell)
    # An export cut it there: stored, it would take the customer's other numbers away.
    if text.endswith("…") or len(text) >= MOST_CHARACTERS:
        raise ValueError("These are more numbers than a cell can hold. Leave the column out, or use the API.")
    numbers = []
    for quoted, plain in _PART.findall(text):
        if quoted:
            numbers.append(quoted.replace('""', '"').strip())
        else:
            numbers += [_plain_number(number.strip()) for number in _SLASH.split(plain)]
    return [number for number in numbers if number]


def _plain_number(text: str) -> str:
    """Raises ValueError where the text is what spreadsheets and programs leave where a number was, or was none."""
    if _SCIENTIFIC.fullmatch(text):
        raise ValueError(
            f'"{text}" is a number that a spreadsheet has shortened. Format the column as text, and give every digit.'
        )
    if text.startswith("#") or text.lower() in _NOTHING:
        raise ValueError(
            f'"{text[:LONGEST_TEXT]}" is no number. Give one such as +44 20 7946 0958, or leave the cell blank.'
        )
    if text.startswith("'"):
        text = text[1:].lstrip()
    with_decimals = _WITH_DECIMALS.fullmatch(text)
    return with_decimals[1] if with_decimals else text


def numbers_cell(numbers: list[str]) -> str:
    return "; ".join(map(_written, numbers))


def _written(number: str) -> str:
    """In double quotes where it would be read as something else."""
    number = cleaned(number)
    try:
        is_plain = '"' not in number and numbers_of(number) == [number]
    except ValueError:
        is_plain = False
    return number if is_plain else '"' + number.replace('"', '""') + '"'


class Cell(widgets.Widget):
    def clean(self, value: Any, row: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        return text_of(value)

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "" if value is None else str(value)


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
        return numbers_of(value)

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return numbers_cell(value or [])


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
        return sorted(cleaned(number).strip() for number in wanted)
