"""LiveTok's channels are there before their first session, so that a tier can allow them from the start."""

from typing import Any

from django.db import migrations

# As `customers.models.channels.new_channel` makes them: the word, and the longest session in minutes.
KNOWN = (("telephony", 4 * 60), ("web", 24 * 60), ("whatsapp", 24 * 60))


def add(apps: Any, schema_editor: Any) -> None:
    """Those that are there already stay as staff have set them."""
    channel = apps.get_model("customers", "Channel")
    rows = [channel(slug=slug, longest_session_minutes=minutes) for slug, minutes in KNOWN]
    channel.objects.using(schema_editor.connection.alias).bulk_create(rows, ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("customers", "0007_changes_by_somebody")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
