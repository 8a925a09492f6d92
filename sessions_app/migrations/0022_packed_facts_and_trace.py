"""New sessions keep the facts and the trace of their decision packed. Those there are stay as they are, however many."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sessions_app", "0021_replays")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("session", "facts", "plain_facts"),
                migrations.RenameField("session", "trace", "plain_trace"),
                migrations.AlterField("session", "plain_facts", models.JSONField(db_column="facts", default=dict)),
                migrations.AlterField("session", "plain_trace", models.JSONField(db_column="trace", default=list)),
            ]
        ),
        migrations.AddField("session", "packed_facts", models.BinaryField(null=True)),
        migrations.AddField("session", "packed_trace", models.BinaryField(null=True)),
        migrations.AddField("session", "call_hold_minutes", models.IntegerField(null=True)),
    ]
