import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0010_one_index_of_daily_usage"),
    ]

    operations = [
        migrations.AddField(
            model_name="statementmonth",
            name="changes_are_listed",
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name="PastMonthWrite",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("customer_number", models.BigIntegerField(help_text="The customer's id then; it may be gone since.")),
                ("month", models.DateField(help_text="The month's first day.")),
                ("noted_at", models.DateTimeField(db_index=True)),
                ("is_recounted", models.BooleanField(default=False)),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="sessions_app.session",
                    ),
                ),
            ],
        ),
    ]
