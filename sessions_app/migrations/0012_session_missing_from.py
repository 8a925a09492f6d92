from datetime import timedelta

from django.db import migrations, models
from django.db.models import F, Q
from django.utils import timezone


def fill(apps, schema_editor):
    """Of sessions without an end, and of those denied lately: LiveTok may turn out to have been told otherwise."""
    begun = apps.get_model("sessions_app", "Session").objects.filter(begin_received_at__isnull=False)
    without_end = Q(allowed=True, end_received_at__isnull=True)
    denied_lately = Q(allowed=False, started_at__gt=timezone.now() - timedelta(days=1))
    for chosen in (without_end, denied_lately):
        begun.filter(chosen).update(missing_from=F("begin_received_at") + (F("open_until") - F("started_at")))


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0011_past_month_writes"),
    ]

    operations = [
        migrations.AddField(
            model_name="session",
            name="missing_from",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RemoveIndex(
            model_name="session",
            name="session_without_end_by_receipt",
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                condition=models.Q(("allowed", True), ("end_received_at__isnull", True)),
                fields=["missing_from"],
                name="session_without_end_by_missing",
            ),
        ),
    ]
