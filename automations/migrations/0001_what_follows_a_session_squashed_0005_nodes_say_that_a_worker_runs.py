"""The tables of a new installation at once; one of an earlier version goes by the steps that this replaces.

It depends on what the steps depended on: else it would count as applied too early where other apps lack their newest.
"""

import automations.texts.lines
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import simple_history.models
import uuid
from django.conf import settings
from django.db import migrations, models

from customers.new_tables import NewTables


class Migration(migrations.Migration):
    replaces = [
        ("automations", "0001_what_follows_a_session"),
        ("automations", "0002_requests_have_bounds"),
        ("automations", "0003_mail_reaches_each_recipient"),
        ("automations", "0004_preset_of_destination"),
        ("automations", "0005_nodes_say_that_a_worker_runs"),
    ]

    initial = True

    dependencies = [
        ("customers", "0004_number_keys"),
        ("sessions_app", "0015_index_of_events_of_no_session"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        NewTables(
            state_operations=[
                migrations.CreateModel(
                    name="Occurrence",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("kind", models.CharField(max_length=12)),
                        ("session_id", models.CharField(max_length=255)),
                        ("is_test", models.BooleanField()),
                        ("number", models.PositiveIntegerField()),
                        ("received_at", models.DateTimeField()),
                        ("is_first_contact", models.BooleanField()),
                    ],
                ),
                migrations.CreateModel(
                    name="Destination",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "name",
                            models.CharField(
                                max_length=120, unique=True, validators=[automations.texts.lines.refuse_line_breaks]
                            ),
                        ),
                        (
                            "kind",
                            models.CharField(
                                choices=[
                                    ("email", "e-mail"),
                                    ("slack", "Slack"),
                                    ("teams", "Microsoft Teams"),
                                    ("http", "HTTP request"),
                                    ("whatsapp", "WhatsApp template by LiveTok"),
                                ],
                                max_length=12,
                            ),
                        ),
                        ("preset", models.CharField(blank=True, editable=False, max_length=40)),
                        (
                            "address",
                            models.CharField(
                                blank=True,
                                help_text="Where requests go, such as https://hooks.slack.com/services/{{ secrets.path }}. Blank for e-mail.",
                                max_length=2000,
                            ),
                        ),
                        (
                            "headers",
                            models.TextField(
                                blank=True,
                                help_text="For HTTP: a line each, such as Authorization: Bearer {{ secrets.token }}.",
                            ),
                        ),
                        (
                            "is_signed",
                            models.BooleanField(
                                default=False,
                                help_text="By Standard Webhooks, with the secret named “signing”.",
                                verbose_name="sign requests",
                            ),
                        ),
                        (
                            "at_once",
                            models.PositiveSmallIntegerField(
                                default=2,
                                help_text="How many may be under way at a time: 1 to 32.",
                                validators=[
                                    django.core.validators.MinValueValidator(
                                        1, "Give 1 or more: with less, nothing would ever be sent."
                                    ),
                                    django.core.validators.MaxValueValidator(32, "Give 32 at most."),
                                ],
                                verbose_name="requests at once",
                            ),
                        ),
                        (
                            "per_second",
                            models.PositiveSmallIntegerField(
                                default=5,
                                help_text="1 to 1,000.",
                                validators=[
                                    django.core.validators.MinValueValidator(
                                        1, "Give 1 or more: with less, nothing would ever be sent."
                                    ),
                                    django.core.validators.MaxValueValidator(1000, "Give 1,000 at most."),
                                ],
                                verbose_name="requests a second",
                            ),
                        ),
                        (
                            "owner_email",
                            models.EmailField(
                                blank=True,
                                help_text="Who gets a mail when it is paused because it fails.",
                                max_length=254,
                            ),
                        ),
                        ("paused_at", models.DateTimeField(editable=False, null=True)),
                        ("paused_because", models.CharField(blank=True, editable=False, max_length=300)),
                        ("failures_in_row", models.PositiveIntegerField(default=0, editable=False)),
                        ("failing_since", models.DateTimeField(editable=False, null=True)),
                    ],
                    options={
                        "ordering": ["name"],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("at_once__gte", 1), ("at_once__lte", 32)),
                                name="destination_sends_something_at_once",
                                violation_error_message="Requests at once are 1 to 32.",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("per_second__gte", 1), ("per_second__lte", 1000)),
                                name="destination_sends_something_a_second",
                                violation_error_message="Requests a second are 1 to 1,000.",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Action",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "recipient",
                            models.CharField(
                                blank=True,
                                help_text="For e-mail: addresses divided by commas. For WhatsApp: a number.",
                                max_length=300,
                                verbose_name="to",
                            ),
                        ),
                        ("subject", models.CharField(blank=True, help_text="For e-mail.", max_length=300)),
                        (
                            "text",
                            models.TextField(
                                blank=True, help_text="For e-mail. For WhatsApp: a parameter on each line."
                            ),
                        ),
                        (
                            "method",
                            models.CharField(
                                choices=[("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH")],
                                default="POST",
                                max_length=6,
                            ),
                        ),
                        (
                            "path",
                            models.CharField(
                                blank=True,
                                help_text="For HTTP: what follows the destination's address, if anything.",
                                max_length=500,
                            ),
                        ),
                        (
                            "body",
                            models.TextField(
                                blank=True,
                                help_text="For HTTP and chat: JSON. A text that is one name alone becomes its value.",
                            ),
                        ),
                        (
                            "template_name",
                            models.CharField(
                                blank=True, help_text="For WhatsApp: the template's name.", max_length=120
                            ),
                        ),
                        (
                            "template_language",
                            models.CharField(blank=True, default="en_US", help_text="For WhatsApp.", max_length=16),
                        ),
                        (
                            "kept_pointer",
                            models.CharField(
                                blank=True,
                                help_text="A JSON pointer such as /ticket/id. Its value is shown on the session.",
                                max_length=200,
                                verbose_name="keep from the answer",
                            ),
                        ),
                        (
                            "kept_link",
                            models.CharField(
                                blank=True,
                                help_text="Such as https://you.zendesk.com/agent/tickets/{{ kept.value }}",
                                max_length=500,
                                verbose_name="as a link",
                            ),
                        ),
                        (
                            "not_later_than_minutes",
                            models.PositiveIntegerField(
                                blank=True,
                                help_text="What is older is skipped. Blank: 60 for e-mail, chat and WhatsApp, never for HTTP.",
                                null=True,
                                verbose_name="not later than (minutes)",
                            ),
                        ),
                        (
                            "destination",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="actions",
                                to="automations.destination",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["pk"],
                    },
                ),
                migrations.CreateModel(
                    name="Firing",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("subject", models.CharField(max_length=300)),
                        ("threshold", models.PositiveSmallIntegerField(default=0)),
                        ("fired_at", models.DateTimeField()),
                        ("awaits_digest", models.BooleanField(default=False)),
                        (
                            "session",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="sessions_app.session",
                            ),
                        ),
                    ],
                ),
                migrations.CreateModel(
                    name="Delivery",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("key", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                        ("is_test", models.BooleanField(default=False, verbose_name="sent as a test")),
                        ("method", models.CharField(blank=True, max_length=6)),
                        ("path", models.TextField(blank=True)),
                        ("recipient", models.CharField(blank=True, max_length=300)),
                        ("reached", models.TextField(blank=True)),
                        ("subject", models.CharField(blank=True, max_length=998)),
                        ("body", models.BinaryField()),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("waiting", "Waiting"),
                                    ("sending", "Sending"),
                                    ("delivered", "Delivered"),
                                    ("failed", "Failed"),
                                    ("unknown", "unknown: may have been sent"),
                                    ("skipped", "skipped: too late"),
                                ],
                                default="waiting",
                                max_length=10,
                            ),
                        ),
                        ("attempts_made", models.PositiveSmallIntegerField(default=0)),
                        ("created_at", models.DateTimeField()),
                        ("next_attempt_at", models.DateTimeField()),
                        ("not_after", models.DateTimeField(null=True)),
                        ("lease", models.UUIDField(null=True)),
                        ("lease_until", models.DateTimeField(null=True)),
                        ("finished_at", models.DateTimeField(null=True)),
                        ("kept_pointer", models.CharField(blank=True, max_length=200)),
                        (
                            "kept_link_text",
                            models.CharField(
                                blank=True, help_text="Liquid, to be filled with the value.", max_length=500
                            ),
                        ),
                        ("kept_value", models.CharField(blank=True, max_length=300)),
                        ("kept_link", models.CharField(blank=True, max_length=1000)),
                        (
                            "action",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="automations.action",
                            ),
                        ),
                        (
                            "session",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to="sessions_app.session",
                            ),
                        ),
                        (
                            "destination",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="deliveries",
                                to="automations.destination",
                            ),
                        ),
                        (
                            "firing",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="deliveries",
                                to="automations.firing",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name_plural": "deliveries",
                        "permissions": [("view_bodies", "Can see what deliveries say")],
                    },
                ),
                migrations.CreateModel(
                    name="HistoricalDestination",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        (
                            "name",
                            models.CharField(
                                db_index=True, max_length=120, validators=[automations.texts.lines.refuse_line_breaks]
                            ),
                        ),
                        (
                            "kind",
                            models.CharField(
                                choices=[
                                    ("email", "e-mail"),
                                    ("slack", "Slack"),
                                    ("teams", "Microsoft Teams"),
                                    ("http", "HTTP request"),
                                    ("whatsapp", "WhatsApp template by LiveTok"),
                                ],
                                max_length=12,
                            ),
                        ),
                        ("preset", models.CharField(blank=True, editable=False, max_length=40)),
                        (
                            "address",
                            models.CharField(
                                blank=True,
                                help_text="Where requests go, such as https://hooks.slack.com/services/{{ secrets.path }}. Blank for e-mail.",
                                max_length=2000,
                            ),
                        ),
                        (
                            "headers",
                            models.TextField(
                                blank=True,
                                help_text="For HTTP: a line each, such as Authorization: Bearer {{ secrets.token }}.",
                            ),
                        ),
                        (
                            "is_signed",
                            models.BooleanField(
                                default=False,
                                help_text="By Standard Webhooks, with the secret named “signing”.",
                                verbose_name="sign requests",
                            ),
                        ),
                        (
                            "at_once",
                            models.PositiveSmallIntegerField(
                                default=2,
                                help_text="How many may be under way at a time: 1 to 32.",
                                validators=[
                                    django.core.validators.MinValueValidator(
                                        1, "Give 1 or more: with less, nothing would ever be sent."
                                    ),
                                    django.core.validators.MaxValueValidator(32, "Give 32 at most."),
                                ],
                                verbose_name="requests at once",
                            ),
                        ),
                        (
                            "per_second",
                            models.PositiveSmallIntegerField(
                                default=5,
                                help_text="1 to 1,000.",
                                validators=[
                                    django.core.validators.MinValueValidator(
                                        1, "Give 1 or more: with less, nothing would ever be sent."
                                    ),
                                    django.core.validators.MaxValueValidator(1000, "Give 1,000 at most."),
                                ],
                                verbose_name="requests a second",
                            ),
                        ),
                        (
                            "owner_email",
                            models.EmailField(
                                blank=True,
                                help_text="Who gets a mail when it is paused because it fails.",
                                max_length=254,
                            ),
                        ),
                        ("paused_at", models.DateTimeField(editable=False, null=True)),
                        ("paused_because", models.CharField(blank=True, editable=False, max_length=300)),
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
                        "verbose_name": "historical destination",
                        "verbose_name_plural": "historical destinations",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalRule",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        (
                            "name",
                            models.CharField(
                                db_index=True, max_length=120, validators=[automations.texts.lines.refuse_line_breaks]
                            ),
                        ),
                        (
                            "trigger",
                            models.CharField(
                                choices=[
                                    ("began_allowed", "a session began and was allowed"),
                                    ("began_denied", "a session was denied"),
                                    ("ended", "a session ended"),
                                    ("end_corrected", "a session's end was corrected"),
                                    ("missing_end", "a session is missing its end"),
                                    ("new_caller", "a new caller became a customer, allowed or not"),
                                    ("usage_reached", "a customer's usage reached a part of a limit"),
                                    ("silent", "LiveTok's webhook is silent, or was heard again"),
                                ],
                                max_length=16,
                                verbose_name="when",
                            ),
                        ),
                        (
                            "is_active",
                            models.BooleanField(
                                default=False,
                                help_text="It sees what happens from now on, and nothing from before.",
                                verbose_name="on",
                            ),
                        ),
                        ("active_since", models.DateTimeField(editable=False, null=True)),
                        ("covers_tests", models.BooleanField(default=False, verbose_name="test traffic, too")),
                        (
                            "reasons",
                            models.JSONField(
                                blank=True, default=list, help_text="Why it was denied. None: any reason."
                            ),
                        ),
                        (
                            "least_duration_seconds",
                            models.PositiveIntegerField(
                                blank=True,
                                help_text="Sessions that ended earlier are left out.",
                                null=True,
                                verbose_name="at least so long (seconds)",
                            ),
                        ),
                        (
                            "weekdays",
                            models.JSONField(
                                blank=True, default=list, help_text="In the company's time zone. None: every day."
                            ),
                        ),
                        ("from_time", models.TimeField(blank=True, help_text="In the company's time zone.", null=True)),
                        (
                            "until_time",
                            models.TimeField(
                                blank=True,
                                help_text="Before this time. Earlier than the other one: over midnight.",
                                null=True,
                            ),
                        ),
                        (
                            "thresholds",
                            models.JSONField(
                                blank=True,
                                default=list,
                                help_text="For usage alone: 80, 100 tells once at each. Of several reached at once, the highest.",
                                verbose_name="percent of a limit",
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
                        "verbose_name": "historical rule",
                        "verbose_name_plural": "historical rules",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalSource",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        (
                            "name",
                            models.CharField(
                                db_index=True, max_length=120, validators=[automations.texts.lines.refuse_line_breaks]
                            ),
                        ),
                        (
                            "is_active",
                            models.BooleanField(
                                default=False,
                                help_text="It is asked from five seconds later at the latest.",
                                verbose_name="on",
                            ),
                        ),
                        (
                            "address",
                            models.CharField(
                                help_text="What is asked, by GET, such as https://shop.example.com/customers/{{ customer.external_id }}.",
                                max_length=2000,
                            ),
                        ),
                        (
                            "headers",
                            models.TextField(
                                blank=True, help_text="A line each, such as Authorization: Bearer {{ secrets.token }}."
                            ),
                        ),
                        (
                            "pointers",
                            models.TextField(
                                help_text="A line each: the agent's key, an equals sign, and where the answer's JSON has it, such as last_order = /orders/0/title.",
                                verbose_name="context",
                            ),
                        ),
                        (
                            "limit_ms",
                            models.PositiveSmallIntegerField(
                                default=300,
                                help_text="How long a caller waits for it: at most 600.",
                                verbose_name="time limit (ms)",
                            ),
                        ),
                        (
                            "fresh_minutes",
                            models.PositiveSmallIntegerField(
                                default=5,
                                help_text="So long, what it said is used without asking again.",
                                verbose_name="fresh for (minutes)",
                            ),
                        ),
                        (
                            "stale_hours",
                            models.PositiveSmallIntegerField(
                                default=24,
                                help_text="So long, what it said is used while the worker asks again. Then it is deleted.",
                                verbose_name="used for (hours)",
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
                        "verbose_name": "historical source",
                        "verbose_name_plural": "historical sources",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="Installation",
                    fields=[
                        (
                            "id",
                            models.PositiveSmallIntegerField(
                                default=1, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("identity", models.CharField(max_length=200)),
                    ],
                    options={
                        "constraints": [
                            models.CheckConstraint(condition=models.Q(("id", 1)), name="installation_is_one_row")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Rule",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "name",
                            models.CharField(
                                max_length=120, unique=True, validators=[automations.texts.lines.refuse_line_breaks]
                            ),
                        ),
                        (
                            "trigger",
                            models.CharField(
                                choices=[
                                    ("began_allowed", "a session began and was allowed"),
                                    ("began_denied", "a session was denied"),
                                    ("ended", "a session ended"),
                                    ("end_corrected", "a session's end was corrected"),
                                    ("missing_end", "a session is missing its end"),
                                    ("new_caller", "a new caller became a customer, allowed or not"),
                                    ("usage_reached", "a customer's usage reached a part of a limit"),
                                    ("silent", "LiveTok's webhook is silent, or was heard again"),
                                ],
                                max_length=16,
                                verbose_name="when",
                            ),
                        ),
                        (
                            "is_active",
                            models.BooleanField(
                                default=False,
                                help_text="It sees what happens from now on, and nothing from before.",
                                verbose_name="on",
                            ),
                        ),
                        ("active_since", models.DateTimeField(editable=False, null=True)),
                        ("covers_tests", models.BooleanField(default=False, verbose_name="test traffic, too")),
                        (
                            "reasons",
                            models.JSONField(
                                blank=True, default=list, help_text="Why it was denied. None: any reason."
                            ),
                        ),
                        (
                            "least_duration_seconds",
                            models.PositiveIntegerField(
                                blank=True,
                                help_text="Sessions that ended earlier are left out.",
                                null=True,
                                verbose_name="at least so long (seconds)",
                            ),
                        ),
                        (
                            "weekdays",
                            models.JSONField(
                                blank=True, default=list, help_text="In the company's time zone. None: every day."
                            ),
                        ),
                        ("from_time", models.TimeField(blank=True, help_text="In the company's time zone.", null=True)),
                        (
                            "until_time",
                            models.TimeField(
                                blank=True,
                                help_text="Before this time. Earlier than the other one: over midnight.",
                                null=True,
                            ),
                        ),
                        (
                            "thresholds",
                            models.JSONField(
                                blank=True,
                                default=list,
                                help_text="For usage alone: 80, 100 tells once at each. Of several reached at once, the highest.",
                                verbose_name="percent of a limit",
                            ),
                        ),
                        ("agents", models.ManyToManyField(blank=True, related_name="+", to="customers.agent")),
                        ("channels", models.ManyToManyField(blank=True, related_name="+", to="customers.channel")),
                        ("customers", models.ManyToManyField(blank=True, related_name="+", to="customers.customer")),
                        ("tiers", models.ManyToManyField(blank=True, related_name="+", to="customers.tier")),
                    ],
                    options={
                        "ordering": ["name"],
                    },
                ),
                migrations.CreateModel(
                    name="HistoricalRule_tiers",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        ("m2m_history_id", models.AutoField(primary_key=True, serialize=False)),
                        (
                            "history",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                to="automations.historicalrule",
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
                        (
                            "rule",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                db_tablespace="",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="automations.rule",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "HistoricalRule_tiers",
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalRule_customers",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        ("m2m_history_id", models.AutoField(primary_key=True, serialize=False)),
                        (
                            "customer",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                db_tablespace="",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.customer",
                            ),
                        ),
                        (
                            "history",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                to="automations.historicalrule",
                            ),
                        ),
                        (
                            "rule",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                db_tablespace="",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="automations.rule",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "HistoricalRule_customers",
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalRule_channels",
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
                                to="automations.historicalrule",
                            ),
                        ),
                        (
                            "rule",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                db_tablespace="",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="automations.rule",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "HistoricalRule_channels",
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalRule_agents",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        ("m2m_history_id", models.AutoField(primary_key=True, serialize=False)),
                        (
                            "agent",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                db_tablespace="",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="customers.agent",
                            ),
                        ),
                        (
                            "history",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                to="automations.historicalrule",
                            ),
                        ),
                        (
                            "rule",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                db_tablespace="",
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="automations.rule",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "HistoricalRule_agents",
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="HistoricalAction",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        (
                            "recipient",
                            models.CharField(
                                blank=True,
                                help_text="For e-mail: addresses divided by commas. For WhatsApp: a number.",
                                max_length=300,
                                verbose_name="to",
                            ),
                        ),
                        ("subject", models.CharField(blank=True, help_text="For e-mail.", max_length=300)),
                        (
                            "text",
                            models.TextField(
                                blank=True, help_text="For e-mail. For WhatsApp: a parameter on each line."
                            ),
                        ),
                        (
                            "method",
                            models.CharField(
                                choices=[("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH")],
                                default="POST",
                                max_length=6,
                            ),
                        ),
                        (
                            "path",
                            models.CharField(
                                blank=True,
                                help_text="For HTTP: what follows the destination's address, if anything.",
                                max_length=500,
                            ),
                        ),
                        (
                            "body",
                            models.TextField(
                                blank=True,
                                help_text="For HTTP and chat: JSON. A text that is one name alone becomes its value.",
                            ),
                        ),
                        (
                            "template_name",
                            models.CharField(
                                blank=True, help_text="For WhatsApp: the template's name.", max_length=120
                            ),
                        ),
                        (
                            "template_language",
                            models.CharField(blank=True, default="en_US", help_text="For WhatsApp.", max_length=16),
                        ),
                        (
                            "kept_pointer",
                            models.CharField(
                                blank=True,
                                help_text="A JSON pointer such as /ticket/id. Its value is shown on the session.",
                                max_length=200,
                                verbose_name="keep from the answer",
                            ),
                        ),
                        (
                            "kept_link",
                            models.CharField(
                                blank=True,
                                help_text="Such as https://you.zendesk.com/agent/tickets/{{ kept.value }}",
                                max_length=500,
                                verbose_name="as a link",
                            ),
                        ),
                        (
                            "not_later_than_minutes",
                            models.PositiveIntegerField(
                                blank=True,
                                help_text="What is older is skipped. Blank: 60 for e-mail, chat and WhatsApp, never for HTTP.",
                                null=True,
                                verbose_name="not later than (minutes)",
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
                            "destination",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="automations.destination",
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
                            "rule",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="automations.rule",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "historical action",
                        "verbose_name_plural": "historical actions",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.AddField(
                    model_name="firing",
                    name="rule",
                    field=models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="firings", to="automations.rule"
                    ),
                ),
                migrations.AddField(
                    model_name="action",
                    name="rule",
                    field=models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="actions", to="automations.rule"
                    ),
                ),
                migrations.CreateModel(
                    name="Silence",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("started_at", models.DateTimeField(unique=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                    ],
                    options={
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("ended_at__isnull", True),
                                    ("ended_at__gte", models.F("started_at")),
                                    _connector="OR",
                                ),
                                name="silence_ends_after_its_start",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Source",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "name",
                            models.CharField(
                                max_length=120, unique=True, validators=[automations.texts.lines.refuse_line_breaks]
                            ),
                        ),
                        (
                            "is_active",
                            models.BooleanField(
                                default=False,
                                help_text="It is asked from five seconds later at the latest.",
                                verbose_name="on",
                            ),
                        ),
                        (
                            "address",
                            models.CharField(
                                help_text="What is asked, by GET, such as https://shop.example.com/customers/{{ customer.external_id }}.",
                                max_length=2000,
                            ),
                        ),
                        (
                            "headers",
                            models.TextField(
                                blank=True, help_text="A line each, such as Authorization: Bearer {{ secrets.token }}."
                            ),
                        ),
                        (
                            "pointers",
                            models.TextField(
                                help_text="A line each: the agent's key, an equals sign, and where the answer's JSON has it, such as last_order = /orders/0/title.",
                                verbose_name="context",
                            ),
                        ),
                        (
                            "limit_ms",
                            models.PositiveSmallIntegerField(
                                default=300,
                                help_text="How long a caller waits for it: at most 600.",
                                verbose_name="time limit (ms)",
                            ),
                        ),
                        (
                            "fresh_minutes",
                            models.PositiveSmallIntegerField(
                                default=5,
                                help_text="So long, what it said is used without asking again.",
                                verbose_name="fresh for (minutes)",
                            ),
                        ),
                        (
                            "stale_hours",
                            models.PositiveSmallIntegerField(
                                default=24,
                                help_text="So long, what it said is used while the worker asks again. Then it is deleted.",
                                verbose_name="used for (hours)",
                            ),
                        ),
                        ("last_failed_at", models.DateTimeField(editable=False, null=True)),
                        ("last_failure", models.CharField(blank=True, editable=False, max_length=300)),
                        (
                            "agents",
                            models.ManyToManyField(
                                blank=True, help_text="None: all.", related_name="+", to="customers.agent"
                            ),
                        ),
                        (
                            "tiers",
                            models.ManyToManyField(
                                blank=True, help_text="None: all.", related_name="+", to="customers.tier"
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["name"],
                    },
                ),
                migrations.CreateModel(
                    name="Secret",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("name", models.SlugField(max_length=60)),
                        ("fingerprint", models.CharField(max_length=32)),
                        ("token", models.TextField()),
                        ("set_at", models.DateTimeField(auto_now=True)),
                        (
                            "destination",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="secrets",
                                to="automations.destination",
                            ),
                        ),
                        (
                            "source",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="secrets",
                                to="automations.source",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["name"],
                    },
                ),
                migrations.CreateModel(
                    name="HistoricalSecret",
                    fields=[
                        ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                        ("name", models.SlugField(max_length=60)),
                        ("fingerprint", models.CharField(max_length=32)),
                        ("set_at", models.DateTimeField(blank=True, editable=False)),
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
                            "destination",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="automations.destination",
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
                            "source",
                            models.ForeignKey(
                                blank=True,
                                db_constraint=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="automations.source",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "historical secret",
                        "verbose_name_plural": "historical secrets",
                        "ordering": ("-history_date", "-history_id"),
                        "get_latest_by": ("history_date", "history_id"),
                    },
                    bases=(simple_history.models.HistoricalChanges, models.Model),
                ),
                migrations.CreateModel(
                    name="CachedContext",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("caller", models.CharField(max_length=400)),
                        ("recipe", models.CharField(max_length=32)),
                        ("values", models.JSONField()),
                        ("lacking", models.JSONField(default=list)),
                        ("fetched_at", models.DateTimeField()),
                        ("known", models.JSONField(default=dict)),
                        ("wanted_at", models.DateTimeField(null=True)),
                        (
                            "customer",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="+",
                                to="customers.customer",
                            ),
                        ),
                        (
                            "source",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="cached",
                                to="automations.source",
                            ),
                        ),
                    ],
                ),
                migrations.CreateModel(
                    name="Attempt",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("started_at", models.DateTimeField()),
                        ("seconds", models.FloatField()),
                        ("status", models.PositiveSmallIntegerField(null=True)),
                        ("error", models.CharField(blank=True, max_length=500)),
                        ("answer", models.TextField(blank=True)),
                        (
                            "delivery",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="attempts",
                                to="automations.delivery",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["pk"],
                        "indexes": [models.Index(fields=["started_at"], name="attempt_by_time")],
                    },
                ),
                migrations.AddIndex(
                    model_name="delivery",
                    index=models.Index(
                        condition=models.Q(("finished_at__isnull", True)),
                        fields=["destination", "next_attempt_at"],
                        name="delivery_unfinished",
                    ),
                ),
                migrations.AddIndex(
                    model_name="delivery",
                    index=models.Index(
                        condition=models.Q(("finished_at__isnull", True), ("session__isnull", False)),
                        fields=["session", "destination"],
                        name="delivery_unfinished_of_session",
                    ),
                ),
                migrations.AddIndex(
                    model_name="delivery",
                    index=models.Index(
                        condition=models.Q(("state", "sending")),
                        fields=["destination", "lease_until"],
                        name="delivery_under_way",
                    ),
                ),
                migrations.AddIndex(
                    model_name="delivery",
                    index=models.Index(
                        condition=models.Q(("finished_at__isnull", True), ("not_after__isnull", False)),
                        fields=["not_after"],
                        name="delivery_that_may_be_late",
                    ),
                ),
                migrations.AddIndex(
                    model_name="delivery",
                    index=models.Index(
                        condition=models.Q(("finished_at__isnull", False)),
                        fields=["finished_at"],
                        name="delivery_finished",
                    ),
                ),
                migrations.AddIndex(
                    model_name="delivery",
                    index=models.Index(fields=["destination", "-id"], name="delivery_by_destination"),
                ),
                migrations.AddConstraint(
                    model_name="delivery",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at__isnull", True), ("state__in", ["waiting", "sending"])),
                            models.Q(
                                ("finished_at__isnull", False),
                                ("state__in", ["delivered", "failed", "unknown", "skipped"]),
                            ),
                            _connector="OR",
                        ),
                        name="delivery_is_finished_or_goes_on",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="delivery",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("lease__isnull", False), ("lease_until__isnull", False), ("state", "sending")),
                            models.Q(
                                models.Q(("state", "sending"), _negated=True),
                                ("lease__isnull", True),
                                ("lease_until__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="delivery_that_is_sent_has_a_lease",
                    ),
                ),
                migrations.AddIndex(
                    model_name="rule",
                    index=models.Index(
                        condition=models.Q(("is_active", True)), fields=["trigger"], name="rule_active_by_trigger"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="rule",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("is_active", False), ("active_since__isnull", False), _connector="OR"),
                        name="rule_that_is_on_knows_since_when",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="rule",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("from_time__isnull", True), ("until_time__isnull", True)),
                            models.Q(("from_time", models.F("until_time")), _negated=True),
                            _connector="OR",
                        ),
                        name="rule_hours_are_two_times_that_differ",
                        violation_error_message="Give two times that differ, or none.",
                    ),
                ),
                migrations.AddIndex(
                    model_name="firing",
                    index=models.Index(
                        condition=models.Q(("session__isnull", False)), fields=["session"], name="firing_by_session"
                    ),
                ),
                migrations.AddIndex(
                    model_name="firing",
                    index=models.Index(fields=["rule", "fired_at"], name="firing_by_rule_and_time"),
                ),
                migrations.AddConstraint(
                    model_name="firing",
                    constraint=models.UniqueConstraint(
                        fields=("rule", "subject", "threshold"), name="firing_once_of_rule_and_subject"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="source",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("limit_ms__gte", 1), ("limit_ms__lte", 600)),
                        name="source_keeps_nobody_waiting",
                        violation_error_message="Give a time limit from 1 to 600 ms.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="source",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("stale_hours__gte", 1),
                            ("stale_hours__lte", 720),
                            (
                                "fresh_minutes__lte",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("stale_hours"), "*", models.Value(60)
                                ),
                            ),
                        ),
                        name="source_is_fresh_before_it_is_stale",
                        violation_error_message="Give 1 to 720 hours of use, and no more minutes of freshness than that.",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="secret",
                    constraint=models.UniqueConstraint(
                        fields=("destination", "name"), name="secret_unique_in_destination"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="secret",
                    constraint=models.UniqueConstraint(fields=("source", "name"), name="secret_unique_in_source"),
                ),
                migrations.AddConstraint(
                    model_name="secret",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("destination__isnull", False), ("source__isnull", True)),
                            models.Q(("destination__isnull", True), ("source__isnull", False)),
                            _connector="OR",
                        ),
                        name="secret_belongs_to_destination_or_source",
                    ),
                ),
                migrations.AddIndex(
                    model_name="cachedcontext",
                    index=models.Index(fields=["source", "fetched_at"], name="cached_context_by_age"),
                ),
                migrations.AddIndex(
                    model_name="cachedcontext",
                    index=models.Index(
                        condition=models.Q(("wanted_at__isnull", False)),
                        fields=["wanted_at"],
                        name="cached_context_wanted",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="cachedcontext",
                    constraint=models.UniqueConstraint(
                        fields=("source", "caller"), name="cached_context_once_of_source_and_caller"
                    ),
                ),
            ],
        ),
    ]
