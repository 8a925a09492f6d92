from django.db import migrations

MODELS = {"signinevent": "sign-in", "failedsignins": "failed sign ins"}


def give_the_permissions(apps, schema_editor):
    """To the group of installations from before; permissions themselves are made after all migrations."""
    for model, name in MODELS.items():
        content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
            app_label="config", model=model
        )
        permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
            content_type=content_type, codename=f"view_{model}", defaults={"name": f"Can view {name}"}
        )
        for group in apps.get_model("auth", "Group").objects.filter(name="administrators"):
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("config", "0001_sign_ins"),
    ]

    operations = [migrations.RunPython(give_the_permissions, migrations.RunPython.noop)]
