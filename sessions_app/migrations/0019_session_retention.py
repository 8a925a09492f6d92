from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sessions_app", "0018_statement_sums")]

    operations = [
        migrations.AddField("sumsmark", "sessions_since", models.DateTimeField(null=True)),
        migrations.AddIndex(
            "pastmonthwrite",
            models.Index(
                condition=models.Q(session__isnull=False), fields=["session"], name="pastmonthwrite_by_session"
            ),
        ),
    ]
