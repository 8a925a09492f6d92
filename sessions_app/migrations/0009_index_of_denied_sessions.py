from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0008_administrators_close_months"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                condition=models.Q(("allowed", False)),
                fields=["customer", "-started_at"],
                name="session_denied_by_customer",
            ),
        ),
    ]
