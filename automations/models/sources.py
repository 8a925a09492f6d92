"""Sources: other systems that are asked for the agent's context, and what they said lately."""

from django.db import models
from django.db.models import F, Q

from automations.models.destinations import Destination
from automations.texts.lines import refuse_line_breaks
from customers.models import Agent, Customer, Tier
from customers.models.histories import Records

LIMIT_MS, LONGEST_LIMIT_MS = 300, 600
FRESH_MINUTES, STALE_HOURS = 5, 24


class Source(models.Model):
    """Another system that is asked while a begin is decided. `context.recipes` reads its texts."""

    name = models.CharField(max_length=120, unique=True, validators=[refuse_line_breaks])
    is_active = models.BooleanField("on", default=False, help_text="It is asked from five seconds later at the latest.")
    address = models.CharField(
        max_length=2000,
        help_text="What is asked, by GET, such as https://shop.example.com/customers/{{ customer.external_id }}.",
    )
    headers = models.TextField(blank=True, help_text="A line each, such as Authorization: Bearer {{ secrets.token }}.")
    pointers = models.TextField(
        "context",
        help_text="A line each: the agent's key, an equals sign, and where the answer's JSON has it, such as "
        "last_order = /orders/0/title.",
    )
    limit_ms = models.PositiveSmallIntegerField(
        "time limit (ms)", default=LIMIT_MS, help_text=f"How long a caller waits for it: at most {LONGEST_LIMIT_MS}."
    )
    fresh_minutes = models.PositiveSmallIntegerField(
        "fresh for (minutes)", default=FRESH_MINUTES, help_text="So long, what it said is used without asking again."
    )
    stale_hours = models.PositiveSmallIntegerField(
        "used for (hours)",
        default=STALE_HOURS,
        help_text="So long, what it said is used while the worker asks again. Then it is deleted.",
    )
    tiers = models.ManyToManyField(Tier, blank=True, related_name="+", help_text="None: all.")
    agents = models.ManyToManyField(Agent, blank=True, related_name="+", help_text="None: all.")

    last_failed_at = models.DateTimeField(null=True, editable=False)
    last_failure = models.CharField(max_length=300, blank=True, editable=False)

    # What is noted of a failure is no edit.
    history = Records(excluded_fields=["last_failed_at", "last_failure"])

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="source_keeps_nobody_waiting",
                condition=Q(limit_ms__gte=1, limit_ms__lte=LONGEST_LIMIT_MS),
                violation_error_message=f"Give a time limit from 1 to {LONGEST_LIMIT_MS} ms.",
            ),
            models.CheckConstraint(
                name="source_is_fresh_before_it_is_stale",
                condition=Q(stale_hours__gte=1, stale_hours__lte=24 * 30) & Q(fresh_minutes__lte=F("stale_hours") * 60),
                violation_error_message="Give 1 to 720 hours of use, and no more minutes of freshness than that.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CachedContext(models.Model):
    """What a source said of a caller. Old ones are deleted by the worker."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="cached", db_index=False)
    # Of `context.recipes`: the customer, or the number or id, with what else the address names.
    caller = models.CharField(max_length=400)
    # Where the source is asked otherwise now, this is of no use any more.
    recipe = models.CharField(max_length=32)
    values = models.JSONField()
    # What was not where the pointers say, in words.
    lacking = models.JSONField(default=list)
    fetched_at = models.DateTimeField()

    # What the worker needs to ask again.
    customer = models.ForeignKey(Customer, null=True, on_delete=models.CASCADE, related_name="+")
    known = models.JSONField(default=dict)
    # It was used although it is stale: the worker asks again.
    wanted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "caller"], name="cached_context_once_of_source_and_caller")
        ]
        indexes = [
            models.Index(fields=["source", "fetched_at"], name="cached_context_by_age"),
            models.Index(fields=["wanted_at"], name="cached_context_wanted", condition=Q(wanted_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.source_id}: {self.caller}"


class Secret(models.Model):
    """A secret of a destination or of a source, sealed (`sealing`). Shown nowhere again."""

    destination = models.ForeignKey(Destination, null=True, on_delete=models.CASCADE, related_name="secrets")
    source = models.ForeignKey(Source, null=True, on_delete=models.CASCADE, related_name="secrets")
    name = models.SlugField(max_length=60)
    # Of the key that sealed it: where that key is gone, pages can say which.
    fingerprint = models.CharField(max_length=32)
    token = models.TextField()
    set_at = models.DateTimeField(auto_now=True)

    # Who set which one, and when.
    history = Records(excluded_fields=["token"])

    class Meta:
        ordering = ["name"]
        constraints = [
            # NULL equals nothing, so each holds for its own kind alone.
            models.UniqueConstraint(fields=["destination", "name"], name="secret_unique_in_destination"),
            models.UniqueConstraint(fields=["source", "name"], name="secret_unique_in_source"),
            models.CheckConstraint(
                name="secret_belongs_to_destination_or_source",
                condition=Q(destination__isnull=False, source__isnull=True)
                | Q(destination__isnull=True, source__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name
