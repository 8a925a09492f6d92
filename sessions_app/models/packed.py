"""Columns that nobody asks the database about, kept packed: `jsonb` would be taken apart for every begin."""

import json
from typing import Any

from django.db import models

from sessions_app.packing import pack, unpack


class PackedJSONField(models.BinaryField):
    """Any JSON, as its text in UTF-8, packed; to the database and to migrations it is Django's field for bytes.

    Reading raises `packing.Damaged` where the bytes are not what was written.
    """

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else json.loads(unpack(bytes(value)))

    def get_prep_value(self, value: Any) -> bytes | None:
        return None if value is None else pack(_as_text(value).encode())

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BinaryField", args, kwargs


class PackedBytesField(models.BinaryField):
    """Any bytes, packed; to the database and to migrations it is Django's field for bytes."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else unpack(bytes(value))

    def get_prep_value(self, value: Any) -> bytes | None:
        return None if value is None else pack(bytes(value))

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BinaryField", args, kwargs


_as_text = json.JSONEncoder(separators=(",", ":")).encode
