"""Destinations: where messages and requests go, with what it takes to get in."""

from django.db import models
from simple_history.models import HistoricalRecords

AT_ONCE, PER_SECOND = 2, 5


class Destination(models.Model):
    """An address that many rules may use. Its secrets are kept apart, sealed."""

    class Kind(models.TextChoices):
        EMAIL = "email", "e-mail"
        SLACK = "slack", "Slack"
        TEAMS = "teams", "Microsoft Teams"
        HTTP = "http", "HTTP request"
        WHATSAPP = "whatsapp", "WhatsApp template by LiveTok"

    name = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=12, choices=Kind)
    address = models.CharField(
        max_length=2000,
        blank=True,
        help_text="Where requests go, such as https://hooks.slack.com/services/{{ secrets.path }}. Blank for e-mail.",
    )
    headers = models.TextField(
        blank=True,
        help_text="For HTTP: a line each, such as Authorization: Bearer {{ secrets.token }}.",
    )
    is_signed = models.BooleanField(
        "sign requests", default=False, help_text="By Standard Webhooks, with the secret named “signing”."
    )
    at_once = models.PositiveSmallIntegerField(
        "requests at once", default=AT_ONCE, help_text="How many may be under way at a time."
    )
    per_second = models.PositiveSmallIntegerField("requests a second", default=PER_SECOND)
    owner_email = models.EmailField(blank=True, help_text="Who gets a mail when it is paused because it fails.")

    paused_at = models.DateTimeField(null=True, editable=False)
    paused_because = models.CharField(max_length=300, blank=True, editable=False)
    # Attempts that failed since the last one that did not, by the database's clock.
    failures_in_row = models.PositiveIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)

    # What the worker writes with each result is no edit.
    history = HistoricalRecords(excluded_fields=["failures_in_row", "failing_since"])

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_chat(self) -> bool:
        return self.kind in (self.Kind.SLACK, self.Kind.TEAMS)

    @property
    def is_for_people(self) -> bool:
        """Who reads them is not served by many at once, nor by what is old."""
        return self.is_chat or self.kind in (self.Kind.EMAIL, self.Kind.WHATSAPP)
