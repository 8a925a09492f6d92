import django.db.models.deletion
from django.db import migrations, models

NAMES = {
    "view_erasure": "Can view erasure",
    "erase_customer": "Can erase all that is known of a customer",
    "export_customer": "Can export all that is known of a customer",
}
GIVEN = {"administrators": tuple(NAMES), "managers": ("view_erasure",), "viewers": ("view_erasure",)}


def give_the_permissions(apps, schema_editor):
    """To the groups of installations from before them; permissions themselves are made after all migrations."""
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="customers", model="erasure"
    )
    permissions = apps.get_model("auth", "Permission").objects
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GIVEN):
        for codename in GIVEN[group.name]:
            permission, _ = permissions.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": NAMES[codename]}
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("customers", "0009_tier_price"),
    ]

    operations = [
        migrations.CreateModel(
            name="Erasure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("requested_at", models.DateTimeField()),
                ("by", models.CharField(max_length=200)),
                ("sessions", models.PositiveIntegerField(default=0)),
                ("sessions_erased", models.PositiveIntegerField(default=0)),
                ("finished_at", models.DateTimeField(null=True)),
                ("traces", models.JSONField(default=dict)),
                (
                    "customer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="erasure", to="customers.customer"
                    ),
                ),
            ],
            options={
                "ordering": ["-requested_at"],
                "indexes": [
                    models.Index(
                        condition=models.Q(finished_at=None), fields=["requested_at"], name="erasure_unfinished"
                    )
                ],
                "permissions": [
                    ("erase_customer", "Can erase all that is known of a customer"),
                    ("export_customer", "Can export all that is known of a customer"),
                ],
            },
        ),
        migrations.RunPython(give_the_permissions, migrations.RunPython.noop),
    ]
