"""An index for the beginning of a name in either case, in the form that each database's own search can use."""

from typing import Any

from django.db import migrations

INDEXES = {
    "postgresql": "CREATE INDEX customer_by_name_beginning ON customers_customer (UPPER(name) text_pattern_ops)",
    "sqlite": "CREATE INDEX customer_by_name_beginning ON customers_customer (name COLLATE NOCASE)",
}


def make_index(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(INDEXES[schema_editor.connection.vendor])


def drop_index(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("DROP INDEX customer_by_name_beginning")


class Migration(migrations.Migration):
    dependencies = [("customers", "0002_tier_rounding")]

    operations = [migrations.RunPython(make_index, drop_index)]
