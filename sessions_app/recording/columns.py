"""Rows of tables in hand-written SQL: the names of their columns, a row as JSON, and a model from it."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeAlias, TypeVar

from django.db import models

from customers.context import read_json, sound_context
from customers.models.fields import ContextField
from sessions_app.database.prepared import IS_SQLITE
from sessions_app.database.quick_rows import stored_row

Model = TypeVar("Model", bound=models.Model)
Field: TypeAlias = "models.Field[Any, Any]"


def json_array(*values: str) -> str:
    return f"{'json_array' if IS_SQLITE else 'json_build_array'}({', '.join(values)})"


def json_list(value: str) -> str:
    """A JSON list of a value of every row; on PostgreSQL NULL where there is none."""
    return f"{'json_group_array' if IS_SQLITE else 'json_agg'}({value})"


def as_json(value: str) -> str:
    """What is JSON already, a column or a query, as such: SQLite would take it for a text."""
    return f"json(({value}))" if IS_SQLITE else f"({value})"


def json_row(alias: str, model: type[models.Model], names: Sequence[str], *more: str) -> str:
    """A row of a table, and what else belongs to it, as a JSON list; NULL where an outer join found none."""
    values = [
        as_json(f"{alias}.{field.column}") if isinstance(field, models.JSONField) else f"{alias}.{field.column}"
        for field in fields_of(model, *names)
    ]
    return f"CASE WHEN {alias}.{names[0]} IS NOT NULL THEN CAST({json_array(*values, *more)} AS text) END"


def instance(model: type[Model], names: tuple[str, ...], row: str | None) -> Model | None:
    """A row of `model` from a JSON list of its columns, its other fields deferred."""
    return None if row is None else loaded(model, names, read_json(row))


def loaded(model: type[Model], names: tuple[str, ...], values: Iterable[Any]) -> Model:
    attributes, readers = _readers(model, names)
    return stored_row(model, attributes, [read(value) for read, value in zip(readers, values, strict=True)])


@cache
def _readers(model: type[models.Model], names: tuple[str, ...]) -> tuple[list[str], list[Callable[[Any], Any]]]:
    fields = fields_of(model, *names)
    return [field.attname for field in fields], [_reader(field) for field in fields]


def _reader(field: Field) -> Callable[[Any], Any]:
    if isinstance(field, models.DateTimeField):
        return lambda value: value and moment_of(value)
    if isinstance(field, models.BooleanField):
        return lambda value: None if value is None else bool(value)
    if isinstance(field, ContextField):
        return sound_context
    return lambda value: value


def moment_of(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def table_of(model: type[models.Model]) -> str:
    return model._meta.db_table


@cache
def fields_of(model: type[models.Model], *names: str) -> tuple[Field, ...]:
    by_column = {field.column: field for field in model._meta.concrete_fields}
    return tuple(by_column[name] for name in names)


def all_but_id(model: type[models.Model]) -> tuple[Field, ...]:
    return tuple(field for field in model._meta.concrete_fields if field.name != "id")
