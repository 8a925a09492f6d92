"""A column that nobody asks the database about, kept packed."""

from typing import Any

from django.db import models

from sessions_app.packing import pack, unpack


class PackedField(models.BinaryField):
    """Bytes, packed; to the database and to migrations it is Django's own field.

    Reading raises `packing.Damaged` where they are not what was written. A search for equal ones finds those alone that
    the same zlib packed.
    """

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else unpack(bytes(value))

    def get_prep_value(self, value: Any) -> bytes | None:
        return None if value is None else pack(bytes(value))

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BinaryField", args, kwargs
