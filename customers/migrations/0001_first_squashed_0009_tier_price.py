"""The tables of a new installation at once; one of an earlier version goes by the steps that this replaces."""

import customers.limits
import customers.models.fields
import django.core.validators
import django.db.models.deletion
import simple_history.models
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models

from customers.new_tables import NewTables


# What no model says, as 0003_customer_name_index and 0008_known_channels do it.
NAME_INDEXES = {
    "postgresql": "CREATE INDEX customer_by_name_beginning ON customers_customer (UPPER(name) text_pattern_ops)",
    "sqlite": "CREATE INDEX customer_by_name_beginning ON customers_customer (name COLLATE NOCASE)",
}
KNOWN_CHANNELS = (("telephony", 4 * 60), ("web", 24 * 60), ("whatsapp", 24 * 60))


def make_name_index(apps, schema_editor):
    schema_editor.execute(NAME_INDEXES[schema_editor.connection.vendor])


def drop_name_index(apps, schema_editor):
    schema_editor.execute("DROP INDEX customer_by_name_beginning")


def add_known_channels(apps, schema_editor):
    channel = apps.get_model("customers", "Channel")
    rows = [channel(slug=slug, longest_session_minutes=minutes) for slug, minutes in KNOWN_CHANNELS]
    channel.objects.using(schema_editor.connection.alias).bulk_create(rows)


