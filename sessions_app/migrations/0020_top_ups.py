import django.db.models.deletion
from django.db import migrations, models


class AddSum(migrations.SeparateDatabaseAndState):
    """A number that is 0 in all rows there are. SQLite, too, adds it at once: Django would write the table anew."""

    def __init__(self, model, name, kind, field):
        super().__init__(
            [
                migrations.RunSQL(
                    f"ALTER TABLE sessions_app_{model} ADD COLUMN {name} {kind} DEFAULT 0 NOT NULL",
                    f"ALTER TABLE sessions_app_{model} DROP COLUMN {name}",
                )
            ],
            [migrations.AddField(model, name, field)],
        )


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0014_top_ups"),
        ("sessions_app", "0019_session_retention"),
    ]

    operations = [
        migrations.CreateModel(
            name="TopUpUse",
            fields=[
                (
                    "top_up",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="use",
                        serialize=False,
                        to="customers.topup",
                    ),
                ),
                ("sessions", models.IntegerField(default=0)),
                ("call_seconds", models.BigIntegerField(default=0)),
                ("deleted_sessions", models.IntegerField(default=0)),
                ("deleted_call_seconds", models.BigIntegerField(default=0)),
            ],
            options={"verbose_name": "use of a top-up", "verbose_name_plural": "uses of top-ups"},
        ),
        # NULL in the rows there are: both databases add such a column at once, however many there are.
        migrations.AddField("session", "minutes_top_up_id", models.BigIntegerField(null=True)),
        migrations.AddField("session", "sessions_top_up_id", models.BigIntegerField(null=True)),
        AddSum("dailyusage", "drawn_sessions", "integer", models.IntegerField(default=0, db_default=0)),
        AddSum("dailyusage", "drawn_call_seconds", "bigint", models.BigIntegerField(default=0, db_default=0)),
        AddSum("statementline", "drawn_call_seconds", "bigint", models.BigIntegerField(default=0, db_default=0)),
    ]
