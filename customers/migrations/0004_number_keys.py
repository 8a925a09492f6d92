"""Stored numbers are matched by the keys that numbers have now. A key that another customer has already stays theirs."""

import logging
from typing import Any

from django.conf import settings
from django.db import IntegrityError, migrations, transaction

from customers.phones import phone_key

logger = logging.getLogger(__name__)

AT_ONCE = 200


def read_numbers_again(apps: Any, schema_editor: Any) -> None:
    """In pieces, each its own short transaction, so that nobody waits long for SQLite's lock; may be broken off."""
    numbers = apps.get_model("customers", "PhoneNumber").objects.using(schema_editor.connection.alias)
    changed, left = _read_all_once(numbers, schema_editor.connection.alias)
    while changed and left:  # a key may have come free only later
        changed, left = _read_all_once(numbers, schema_editor.connection.alias)
    if left:
        logger.warning("%d numbers keep the keys they had: others have those that they would get now", left)


def _read_all_once(numbers: Any, alias: str) -> tuple[int, int]:
    """How many rows were changed, and how many could not be."""
    last, changed, left = 0, 0, 0
    while rows := list(numbers.filter(pk__gt=last).order_by("pk").values_list("pk", "number", "key")[:AT_ONCE]):
        last = rows[-1][0]
        wanted = [(pk, new) for pk, number, key in rows if (new := _key_now(number)) not in (None, key)]
        if wanted:
            with transaction.atomic(using=alias):
                done = sum(_move(numbers, alias, pk, key) for pk, key in wanted)
            changed, left = changed + done, left + len(wanted) - done
    return changed, left


def _key_now(number: str) -> str | None:
    """None where there is no number, or none that can be stored: then the row stays as it is."""
    try:
        return phone_key(number, settings.PHONE_REGION)
    except ValueError:
        return None


def _move(numbers: Any, alias: str, pk: int, key: str) -> int:
    try:
        with transaction.atomic(using=alias):
            return int(numbers.filter(pk=pk).update(key=key))
    except IntegrityError:  # it is another row's
        return 0


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("customers", "0003_customer_name_index")]

    operations = [migrations.RunPython(read_numbers_again, migrations.RunPython.noop, atomic=False)]
