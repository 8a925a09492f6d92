from django.db import migrations


def give_the_permission(apps, schema_editor):
    """To the group of installations from before it; permissions themselves are made after all migrations."""
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="sessions_app", model="statementmonth"
    )
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type, codename="close_month", defaults={"name": "Can close a month's statements"}
    )
    for group in apps.get_model("auth", "Group").objects.filter(name="administrators"):
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions_app", "0007_billed_corrections"),
    ]

    operations = [migrations.RunPython(give_the_permission, migrations.RunPython.noop)]
