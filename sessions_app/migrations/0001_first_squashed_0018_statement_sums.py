"""The tables of a new installation at once; one of an earlier version goes by the steps that this replaces."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from customers.new_tables import NewTables


class Migration(migrations.Migration):
    replaces = [
        ("sessions_app", "0001_first"),
        ("sessions_app", "0002_sums"),
        ("sessions_app", "0003_spool"),
        ("sessions_app", "0004_statements"),
        ("sessions_app", "0005_report_indexes"),
        ("sessions_app", "0006_fewer_indexes"),
        ("sessions_app", "0007_billed_corrections"),
        ("sessions_app", "0008_administrators_close_months"),
        ("sessions_app", "0009_index_of_denied_sessions"),
        ("sessions_app", "0010_one_index_of_daily_usage"),
        ("sessions_app", "0011_past_month_writes"),
        ("sessions_app", "0012_session_missing_from"),
        ("sessions_app", "0013_week_sums"),
        ("sessions_app", "0014_shared_rows_unlocked"),
        ("sessions_app", "0015_index_of_events_of_no_session"),
        ("sessions_app", "0016_nodes_and_leases"),
        ("sessions_app", "0017_index_of_rejected_requests"),
        ("sessions_app", "0018_statement_sums"),
    ]

    initial = True

    dependencies = [
        ("customers", "0003_customer_name_index"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        NewTables(
            state_operations=[
                migrations.CreateModel(
                    name="CallerNumber",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("key", models.CharField(max_length=255, unique=True)),
                        ("backwards", models.CharField(db_index=True, max_length=255)),
                    ],
                ),
                migrations.CreateModel(
                    name="CustomerTurn",
                    fields=[
                        (
                            "customer",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                primary_key=True,
                                related_name="+",
                                serialize=False,
                                to="customers.customer",
                            ),
                        ),
                        ("begins", models.BigIntegerField(default=0)),
                    ],
                ),
                migrations.CreateModel(
                    name="LateWrite",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("started_at", models.DateTimeField()),
                    ],
                ),
                migrations.CreateModel(
                    name="Lease",
                    fields=[
                        ("name", models.CharField(max_length=40, primary_key=True, serialize=False)),
                        ("holder", models.UUIDField(null=True)),
                        ("held_until", models.DateTimeField()),
                        ("due_at", models.DateTimeField()),
                    ],
                ),
                migrations.CreateModel(
                    name="Node",
                    fields=[
                        ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ("hostname", models.CharField(max_length=255)),
                        ("started_at", models.DateTimeField()),
                        ("beat_at", models.DateTimeField()),
                        ("secret_key_fingerprint", models.CharField(max_length=16)),
                        ("encryption_key_fingerprint", models.CharField(blank=True, max_length=16)),
                    ],
                    options={
                        "ordering": ["started_at", "id"],
                    },
                ),
                migrations.CreateModel(
                    name="RefusedRequests",
                    fields=[
                        ("hour", models.DateTimeField(primary_key=True, serialize=False)),
                        ("count", models.PositiveIntegerField(default=0)),
                        ("last_address", models.CharField(blank=True, max_length=64)),
                        ("last_at", models.DateTimeField()),
                    ],
                    options={
                        "verbose_name_plural": "refused requests",
                    },
                ),
                migrations.CreateModel(
                    name="SpoolPlace",
                    fields=[
                        ("name", models.CharField(max_length=255, primary_key=True, serialize=False)),
                        ("fed_bytes", models.BigIntegerField(default=0)),
                    ],
                ),
                migrations.CreateModel(
                    name="SumsMark",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("until", models.DateTimeField(null=True)),
                        ("zone", models.CharField(max_length=64)),
                        ("stale_peaks", models.JSONField(default=list)),
                        ("peaks_at", models.DateTimeField(null=True)),
                    ],
                ),
                migrations.CreateModel(
                    name="DayPeak",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("day", models.DateField()),
                        ("is_test", models.BooleanField(default=False)),
                        ("channel", models.CharField(blank=True, max_length=64)),
                        ("most", models.IntegerField()),
                        ("reached_at", models.DateTimeField()),
                    ],
                    options={
                        "constraints": [
                            models.UniqueConstraint(fields=("day", "is_test", "channel"), name="daypeak_unique")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="DaySums",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("day", models.DateField()),
                        ("is_test", models.BooleanField(default=False)),
                        ("durations", models.JSONField(default=dict)),
                        ("callers", models.BinaryField(default=b"")),
                    ],
                    options={
                        "verbose_name_plural": "day sums",
                        "constraints": [models.UniqueConstraint(fields=("day", "is_test"), name="daysums_unique")],
                    },
                ),
                migrations.CreateModel(
                    name="HourSums",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("starts_at", models.DateTimeField()),
                        ("day", models.DateField()),
                        ("hour", models.PositiveSmallIntegerField()),
                        ("is_test", models.BooleanField(default=False)),
                        ("sessions", models.IntegerField(default=0)),
                        ("denied", models.IntegerField(default=0)),
                        ("seconds", models.BigIntegerField(default=0)),
                        ("cells", models.JSONField(default=list)),
                        ("durations", models.JSONField(default=dict)),
                        ("callers", models.BinaryField(default=b"")),
                    ],
                    options={
                        "verbose_name_plural": "hour sums",
                        "indexes": [models.Index(fields=["day"], name="hoursums_by_day")],
                        "constraints": [
                            models.UniqueConstraint(fields=("starts_at", "is_test"), name="hoursums_unique")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Session",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("session_id", models.CharField(max_length=255)),
                        ("number", models.PositiveIntegerField(default=0)),
                        ("is_test", models.BooleanField(default=False)),
                        ("agent_is_number", models.BooleanField(default=False)),
                        ("number_received", models.CharField(blank=True, max_length=255)),
                        ("phone_key", models.CharField(blank=True, max_length=255)),
                        (
                            "external_id",
                            models.CharField(blank=True, max_length=255, verbose_name="LiveTok's customer id"),
                        ),
                        ("allowed", models.BooleanField(null=True)),
                        ("reason", models.CharField(max_length=32, null=True)),
                        ("would_deny", models.JSONField(default=list)),
                        ("facts", models.JSONField(default=dict)),
                        ("trace", models.JSONField(default=list)),
                        ("answer", models.BinaryField(null=True)),
                        ("begin_received_at", models.DateTimeField(null=True)),
                        ("begin_stated_at", models.DateTimeField(null=True)),
                        ("begin_body", models.BinaryField(null=True)),
                        ("end_received_at", models.DateTimeField(null=True)),
                        ("end_stated_at", models.DateTimeField(null=True)),
                        ("end_body", models.BinaryField(null=True)),
                        ("end_route", models.CharField(blank=True, max_length=8)),
                        ("stated_seconds", models.IntegerField(null=True)),
                        ("declared_missing_at", models.DateTimeField(null=True)),
                        ("started_at", models.DateTimeField()),
                        ("ended_at", models.DateTimeField(null=True)),
                        ("duration_seconds", models.IntegerField(null=True)),
                        ("time_zone", models.CharField(max_length=64)),
                        ("counts_toward_call_minutes", models.BooleanField(default=True)),
                        ("open_until", models.DateTimeField(null=True)),
                        ("missing_from", models.DateTimeField(null=True)),
                        ("flags", models.TextField(blank=True)),
                        (
                            "agent",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="sessions",
                                to="customers.agent",
                            ),
                        ),
                        (
                            "channel",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="sessions",
                                to="customers.channel",
                            ),
                        ),
                        (
                            "customer",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="sessions",
                                to="customers.customer",
                            ),
                        ),
                        (
                            "declared_missing_by",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "tier",
                            models.ForeignKey(
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="sessions",
                                to="customers.tier",
                            ),
                        ),
                    ],
                    options={
                        "permissions": [("view_bodies", "Can see the raw bodies of sessions and events")],
                    },
                ),
                migrations.CreateModel(
                    name="PastMonthWrite",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        (
                            "customer_number",
                            models.BigIntegerField(help_text="The customer's id then; it may be gone since."),
                        ),
                        ("month", models.DateField(help_text="The month's first day.")),
                        ("noted_at", models.DateTimeField(db_index=True)),
                        ("is_recounted", models.BooleanField(default=False)),
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
                    name="StatementMonth",
                    fields=[
                        ("first_day", models.DateField(primary_key=True, serialize=False)),
                        ("closed_at", models.DateTimeField()),
                        ("finished_at", models.DateTimeField(null=True)),
                        ("changes_are_listed", models.BooleanField(default=False)),
                        ("roundings", models.JSONField(default=dict)),
                        (
                            "closed_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "permissions": [("close_month", "Can close a month's statements")],
                    },
                ),
                migrations.CreateModel(
                    name="StatementLine",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("of_month", models.DateField(help_text="The first day of the month whose sessions it is of.")),
                        (
                            "customer_number",
                            models.BigIntegerField(help_text="The customer's id then; it may be gone since."),
                        ),
                        ("customer_name", models.CharField(max_length=255)),
                        ("external_id", models.CharField(blank=True, max_length=255)),
                        ("tier", models.CharField(max_length=100)),
                        ("channels", models.JSONField(default=dict)),
                        ("sessions", models.IntegerField()),
                        ("seconds", models.BigIntegerField()),
                        ("billed_seconds", models.BigIntegerField()),
                        ("billed_call_seconds", models.BigIntegerField()),
                        ("included_minutes", models.PositiveIntegerField(null=True)),
                        ("over_seconds", models.BigIntegerField(null=True)),
                        ("price_per_minute_over", models.DecimalField(decimal_places=4, max_digits=9, null=True)),
                        ("currency", models.CharField(blank=True, max_length=3)),
                        ("sum", models.DecimalField(decimal_places=4, max_digits=19, null=True)),
                        (
                            "month",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="lines",
                                to="sessions_app.statementmonth",
                            ),
                        ),
                    ],
                ),
                migrations.CreateModel(
                    name="SupersededEnd",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("received_at", models.DateTimeField()),
                        ("recorded_at", models.DateTimeField()),
                        ("route", models.CharField(blank=True, max_length=8)),
                        ("stated_seconds", models.IntegerField(null=True)),
                        ("body", models.BinaryField()),
                        (
                            "session",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="superseded_ends",
                                to="sessions_app.session",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["pk"],
                    },
                ),
                migrations.CreateModel(
                    name="WebhookEvent",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("received_at", models.DateTimeField(db_index=True)),
                        ("event", models.CharField(blank=True, max_length=64)),
                        ("session_id", models.CharField(blank=True, max_length=255)),
                        ("is_test", models.BooleanField(default=False)),
                        (
                            "verdict",
                            models.CharField(
                                choices=[
                                    ("accepted", "Accepted"),
                                    ("redelivered", "Redelivered"),
                                    ("corrected", "Corrected"),
                                    ("ignored", "Ignored"),
                                    ("rejected", "Rejected"),
                                ],
                                max_length=12,
                            ),
                        ),
                        ("status", models.PositiveSmallIntegerField()),
                        ("error", models.CharField(blank=True, max_length=300)),
                        ("took_ms", models.FloatField(verbose_name="took (ms)")),
                        (
                            "key",
                            models.CharField(
                                blank=True, help_text="The key's name, or WEBHOOK_SECRET.", max_length=120
                            ),
                        ),
                        ("address", models.CharField(blank=True, max_length=64)),
                        ("route", models.CharField(blank=True, max_length=8)),
                        ("body", models.BinaryField(null=True)),
                        ("processed_again_at", models.DateTimeField(null=True)),
                    ],
                    options={
                        "indexes": [
                            models.Index(fields=["session_id"], name="webhookevent_by_session"),
                            models.Index(
                                condition=models.Q(("verdict__in", ("ignored", "rejected"))),
                                fields=["id"],
                                name="webhookevent_of_no_session",
                            ),
                            models.Index(
                                condition=models.Q(("processed_again_at__isnull", True), ("verdict", "rejected")),
                                fields=["received_at"],
                                name="webhookevent_rejected_waiting",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="WeekSums",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("starts_on", models.DateField()),
                        ("is_test", models.BooleanField(default=False)),
                        ("cells", models.JSONField(default=list)),
                        ("durations", models.JSONField(default=dict)),
                        ("callers", models.BinaryField(default=b"")),
                    ],
                    options={
                        "verbose_name_plural": "week sums",
                        "constraints": [
                            models.UniqueConstraint(fields=("starts_on", "is_test"), name="weeksums_unique")
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="DailyUsage",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("day", models.DateField()),
                        ("channel", models.CharField(blank=True, max_length=64)),
                        ("agent", models.CharField(blank=True, max_length=255)),
                        ("sessions", models.IntegerField(default=0)),
                        ("seconds", models.BigIntegerField(default=0)),
                        ("call_seconds", models.BigIntegerField(default=0)),
                        (
                            "customer",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="daily_usage",
                                to="customers.customer",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name_plural": "daily usage",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("customer", "day", "channel", "agent"), name="dailyusage_unique"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="DayCell",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                            ),
                        ),
                        ("day", models.DateField()),
                        ("is_test", models.BooleanField(default=False)),
                        ("channel", models.CharField(blank=True, max_length=64)),
                        ("agent", models.CharField(blank=True, max_length=255)),
                        ("outcome", models.CharField(max_length=8)),
                        ("reason", models.CharField(blank=True, max_length=32)),
                        ("sessions", models.IntegerField()),
                        ("timed", models.IntegerField()),
                        ("seconds", models.BigIntegerField()),
                        (
                            "tier",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="customers.tier",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["day", "is_test"], name="daycell_by_day")],
                    },
                ),
                migrations.AddIndex(
                    model_name="session",
                    index=models.Index(fields=["-started_at", "-id"], name="session_by_start"),
                ),
                migrations.AddIndex(
                    model_name="session",
                    index=models.Index(fields=["customer", "-started_at"], name="session_by_customer"),
                ),
                migrations.AddIndex(
                    model_name="session",
                    index=models.Index(fields=["phone_key", "-started_at"], name="session_by_phone"),
                ),
                migrations.AddIndex(
                    model_name="session",
                    index=models.Index(
                        condition=models.Q(("customer__isnull", True), ("is_test", False)),
                        fields=["-started_at"],
                        name="session_of_nobody",
                    ),
                ),
                migrations.AddIndex(
                    model_name="session",
                    index=models.Index(
                        condition=models.Q(("external_id", ""), _negated=True),
                        fields=["external_id", "-started_at"],
                        name="session_by_external_id",
                    ),
                ),
                migrations.AddIndex(
                    model_name="session",
                    index=models.Index(
                        condition=models.Q(("duration_seconds__isnull", False)),
                        fields=["duration_seconds", "started_at", "id"],
                        name="session_by_duration",
                    ),
                ),
                migrations.AddIndex(
                    model_name="session",
                    index=models.Index(
                        condition=models.Q(("allowed", False)),
                        fields=["customer", "-started_at"],
                        name="session_denied_by_customer",
                    ),
                ),
                migrations.AddIndex(
                    model_name="session",
                    index=models.Index(
                        condition=models.Q(("allowed", True), ("end_received_at__isnull", True)),
                        fields=["customer", "open_until"],
                        name="session_without_end",
                    ),
                ),
                migrations.AddIndex(
                    model_name="session",
                    index=models.Index(
                        condition=models.Q(("allowed", True), ("end_received_at__isnull", True)),
                        fields=["missing_from"],
                        name="session_without_end_by_missing",
                    ),
                ),
                migrations.AddIndex(
                    model_name="session",
                    index=models.Index(
                        condition=models.Q(("declared_missing_by__isnull", False)),
                        fields=["declared_missing_by"],
                        name="session_by_who_declared_it",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="session",
                    constraint=models.UniqueConstraint(
                        fields=("session_id", "is_test", "number"), name="session_unique_by_id_and_number"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="session",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("begin_received_at__isnull", False), ("end_received_at__isnull", False), _connector="OR"
                        ),
                        name="session_has_a_begin_or_an_end",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="session",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("allowed__isnull", True), ("begin_received_at__isnull", True), ("reason__isnull", True)
                            ),
                            models.Q(
                                ("allowed__isnull", False),
                                ("begin_received_at__isnull", False),
                                ("reason__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="session_is_decided_once_it_has_a_begin",
                    ),
                ),
                migrations.AddIndex(
                    model_name="statementline",
                    index=models.Index(fields=["of_month", "customer_number"], name="statementline_by_its_month"),
                ),
                migrations.AddConstraint(
                    model_name="statementline",
                    constraint=models.UniqueConstraint(
                        fields=("month", "of_month", "customer_number"),
                        name="statementline_unique_by_customer_and_month",
                    ),
                ),
            ],
        ),
    ]
