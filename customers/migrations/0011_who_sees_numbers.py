from django.db import migrations
from django.db.models import Q

# Whoever may see or change one of these saw numbers until now.
SHOWED_NUMBERS = (
    ("customers", "customer"),
    ("customers", "phonenumber"),
    ("sessions_app", "session"),
    ("sessions_app", "dailyusage"),
)


def give_the_permission(apps, schema_editor):
    """To all who saw numbers until now, so that an upgrade takes nothing from anybody. Permissions themselves are made
    after all migrations."""
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="customers", model="customer"
    )
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type,
        codename="view_numbers",
        defaults={"name": "Can see numbers and e-mail addresses"},
    )
    showed = Q()
    for app, model in SHOWED_NUMBERS:
        showed |= Q(content_type__app_label=app, codename__in=[f"view_{model}", f"change_{model}"])
    had = apps.get_model("auth", "Permission").objects.filter(showed)
    for group in apps.get_model("auth", "Group").objects.filter(permissions__in=had).distinct():
        group.permissions.add(permission)
    for user in apps.get_model("auth", "User").objects.filter(user_permissions__in=had).distinct():
        user.user_permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("customers", "0010_erasures"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="customer",
            options={
                "ordering": ["name", "pk"],
                "permissions": [("view_numbers", "Can see numbers and e-mail addresses")],
            },
        ),
        migrations.RunPython(give_the_permission, migrations.RunPython.noop),
    ]