class Migration(migrations.Migration):
    replaces = [
        ("customers", "0001_first"),
        ("customers", "0002_tier_rounding"),
        ("customers", "0003_customer_name_index"),
        ("customers", "0004_number_keys"),
        ("customers", "0005_search_keys"),
        ("customers", "0006_fill_search_keys"),
        ("customers", "0007_changes_by_somebody"),
        ("customers", "0008_known_channels"),
        ("customers", "0009_tier_price"),
    ]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        NewTables(
            state_operations=[
                migrations.CreateModel(
                    name="Agent",
                    fields=[
                        (
                            "livetok_id",
                            models.CharField(
                                max_length=255, primary_key=True, serialize=False, verbose_name="LiveTok's id"
                            ),
                        ),
                        (
                            "name",
                            models.CharField(
                                blank=True, help_text="The newest name that LiveTok sent.", max_length=255
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["name", "livetok_id"],
                    },
                ),
                migrations.CreateModel(
                    name="Channel",
                    fields=[
                        (
                            "slug",
                            models.CharField(
                                help_text="The word that LiveTok sends as <code>kind</code>, in lower case.",
                                max_length=64,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "label",
                            models.CharField(
                                blank=True, help_text="What pages call it. Blank: the word itself.", max_length=100
                            ),
                        ),
                        (
                            "counts_toward_call_minutes",
                            models.BooleanField(
                                default=True,
                                help_text="Whether its time uses call minutes. A change holds for sessions that begin after it.",
                            ),
                        ),
                        (
                            "longest_session_minutes",
                            models.PositiveIntegerField(
                                default=1440,
                                help_text="A session without an end stops counting as open after this many minutes. At most a week.",
                                validators=[
                                    django.core.validators.MinValueValidator(1),
                                    django.core.validators.MaxValueValidator(10080),
                                ],
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["slug"],
                    },
                ),
                migrations.CreateModel(
                    name="Customer",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(blank=True, max_length=200)),
                        (
                            "external_id",
                            models.CharField(
                                blank=True,
                                help_text="The customer's id in your CRM; also matched with LiveTok's <code>customer.id</code>. Blank: none.",
                                max_length=255,
                                null=True,
                                unique=True,
                            ),
                        ),
                        ("email", models.EmailField(blank=True, max_length=254)),
                        (
                            "status",
                            models.CharField(
                                choices=[("active", "Active"), ("paused", "Paused"), ("blocked", "Blocked")],
                                default="active",
                                help_text="Paused and blocked customers are denied; blocked ones even while the emergency switch allows all.",
                                max_length=10,
                            ),
                        ),
                        ("valid_from", models.DateTimeField(blank=True, help_text="Blank: since ever.", null=True)),
                        (
                            "valid_until",
                            models.DateTimeField(
                                blank=True, help_text="Up to but not including. Blank: for ever.", null=True
                            ),
                        ),
                        (
                            "context",
                            models.JSONField(
                                blank=True,
                                default=dict,
                                help_text="What the agent is told about this customer, over what its tier says: a JSON object.",
                                validators=[customers.models.fields.validate_context],
                            ),
                        ),
                        ("notes", models.TextField(blank=True, help_text="For staff; the agent is never told.")),
                        (
                            "time_zone",
                            models.CharField(
                                blank=True,
                                help_text="Days, weeks and months start at midnight here, such as Europe/Madrid. Blank: the company's.",
                                max_length=64,
                                validators=[customers.models.fields.validate_time_zone],
                            ),
                        ),
                        (
                            "source",
                            models.CharField(
                                choices=[
                                    ("staff", "Staff"),
                                    ("import", "Import"),
                                    ("api", "API"),
                                    ("first_contact", "first contact"),
                                ],
                                default="staff",
                                editable=False,
                                max_length=16,
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                    ],
                    options={
                        "ordering": ["name", "pk"],
                    },
                ),
                migrations.CreateModel(
                    name="DenialMessage",
                    fields=[
                        ("reason", models.CharField(editable=False, max_length=32, primary_key=True, serialize=False)),
                        (
                            "message",
                            models.CharField(
                                help_text="Sent to LiveTok as <code>denied_message</code>.", max_length=300
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["reason"],
                    },
                ),
                migrations.CreateModel(
                    name="ApiKey",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(help_text="Who uses it.", max_length=100)),
                        ("prefix", models.CharField(editable=False, max_length=16, unique=True)),
                        ("secret_sha256", models.CharField(editable=False, max_length=64)),
                        ("scopes", models.JSONField(default=list, editable=False)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
                        ("expires_at", models.DateTimeField(blank=True, help_text="Blank: never.", null=True)),
                        ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                        (
                            "created_by",
                            models.ForeignKey(
                                blank=True,
                                editable=False,
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "API key",
                        "ordering": ["-created_at"],
                    },
                ),
                migrations.CreateModel(
                    name="HistoricalApiKey",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        ("name", models.CharField(help_text="Who uses it.", max_length=100)),
                        ("prefix", models.CharField(db_index=True, editable=False, max_length=16)),
                        ("scopes", models.JSONField(default=list, editable=False)),
                        ("created_at", models.DateTimeField(blank=True, editable=False)),
                        ("expires_at", models.DateTimeField(blank=True, help_text="Blank: never.", null=True)),
                        ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                        ("history_id", models.AutoField(primary_key=True, serialize=False)),
                        ("history_date", models.DateTimeField(db_index=True)),
                        ("history_change_reason", models.CharField(max_length=100, null=True)),
                        (
                            "history_type",
                            models.CharField(
                                choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
                            ),
                        ),
                        (
                            "created_by",
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
                        "verbose_name": "historical API key",
                        "verbose_name_plural": "historical API keys",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalChannel",
                    fields=[
                        (
                            "slug",
                            models.CharField(
                                db_index=True,
                                help_text="The word that LiveTok sends as <code>kind</code>, in lower case.",
                                max_length=64,
                            ),
                        ),
                        (
                            "label",
                            models.CharField(
                                blank=True, help_text="What pages call it. Blank: the word itself.", max_length=100
                            ),
                        ),
                        (
                            "counts_toward_call_minutes",
                            models.BooleanField(
                                default=True,
                                help_text="Whether its time uses call minutes. A change holds for sessions that begin after it.",
                            ),
                        ),
                        (
                            "longest_session_minutes",
                            models.PositiveIntegerField(
                                default=1440,
                                help_text="A session without an end stops counting as open after this many minutes. At most a week.",
                                validators=[
                                    django.core.validators.MinValueValidator(1),
                                    django.core.validators.MaxValueValidator(10080),
                                ],
                            ),
                        ),
                        ("history_id", models.AutoField(primary_key=True, serialize=False)),
                        ("history_date", models.DateTimeField(db_index=True)),
                        ("history_change_reason", models.CharField(max_length=100, null=True)),
                        (
                            "history_type",
                            models.CharField(
                                choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
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
                        "verbose_name": "historical channel",
                        "verbose_name_plural": "historical channels",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalDenialMessage",
                    fields=[
                        ("reason", models.CharField(db_index=True, editable=False, max_length=32)),
                        (
                            "message",
                            models.CharField(
                                help_text="Sent to LiveTok as <code>denied_message</code>.", max_length=300
                            ),
                        ),
                        ("history_id", models.AutoField(primary_key=True, serialize=False)),
                        ("history_date", models.DateTimeField(db_index=True)),
                        ("history_change_reason", models.CharField(max_length=100, null=True)),
                        (
                            "history_type",
                            models.CharField(
                                choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
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
                        "verbose_name": "historical denial message",
                        "verbose_name_plural": "historical denial messages",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalLimitOverride",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        (
                            "metric",
                            models.CharField(
                                choices=[
                                    ("messages", "messages"),
                                    ("call_minutes", "call minutes"),
                                    ("sessions", "sessions"),
                                    ("concurrent_sessions", "concurrent sessions"),
                                ],
                                max_length=24,
                            ),
                        ),
                        (
                            "period",
                            models.CharField(
                                blank=True,
                                choices=[("day", "day"), ("week", "week"), ("month", "month")],
                                help_text="Blank for concurrent sessions alone.",
                                max_length=8,
                            ),
                        ),
                        (
                            "hard",
                            models.BooleanField(
                                default=True,
                                help_text="Off: nobody is denied; what would have been is recorded, and LiveTok is not told of the limit.",
                            ),
                        ),
                        (
                            "amount",
                            models.PositiveIntegerField(
                                blank=True, help_text="0: none at all. Blank: unlimited.", null=True
                            ),
                        ),
                        ("valid_from", models.DateTimeField(blank=True, help_text="Blank: since ever.", null=True)),
                        (
                            "valid_until",
                            models.DateTimeField(
                                blank=True, help_text="Up to but not including. Blank: for ever.", null=True
                            ),
                        ),
                        ("note", models.CharField(blank=True, help_text="Why, for your colleagues.", max_length=200)),
                        ("created_at", models.DateTimeField(blank=True, editable=False)),
                        ("history_id", models.AutoField(primary_key=True, serialize=False)),
                        ("history_date", models.DateTimeField(db_index=True)),
                        ("history_change_reason", models.CharField(max_length=100, null=True)),
                        (
                            "history_type",
                            models.CharField(
                                choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
                            ),
                        ),
                        (
                            "agent",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="Blank: all agents.",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.agent",
                            ),
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
                            "channel",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="Blank: all channels.",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.channel",
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
                        "verbose_name": "historical limit override",
                        "verbose_name_plural": "historical limit overrides",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalTier",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        ("name", models.CharField(db_index=True, max_length=100)),
                        (
                            "slug",
                            models.SlugField(
                                help_text="What LiveTok's agent is told as <code>customer_tier</code>.", max_length=64
                            ),
                        ),
                        (
                            "is_active",
                            models.BooleanField(
                                default=True,
                                help_text="Off: not offered to customers any more; still serves those on it.",
                                verbose_name="active",
                            ),
                        ),
                        (
                            "context",
                            models.JSONField(
                                blank=True,
                                default=dict,
                                help_text='What the agent is told about customers of this tier: a JSON object such as {"greeting": "Welcome"}.',
                                validators=[customers.models.fields.validate_context],
                            ),
                        ),
                        (
                            "call_hold_minutes",
                            models.PositiveIntegerField(
                                default=1,
                                help_text="An open session uses at least this many call minutes until it ends.",
                                validators=[
                                    django.core.validators.MinValueValidator(1),
                                    django.core.validators.MaxValueValidator(1440),
                                ],
                            ),
                        ),
                        (
                            "rounding_seconds",
                            models.PositiveSmallIntegerField(
                                choices=[(1, "exact, to the second"), (6, "up to 6 seconds"), (60, "up to 60 seconds")],
                                default=1,
                                help_text="How statements round each session's duration, always upwards. Limits and the other reports stay exact. A month that is closed keeps the rounding it was closed with.",
                                verbose_name="rounding",
                            ),
                        ),
                        (
                            "price_per_minute_over",
                            models.DecimalField(
                                blank=True,
                                decimal_places=4,
                                help_text="What statements charge for each call minute beyond those included. A statement goes by the price in force at the end of its month. Blank: statements show no price.",
                                max_digits=9,
                                null=True,
                                validators=[django.core.validators.MinValueValidator(Decimal("0"))],
                            ),
                        ),
                        (
                            "currency",
                            models.CharField(
                                blank=True,
                                help_text="Of the price: three letters of ISO 4217, such as EUR.",
                                max_length=3,
                                validators=[customers.models.fields.validate_currency],
                            ),
                        ),
                        ("history_id", models.AutoField(primary_key=True, serialize=False)),
                        ("history_date", models.DateTimeField(db_index=True)),
                        ("history_change_reason", models.CharField(max_length=100, null=True)),
                        (
                            "history_type",
                            models.CharField(
                                choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
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
                        "verbose_name": "historical tier",
                        "verbose_name_plural": "historical tiers",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="PhoneNumber",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "number",
                            models.CharField(help_text="As you write it, such as +44 20 7946 0958.", max_length=255),
                        ),
                        (
                            "key",
                            models.CharField(
                                editable=False, help_text="What calls are matched by.", max_length=255, unique=True
                            ),
                        ),
                        (
                            "customer",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="numbers",
                                to="customers.customer",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["pk"],
                    },
                ),
                migrations.CreateModel(
                    name="Tier",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.CharField(max_length=100, unique=True)),
                        (
                            "slug",
                            models.SlugField(
                                help_text="What LiveTok's agent is told as <code>customer_tier</code>.",
                                max_length=64,
                                unique=True,
                            ),
                        ),
                        (
                            "is_active",
                            models.BooleanField(
                                default=True,
                                help_text="Off: not offered to customers any more; still serves those on it.",
                                verbose_name="active",
                            ),
                        ),
                        (
                            "context",
                            models.JSONField(
                                blank=True,
                                default=dict,
                                help_text='What the agent is told about customers of this tier: a JSON object such as {"greeting": "Welcome"}.',
                                validators=[customers.models.fields.validate_context],
                            ),
                        ),
                        (
                            "call_hold_minutes",
                            models.PositiveIntegerField(
                                default=1,
                                help_text="An open session uses at least this many call minutes until it ends.",
                                validators=[
                                    django.core.validators.MinValueValidator(1),
                                    django.core.validators.MaxValueValidator(1440),
                                ],
                            ),
                        ),
                        (
                            "rounding_seconds",
                            models.PositiveSmallIntegerField(
                                choices=[(1, "exact, to the second"), (6, "up to 6 seconds"), (60, "up to 60 seconds")],
                                default=1,
                                help_text="How statements round each session's duration, always upwards. Limits and the other reports stay exact. A month that is closed keeps the rounding it was closed with.",
                                verbose_name="rounding",
                            ),
                        ),
                        (
                            "price_per_minute_over",
                            models.DecimalField(
                                blank=True,
                                decimal_places=4,
                                help_text="What statements charge for each call minute beyond those included. A statement goes by the price in force at the end of its month. Blank: statements show no price.",
                                max_digits=9,
                                null=True,
                                validators=[django.core.validators.MinValueValidator(Decimal("0"))],
                            ),
                        ),
                        (
                            "currency",
                            models.CharField(
                                blank=True,
                                help_text="Of the price: three letters of ISO 4217, such as EUR.",
                                max_length=3,
                                validators=[customers.models.fields.validate_currency],
                            ),
                        ),
                        (
                            "allowed_channels",
                            models.ManyToManyField(
                                blank=True,
                                help_text="None chosen: all channels, new ones too.",
                                related_name="tiers",
                                to="customers.channel",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["name"],
                    },
                ),
                migrations.CreateModel(
                    name="Policy",
                    fields=[
                        (
                            "id",
                            models.PositiveSmallIntegerField(
                                default=1, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        (
                            "unknown_callers",
                            models.CharField(
                                choices=[("serve", "serve on a tier"), ("deny", "deny")],
                                default="serve",
                                help_text="A caller whose number or id no customer has. Served ones become customers on their first contact.",
                                max_length=8,
                            ),
                        ),
                        (
                            "callers_without_number",
                            models.CharField(
                                choices=[("serve", "serve on a tier"), ("deny", "deny")],
                                default="serve",
                                help_text="A caller who withholds the number and has no id. Limits per caller cannot apply to them.",
                                max_length=8,
                            ),
                        ),
                        (
                            "limits_in_answer",
                            models.CharField(
                                choices=[("day_total", "the day's total"), ("what_is_left", "what is left")],
                                default="day_total",
                                help_text="What LiveTok is told as dailyCallMinutes. LiveTok reports nothing during a session and takes no stop: a call admitted with a minute left may last an hour, and with the day's total LiveTok is not told what is left.",
                                max_length=16,
                            ),
                        ),
                        (
                            "emergency",
                            models.CharField(
                                choices=[
                                    ("normal", "normal"),
                                    ("allow_all", "allow all (but blocked customers)"),
                                    ("deny_all", "deny all"),
                                ],
                                default="normal",
                                max_length=16,
                                verbose_name="emergency switch",
                            ),
                        ),
                        (
                            "emergency_until",
                            models.DateTimeField(
                                blank=True,
                                help_text="When the emergency switch goes back to normal by itself. Blank: never.",
                                null=True,
                            ),
                        ),
                        (
                            "callers_without_number_tier",
                            models.ForeignKey(
                                blank=True,
                                help_text="Needed where they are served.",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="customers.tier",
                            ),
                        ),
                        (
                            "unknown_callers_tier",
                            models.ForeignKey(
                                blank=True,
                                help_text="Needed where they are served.",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="customers.tier",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name_plural": "policy",
                    },
                ),
                migrations.CreateModel(
                    name="HistoricalTierLimit",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        (
                            "metric",
                            models.CharField(
                                choices=[
                                    ("messages", "messages"),
                                    ("call_minutes", "call minutes"),
                                    ("sessions", "sessions"),
                                    ("concurrent_sessions", "concurrent sessions"),
                                ],
                                max_length=24,
                            ),
                        ),
                        (
                            "period",
                            models.CharField(
                                blank=True,
                                choices=[("day", "day"), ("week", "week"), ("month", "month")],
                                help_text="Blank for concurrent sessions alone.",
                                max_length=8,
                            ),
                        ),
                        (
                            "hard",
                            models.BooleanField(
                                default=True,
                                help_text="Off: nobody is denied; what would have been is recorded, and LiveTok is not told of the limit.",
                            ),
                        ),
                        (
                            "amount",
                            models.PositiveIntegerField(help_text="0: none at all. For unlimited, have no row."),
                        ),
                        ("history_id", models.AutoField(primary_key=True, serialize=False)),
                        ("history_date", models.DateTimeField(db_index=True)),
                        ("history_change_reason", models.CharField(max_length=100, null=True)),
                        (
                            "history_type",
                            models.CharField(
                                choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
                            ),
                        ),
                        (
                            "agent",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="Blank: all agents.",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.agent",
                            ),
                        ),
                        (
                            "channel",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="Blank: all channels.",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.channel",
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
                        (
                            "tier",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.tier",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "historical tier limit",
                        "verbose_name_plural": "historical tier limits",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalTier_allowed_channels",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        ("m2m_history_id", models.AutoField(primary_key=True, serialize=False)),
                        (
                            "channel",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                db_tablespace="",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.channel",
                            ),
                        ),
                        (
                            "history",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                to="customers.historicaltier",
                            ),
                        ),
                        (
                            "tier",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                db_tablespace="",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.tier",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "HistoricalTier_allowed_channels",
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalPolicy",
                    fields=[
                        ("id", models.PositiveSmallIntegerField(db_index=True, default=1, editable=False)),
                        (
                            "unknown_callers",
                            models.CharField(
                                choices=[("serve", "serve on a tier"), ("deny", "deny")],
                                default="serve",
                                help_text="A caller whose number or id no customer has. Served ones become customers on their first contact.",
                                max_length=8,
                            ),
                        ),
                        (
                            "callers_without_number",
                            models.CharField(
                                choices=[("serve", "serve on a tier"), ("deny", "deny")],
                                default="serve",
                                help_text="A caller who withholds the number and has no id. Limits per caller cannot apply to them.",
                                max_length=8,
                            ),
                        ),
                        (
                            "limits_in_answer",
                            models.CharField(
                                choices=[("day_total", "the day's total"), ("what_is_left", "what is left")],
                                default="day_total",
                                help_text="What LiveTok is told as dailyCallMinutes. LiveTok reports nothing during a session and takes no stop: a call admitted with a minute left may last an hour, and with the day's total LiveTok is not told what is left.",
                                max_length=16,
                            ),
                        ),
                        (
                            "emergency",
                            models.CharField(
                                choices=[
                                    ("normal", "normal"),
                                    ("allow_all", "allow all (but blocked customers)"),
                                    ("deny_all", "deny all"),
                                ],
                                default="normal",
                                max_length=16,
                                verbose_name="emergency switch",
                            ),
                        ),
                        (
                            "emergency_until",
                            models.DateTimeField(
                                blank=True,
                                help_text="When the emergency switch goes back to normal by itself. Blank: never.",
                                null=True,
                            ),
                        ),
                        ("history_id", models.AutoField(primary_key=True, serialize=False)),
                        ("history_date", models.DateTimeField(db_index=True)),
                        ("history_change_reason", models.CharField(max_length=100, null=True)),
                        (
                            "history_type",
                            models.CharField(
                                choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
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
                        (
                            "callers_without_number_tier",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="Needed where they are served.",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.tier",
                            ),
                        ),
                        (
                            "unknown_callers_tier",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                help_text="Needed where they are served.",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.tier",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "historical policy",
                        "verbose_name_plural": "historical policy",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalCustomer",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        ("name", models.CharField(blank=True, max_length=200)),
                        (
                            "external_id",
                            models.CharField(
                                blank=True,
                                db_index=True,
                                help_text="The customer's id in your CRM; also matched with LiveTok's <code>customer.id</code>. Blank: none.",
                                max_length=255,
                                null=True,
                            ),
                        ),
                        ("email", models.EmailField(blank=True, max_length=254)),
                        (
                            "status",
                            models.CharField(
                                choices=[("active", "Active"), ("paused", "Paused"), ("blocked", "Blocked")],
                                default="active",
                                help_text="Paused and blocked customers are denied; blocked ones even while the emergency switch allows all.",
                                max_length=10,
                            ),
                        ),
                        ("valid_from", models.DateTimeField(blank=True, help_text="Blank: since ever.", null=True)),
                        (
                            "valid_until",
                            models.DateTimeField(
                                blank=True, help_text="Up to but not including. Blank: for ever.", null=True
                            ),
                        ),
                        (
                            "context",
                            models.JSONField(
                                blank=True,
                                default=dict,
                                help_text="What the agent is told about this customer, over what its tier says: a JSON object.",
                                validators=[customers.models.fields.validate_context],
                            ),
                        ),
                        ("notes", models.TextField(blank=True, help_text="For staff; the agent is never told.")),
                        (
                            "time_zone",
                            models.CharField(
                                blank=True,
                                help_text="Days, weeks and months start at midnight here, such as Europe/Madrid. Blank: the company's.",
                                max_length=64,
                                validators=[customers.models.fields.validate_time_zone],
                            ),
                        ),
                        (
                            "source",
                            models.CharField(
                                choices=[
                                    ("staff", "Staff"),
                                    ("import", "Import"),
                                    ("api", "API"),
                                    ("first_contact", "first contact"),
                                ],
                                default="staff",
                                editable=False,
                                max_length=16,
                            ),
                        ),
                        ("created_at", models.DateTimeField(blank=True, editable=False)),
                        ("history_id", models.AutoField(primary_key=True, serialize=False)),
                        ("history_date", models.DateTimeField(db_index=True)),
                        ("history_change_reason", models.CharField(max_length=100, null=True)),
                        (
                            "history_type",
                            models.CharField(
                                choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
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
                        (
                            "tier",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.tier",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "historical customer",
                        "verbose_name_plural": "historical customers",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.AddField(
                    model_name="customer",
                    name="tier",
                    field=models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="customers", to="customers.tier"
                    ),
                ),
                migrations.CreateModel(
                    name="TierLimit",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "metric",
                            models.CharField(
                                choices=[
                                    ("messages", "messages"),
                                    ("call_minutes", "call minutes"),
                                    ("sessions", "sessions"),
                                    ("concurrent_sessions", "concurrent sessions"),
                                ],
                                max_length=24,
                            ),
                        ),
                        (
                            "period",
                            models.CharField(
                                blank=True,
                                choices=[("day", "day"), ("week", "week"), ("month", "month")],
                                help_text="Blank for concurrent sessions alone.",
                                max_length=8,
                            ),
                        ),
                        (
                            "hard",
                            models.BooleanField(
                                default=True,
                                help_text="Off: nobody is denied; what would have been is recorded, and LiveTok is not told of the limit.",
                            ),
                        ),
                        (
                            "amount",
                            models.PositiveIntegerField(help_text="0: none at all. For unlimited, have no row."),
                        ),
                        (
                            "agent",
                            models.ForeignKey(
                                blank=True,
                                help_text="Blank: all agents.",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="customers.agent",
                            ),
                        ),
                        (
                            "channel",
                            models.ForeignKey(
                                blank=True,
                                help_text="Blank: all channels.",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="customers.channel",
                            ),
                        ),
                        (
                            "tier",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE, related_name="limits", to="customers.tier"
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["metric", "period", "channel", "agent"],
                    },
                ),
                migrations.CreateModel(
                    name="HistoricalPhoneNumber",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        (
                            "number",
                            models.CharField(help_text="As you write it, such as +44 20 7946 0958.", max_length=255),
                        ),
                        (
                            "key",
                            models.CharField(
                                db_index=True, editable=False, help_text="What calls are matched by.", max_length=255
                            ),
                        ),
                        ("history_id", models.AutoField(primary_key=True, serialize=False)),
                        ("history_date", models.DateTimeField(db_index=True)),
                        ("history_change_reason", models.CharField(max_length=100, null=True)),
                        (
                            "history_type",
                            models.CharField(
                                choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
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
                        "verbose_name": "historical phone number",
                        "verbose_name_plural": "historical phone numbers",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                        "indexes": [
                            models.Index(
                                condition=models.Q(
                                    ("history_user__isnull", False), ("history_change_reason__gt", ""), _connector="OR"
                                ),
                                fields=["history_date", "history_id"],
                                name="phonenumber_by_somebody",
                            )
                        ],
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="LimitOverride",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "metric",
                            models.CharField(
                                choices=[
                                    ("messages", "messages"),
                                    ("call_minutes", "call minutes"),
                                    ("sessions", "sessions"),
                                    ("concurrent_sessions", "concurrent sessions"),
                                ],
                                max_length=24,
                            ),
                        ),
                        (
                            "period",
                            models.CharField(
                                blank=True,
                                choices=[("day", "day"), ("week", "week"), ("month", "month")],
                                help_text="Blank for concurrent sessions alone.",
                                max_length=8,
                            ),
                        ),
                        (
                            "hard",
                            models.BooleanField(
                                default=True,
                                help_text="Off: nobody is denied; what would have been is recorded, and LiveTok is not told of the limit.",
                            ),
                        ),
                        (
                            "amount",
                            models.PositiveIntegerField(
                                blank=True, help_text="0: none at all. Blank: unlimited.", null=True
                            ),
                        ),
                        ("valid_from", models.DateTimeField(blank=True, help_text="Blank: since ever.", null=True)),
                        (
                            "valid_until",
                            models.DateTimeField(
                                blank=True, help_text="Up to but not including. Blank: for ever.", null=True
                            ),
                        ),
                        ("note", models.CharField(blank=True, help_text="Why, for your colleagues.", max_length=200)),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        (
                            "agent",
                            models.ForeignKey(
                                blank=True,
                                help_text="Blank: all agents.",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="customers.agent",
                            ),
                        ),
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
                            "channel",
                            models.ForeignKey(
                                blank=True,
                                help_text="Blank: all channels.",
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="customers.channel",
                            ),
                        ),
                        (
                            "customer",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="overrides",
                                to="customers.customer",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["metric", "period", "channel", "agent", "valid_from"],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("metric", customers.limits.Metric["CONCURRENT_SESSIONS"]),
                                        ("period", customers.limits.Period["NONE"]),
                                    ),
                                    models.Q(
                                        ("metric", customers.limits.Metric["MESSAGES"]),
                                        ("period", customers.limits.Period["DAY"]),
                                    ),
                                    models.Q(
                                        (
                                            "metric__in",
                                            [
                                                customers.limits.Metric["CALL_MINUTES"],
                                                customers.limits.Metric["SESSIONS"],
                                            ],
                                        ),
                                        (
                                            "period__in",
                                            [
                                                customers.limits.Period["DAY"],
                                                customers.limits.Period["WEEK"],
                                                customers.limits.Period["MONTH"],
                                            ],
                                        ),
                                    ),
                                    _connector="OR",
                                ),
                                name="limitoverride_period_fits_metric",
                                violation_error_message="Period: messages are per day; call minutes and sessions per day, week or month; concurrent sessions have none.",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("valid_from__isnull", True),
                                    ("valid_until__isnull", True),
                                    ("valid_until__gt", models.F("valid_from")),
                                    _connector="OR",
                                ),
                                name="limitoverride_valid_until_is_after_valid_from",
                                violation_error_message="Valid until: give a time after valid from.",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="SearchKey",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("kind", models.CharField(choices=[("w", "Word"), ("b", "digits backwards")], max_length=1)),
                        ("text", models.CharField(max_length=40)),
                        (
                            "customer",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="search_keys",
                                to="customers.customer",
                            ),
                        ),
                    ],
                    options={
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("kind", "text", "customer"),
                                name="searchkey_unique",
                                opclasses=["varchar_pattern_ops", "varchar_pattern_ops", "int8_ops"],
                            )
                        ],
                    },
                ),
                migrations.AddConstraint(
                    model_name="tier",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("call_hold_minutes__gt", 0)),
                        name="tier_call_hold_is_above_zero",
                        violation_error_message="Call hold minutes: give 1 or more.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="tier",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("rounding_seconds__in", [1, 6, 60])),
                        name="tier_rounding_is_known",
                        violation_error_message="Rounding: give 1 (exact), 6 or 60 seconds.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="tier",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("currency", ""), ("price_per_minute_over__isnull", True)),
                            models.Q(("price_per_minute_over__gte", 0), models.Q(("currency", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="tier_price_has_a_currency",
                        violation_error_message="Price per minute over: give one of 0 or more with its currency, or neither.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="policy",
                    constraint=models.CheckConstraint(condition=models.Q(("id", 1)), name="policy_is_one_row"),
                ),
                migrations.AddConstraint(
                    model_name="policy",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("unknown_callers", "deny"), ("unknown_callers_tier__isnull", False), _connector="OR"
                        ),
                        name="policy_unknown_callers_have_a_tier",
                        violation_error_message="Unknown callers tier: choose one, or deny unknown callers.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="policy",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("callers_without_number", "deny"),
                            ("callers_without_number_tier__isnull", False),
                            _connector="OR",
                        ),
                        name="policy_callers_without_number_have_a_tier",
                        violation_error_message="Callers without number tier: choose one, or deny callers without a number.",
                    ),
                ),
                migrations.AddIndex(
                    model_name="historicalcustomer",
                    index=models.Index(
                        condition=models.Q(
                            ("history_user__isnull", False), ("history_change_reason__gt", ""), _connector="OR"
                        ),
                        fields=["history_date", "history_id"],
                        name="customer_by_somebody",
                    ),
                ),
                migrations.AddIndex(
                    model_name="customer",
                    index=models.Index(fields=["name", "id"], name="customer_by_name"),
                ),
                migrations.AddConstraint(
                    model_name="customer",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("valid_from__isnull", True),
                            ("valid_until__isnull", True),
                            ("valid_until__gt", models.F("valid_from")),
                            _connector="OR",
                        ),
                        name="customer_valid_until_is_after_valid_from",
                        violation_error_message="Valid until: give a time after valid from.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="customer",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("external_id", ""), _negated=True),
                        name="customer_external_id_is_not_empty",
                        violation_error_message="External id: leave it out instead of giving an empty text.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="tierlimit",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("metric", customers.limits.Metric["CONCURRENT_SESSIONS"]),
                                ("period", customers.limits.Period["NONE"]),
                            ),
                            models.Q(
                                ("metric", customers.limits.Metric["MESSAGES"]),
                                ("period", customers.limits.Period["DAY"]),
                            ),
                            models.Q(
                                (
                                    "metric__in",
                                    [customers.limits.Metric["CALL_MINUTES"], customers.limits.Metric["SESSIONS"]],
                                ),
                                (
                                    "period__in",
                                    [
                                        customers.limits.Period["DAY"],
                                        customers.limits.Period["WEEK"],
                                        customers.limits.Period["MONTH"],
                                    ],
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="tierlimit_period_fits_metric",
                        violation_error_message="Period: messages are per day; call minutes and sessions per day, week or month; concurrent sessions have none.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="tierlimit",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("agent__isnull", True), ("channel__isnull", True)),
                        fields=("tier", "metric", "period"),
                        name="tierlimit_unique_for_all",
                        violation_error_message="Metric: this tier has a limit of the same metric, period, channel and agent; change that one.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="tierlimit",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("agent__isnull", True), ("channel__isnull", False)),
                        fields=("tier", "metric", "period", "channel"),
                        name="tierlimit_unique_for_channel",
                        violation_error_message="Metric: this tier has a limit of the same metric, period, channel and agent; change that one.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="tierlimit",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("agent__isnull", False), ("channel__isnull", True)),
                        fields=("tier", "metric", "period", "agent"),
                        name="tierlimit_unique_for_agent",
                        violation_error_message="Metric: this tier has a limit of the same metric, period, channel and agent; change that one.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="tierlimit",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("agent__isnull", False), ("channel__isnull", False)),
                        fields=("tier", "metric", "period", "channel", "agent"),
                        name="tierlimit_unique_for_channel_and_agent",
                        violation_error_message="Metric: this tier has a limit of the same metric, period, channel and agent; change that one.",
                    ),
                ),
            ],
        ),
        migrations.RunPython(make_name_index, drop_name_index),
        migrations.RunPython(add_known_channels, migrations.RunPython.noop),
    ]
