import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import simple_history.models
from django.conf import settings
from django.db import migrations, models


# Who may do so with overrides may with top-ups: they are given on the same pages.
GIVEN = {
    f"{verb}_{model}": (f"{verb}_{model.replace('limitoverride', 'topup')}", f"Can {verb} {words}")
    for model, words in (("limitoverride", "top-up"), ("historicallimitoverride", "historical top-up"))
    for verb in ("add", "change", "delete", "view")
}


def give_the_permissions(apps, schema_editor):
    """To groups and people of installations from before; permissions themselves are made after all migrations."""
    content_types = apps.get_model("contenttypes", "ContentType").objects
    permissions = apps.get_model("auth", "Permission").objects
    for had, (codename, name) in GIVEN.items():
        model = codename.partition("_")[2]
        givers = permissions.filter(codename=had, content_type__app_label="customers")
        for giver in givers:
            content_type, _ = content_types.get_or_create(app_label="customers", model=model)
            permission, _ = permissions.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": name}
            )
            for group in giver.group_set.all():
                group.permissions.add(permission)
            for user in giver.user_set.all():
                user.user_permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("customers", "0013_scheduled_changes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="HistoricalTopUp",
            fields=[
                ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                (
                    "metric",
                    models.CharField(
                        choices=[("call_minutes", "call minutes"), ("sessions", "sessions")], max_length=24
                    ),
                ),
                (
                    "amount",
                    models.PositiveIntegerField(
                        help_text="Minutes or sessions.",
                        validators=[
                            django.core.validators.MinValueValidator(1, "Amount: give 1 at least."),
                            django.core.validators.MaxValueValidator(2147483647, "Amount: give 2,147,483,647 at most."),
                        ],
                    ),
                ),
                ("valid_from", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "valid_until",
                    models.DateTimeField(blank=True, help_text="Up to but not including. Blank: for ever.", null=True),
                ),
                ("note", models.CharField(blank=True, help_text="Why, for your colleagues.", max_length=200)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                ("history_change_reason", models.CharField(max_length=100, null=True)),
                (
                    "history_type",
                    models.CharField(choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1),
                ),
                (
                    "author",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="customers.customer",
                    ),
                ),
                (
                    "history_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "historical top-up",
                "verbose_name_plural": "historical top-ups",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="TopUp",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "metric",
                    models.CharField(
                        choices=[("call_minutes", "call minutes"), ("sessions", "sessions")], max_length=24
                    ),
                ),
                (
                    "amount",
                    models.PositiveIntegerField(
                        help_text="Minutes or sessions.",
                        validators=[
                            django.core.validators.MinValueValidator(1, "Amount: give 1 at least."),
                            django.core.validators.MaxValueValidator(2147483647, "Amount: give 2,147,483,647 at most."),
                        ],
                    ),
                ),
                ("valid_from", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "valid_until",
                    models.DateTimeField(blank=True, help_text="Up to but not including. Blank: for ever.", null=True),
                ),
                ("note", models.CharField(blank=True, help_text="Why, for your colleagues.", max_length=200)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "author",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="top_ups", to="customers.customer"
                    ),
                ),
            ],
            options={
                "verbose_name": "top-up",
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("metric__in", ["call_minutes", "sessions"])),
                        name="topup_is_of_what_a_period_uses_up",
                        violation_error_message="Metric: give call minutes or sessions.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount__gt", 0)),
                        name="topup_has_an_amount",
                        violation_error_message="Amount: give 1 at least.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("valid_from__isnull", True),
                            ("valid_until__isnull", True),
                            ("valid_until__gt", models.F("valid_from")),
                            _connector="OR",
                        ),
                        name="topup_valid_until_is_after_valid_from",
                        violation_error_message="Valid until: give a time after valid from.",
                    ),
                ],
            },
        ),
        migrations.RunPython(give_the_permissions, migrations.RunPython.noop),
    ]
