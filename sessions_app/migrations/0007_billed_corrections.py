from django.db import migrations, models
from django.db.models import F


def lines_are_of_their_own_month(apps, schema_editor):
    apps.get_model("sessions_app", "StatementLine").objects.update(of_month=F("month_id"))


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0006_fewer_indexes"),
    ]

    operations = [
        migrations.AddField(
            model_name="statementline",
            name="of_month",
            field=models.DateField(null=True, help_text="The first day of the month whose sessions it is of."),
        ),
        migrations.RunPython(lines_are_of_their_own_month, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="statementline",
            name="of_month",
            field=models.DateField(help_text="The first day of the month whose sessions it is of."),
        ),
        migrations.RemoveConstraint(model_name="statementline", name="statementline_unique_by_customer"),
        migrations.AddConstraint(
            model_name="statementline",
            constraint=models.UniqueConstraint(
                fields=("month", "of_month", "customer_number"), name="statementline_unique_by_customer_and_month"
            ),
        ),
        migrations.AddIndex(
            model_name="statementline",
            index=models.Index(fields=["of_month", "customer_number"], name="statementline_by_its_month"),
        ),
    ]
