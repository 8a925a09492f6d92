"""An SQLite database with rows in every table, values that databases write differently among them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db.models import Field, Model

from config.moving.tables import tables

TEXTS = ("Zoë\t\\N \\ 'x' \"y\"\r\n%s", "日本 🎧")
DOCUMENTS = ('{"b": 1.50, "a": [1e16, 100.0, -0.1, "\\u00e9\\n"], "c": {"z": null, "y": true}}', "[]")
VALUES: dict[str, tuple[Any, Any]] = {
    "AutoField": (None, None),
    "BigAutoField": (None, None),
    "BigIntegerField": (2**53 + 1, -(2**62)),
    "BinaryField": (bytes(range(256)), b"\\x00\\\\"),
    "BooleanField": (1, 0),
    "DateField": ("2024-02-29", "1999-12-31"),
    "DateTimeField": ("2026-03-29 01:00:00", "2026-10-25 01:30:00.000001"),
    # As Django writes them there: a number with a fraction, or a whole one.
    "DecimalField": (99999.9999, 7),
    "FloatField": (0.1 + 0.2, 1e300),
    "GenericIPAddressField": ("2001:db8::1", "192.0.2.1"),
    "IntegerField": (2**31 - 1, -5),
    "JSONField": DOCUMENTS,
    "PositiveIntegerField": (2**31 - 1, 0),
    "PositiveSmallIntegerField": (2**15 - 1, 1),
    "TimeField": ("08:00:00", "23:59:59.500000"),
    "UUIDField": ("00000000000000000000000000000001", "ffffffffffffffffffffffffffffffff"),
}
# What the tables' own conditions ask for.
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "automations_delivery": (
        {"state": "delivered", "lease": None, "lease_until": None},
        {"state": "sending", "lease": "f" * 32, "lease_until": "2026-03-29 01:00:00", "finished_at": None},
    ),
    "automations_destination": ({"at_once": 1, "per_second": 1}, {"at_once": 32, "per_second": 1000}),
    "automations_installation": ({"id": 1}, {}),
    "automations_rule": ({"until_time": "09:00:00"}, {"until_time": "08:00:00"}),
    "automations_secret": ({"source_id": None}, {"destination_id": None}),
    "automations_silence": ({}, {"started_at": "2026-10-25 01:30:00.000001"}),
    "automations_source": (
        {"limit_ms": 1, "stale_hours": 1, "fresh_minutes": 60},
        {"limit_ms": 2, "stale_hours": 720, "fresh_minutes": 0},
    ),
    "customers_customer": ({"valid_until": None}, {"valid_from": None}),
    "customers_limitoverride": (
        {"metric": "sessions", "period": "day", "valid_from": None},
        {"metric": "messages", "period": "day", "valid_until": None},
    ),
    "customers_policy": ({"id": 1}, {}),
    "customers_tier": (
        {"rounding_seconds": 1, "price_per_minute_over": None, "currency": ""},
        {"rounding_seconds": 60, "call_hold_minutes": 5, "currency": "EUR"},
    ),
    "customers_tierchangelimit": ({"metric": "sessions", "period": "day"}, {"metric": "messages", "period": "day"}),
    "customers_tierlimit": ({"metric": "sessions", "period": "day"}, {"metric": "messages", "period": "day"}),
    "customers_topup": (
        {"metric": "sessions", "amount": 1, "valid_until": None},
        {"metric": "call_minutes", "amount": 2_147_483_647, "valid_until": None},
    ),
    "sessions_app_replay": ({"days": 7}, {"days": 30}),
}
ONE_ROW = ("automations_installation", "customers_policy")


def fill_every_table(file: Path) -> None:
    """Two rows more in each table, or one where it holds no more, and a number given to a row that is gone since."""
    models = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
    with closing(sqlite3.connect(file)) as source, source:
        for table in tables():
            there = source.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()[0]
            for which in range((1 - there) if table.name in ONE_ROW else 2):
                _insert(source, models[table.name], which)
            if table.has_sequence:
                source.execute("UPDATE sqlite_sequence SET seq = seq + 7 WHERE name = ?", [table.name])


def _insert(source: sqlite3.Connection, model: type[Model], which: int) -> None:
    fields = model._meta.concrete_fields
    values = {str(field.column): _value(source, field, which) for field in fields}
    values |= CHANGES.get(model._meta.db_table, ({}, {}))[which]
    columns = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join("?" for _ in values)
    source.execute(f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({marks})', list(values.values()))


def _value(source: sqlite3.Connection, field: "Field[Any, Any]", which: int) -> Any:
    if field.remote_field is not None:
        parent = field.remote_field.model._meta  # type: ignore[union-attr]
        query = f'SELECT "{parent.pk.column}" FROM "{parent.db_table}" ORDER BY rowid DESC LIMIT 1 OFFSET {which}'
        return source.execute(query).fetchone()[0]
    kind = field.get_internal_type()
    if kind in VALUES:
        return VALUES[kind][which]
    text = TEXTS[which]
    return text if field.max_length is None else f"{text}"[: field.max_length]
