"""Frontdesk's tables, parents first, and how SQLite's values become PostgreSQL's: as Django writes both of them."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Field, ForeignKey, Model
from psycopg import sql

# How PostgreSQL shows a value of a field as SQLite holds it; all other fields' values are alike on both.
AS_SQLITE_HOLDS_IT = {
    "BooleanField": "{}::int",
    "DateTimeField": "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
    "DateField": "to_char({}, 'YYYY-MM-DD')",
    "TimeField": "to_char({}::interval, 'HH24:MI:SS.US')",
    "GenericIPAddressField": "host({})",
    "JSONField": "{}::text",
    "UUIDField": "replace({}::text, '-', '')",
}
# SQLite's text of a moment or time, with the microseconds that Django leaves out where there are none.
WHOLE_LENGTH = {"DateTimeField": 26, "TimeField": 15}
UTC_SUFFIX = "+00"


@dataclass(frozen=True)
class Table:
    """`kinds` are the fields' types, of foreign keys their targets'."""

    name: str
    key: str
    columns: Sequence[str]
    kinds: Sequence[str]
    has_sequence: bool

    def places_of(self, kind: str) -> list[int]:
        return [place for place, found in enumerate(self.kinds) if found == kind]

    def from_sqlite(self, after: Any, at_most: int) -> tuple[str, list[Any]]:
        """A query for the next rows by key, with its parameters. Their key is the last value of each."""
        columns = ", ".join(f'"{column}"' for column in [*self.columns, self.key])
        where = f'WHERE "{self.key}" > ? ' if after is not None else ""
        query = f'SELECT {columns} FROM "{self.name}" {where}ORDER BY "{self.key}" LIMIT ?'
        return query, [*([after] if after is not None else []), at_most]

    def into_postgresql(self) -> sql.Composed:
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(self.name), columns)

    def as_sqlite_holds_it(self) -> sql.Composed:
        """A query of PostgreSQL for all rows."""
        shown = [
            sql.SQL(AS_SQLITE_HOLDS_IT.get(kind, "{}")).format(sql.Identifier(column))
            for column, kind in zip(self.columns, self.kinds, strict=True)
        ]
        return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(shown), sql.Identifier(self.name))

    def all_of_sqlite(self) -> str:
        return "SELECT {} FROM {}".format(", ".join(f'"{column}"' for column in self.columns), f'"{self.name}"')


def for_postgresql(table: Table, rows: Iterator[Sequence[Any]]) -> Iterator[tuple[Any, list[Any]]]:
    """Each row's key, and its values as COPY takes them."""
    moments = table.places_of("DateTimeField")
    for row in rows:
        values = list(row[:-1])
        for place in moments:
            if values[place] is not None:
                values[place] += UTC_SUFFIX
        yield row[-1], values


MIGRATIONS = MigrationRecorder.Migration


@cache
def tables() -> tuple[Table, ...]:
    """All of them, each behind those that its foreign keys name; `migrations_table` is apart."""
    waiting = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
    ordered: list[type[Model]] = []
    while waiting:
        ready = [
            model
            for model in waiting.values()
            if not any(parent in waiting and parent != model._meta.db_table for parent in _parents(model))
        ]
        if not ready:
            raise AssertionError(f"the foreign keys of these tables form a ring: {', '.join(waiting)}")
        for model in ready:
            del waiting[model._meta.db_table]
        ordered += ready
    return tuple(map(_table, ordered))


@cache
def migrations_table() -> Table:
    return _table(MIGRATIONS)


def strange_tables(source: sqlite3.Connection) -> list[str]:
    """Those that are not Frontdesk's, so that nobody can say what they would be on PostgreSQL."""
    known = {table.name for table in (*tables(), migrations_table())} | {"frontdesk_backup"}
    rows = source.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows if name not in known and not name.startswith("sqlite_")]


def _parents(model: type[Model]) -> Iterator[str]:
    for field in model._meta.concrete_fields:
        if field.remote_field is not None:
            yield field.remote_field.model._meta.db_table


def _table(model: type[Model]) -> Table:
    fields = model._meta.concrete_fields
    key = model._meta.pk
    assert key is not None
    return Table(
        model._meta.db_table,
        str(key.column),
        tuple(str(field.column) for field in fields),
        tuple(_kind(field) for field in fields),
        key.get_internal_type() in ("AutoField", "BigAutoField"),
    )


def _kind(field: "Field[Any, Any]") -> str:
    while isinstance(field, ForeignKey):  # a one-to-one is one too
        field = field.target_field
    return field.get_internal_type()
