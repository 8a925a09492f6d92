import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0009_index_of_denied_sessions"),
    ]

    operations = [
        migrations.AlterField(
            model_name="dailyusage",
            name="customer",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="daily_usage",
                to="customers.customer",
            ),
        ),
    ]
