"""What the customers that are there already are found by."""

from typing import Any

from django.db import migrations, transaction
from django.db.models import Exists, OuterRef

from customers.search.keeping import keys_of

AT_ONCE = 1000


def fill(apps: Any, schema_editor: Any) -> None:
    """In pieces, each its own short transaction, so that nobody waits long for SQLite's lock; may be broken off."""
    alias = schema_editor.connection.alias
    model = apps.get_model("customers", "SearchKey")
    customers, numbers, keys = (
        apps.get_model("customers", name).objects.using(alias) for name in ("Customer", "PhoneNumber", "SearchKey")
    )
    waiting = customers.filter(~Exists(keys.filter(customer=OuterRef("pk")))).order_by("pk")
    waiting = waiting.only("name", "external_id", "email")
    last = 0
    while some := list(waiting.filter(pk__gt=last)[:AT_ONCE]):
        first, last = some[0].pk, some[-1].pk
        of_each: dict[int, list[str]] = {}
        for owner, key in numbers.filter(customer__gte=first, customer__lte=last).values_list("customer_id", "key"):
            of_each.setdefault(owner, []).append(key)
        rows = [
            model(kind=kind, text=text, customer_id=customer.pk)
            for customer in some
            for kind, text in sorted(keys_of(customer, of_each.get(customer.pk, [])))
        ]
        with transaction.atomic(using=alias):
            keys.bulk_create(rows)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("customers", "0005_search_keys")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, atomic=False)]
