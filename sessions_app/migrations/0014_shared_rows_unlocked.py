import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0003_customer_name_index"),
        ("sessions_app", "0013_week_sums"),
    ]

    operations = [
        migrations.AlterField(
            model_name="session",
            name="agent",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="sessions",
                to="customers.agent",
            ),
        ),
        migrations.AlterField(
            model_name="session",
            name="channel",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="sessions",
                to="customers.channel",
            ),
        ),
    ]
