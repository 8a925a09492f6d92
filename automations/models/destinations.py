"""Destinations: where messages and requests go, with what it takes to get in."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from automations.texts.lines import refuse_line_breaks
from customers.models.histories import Records

AT_ONCE, PER_SECOND = 2, 5
# As many as a worker's threads that destinations which failed last may take; what one receiver could be sent.
MOST_AT_ONCE, MOST_PER_SECOND = 32, 1000


def _between_one_and(most: int) -> list[MinValueValidator]:
    least = MinValueValidator(1, "Give 1 or more: with less, nothing would ever be sent.")
    return [least, MaxValueValidator(most, f"Give {most:,} at most.")]  # type: ignore[list-item]


class Destination(models.Model):
    """An address that many rules may use. Its secrets are kept apart, sealed."""

    class Kind(models.TextChoices):
        EMAIL = "email", "e-mail"
        SLACK = "slack", "Slack"
        TEAMS = "teams", "Microsoft Teams"
        HTTP = "http", "HTTP request"
        WHATSAPP = "whatsapp", "WhatsApp template by LiveTok"

    name = models.CharField(max_length=120, unique=True, validators=[refuse_line_breaks])
    kind = models.CharField(max_length=12, choices=Kind)
    # Of `texts.presets`, where it is an HTTP request that was made by one: what a rule for it says first.
    preset = models.CharField(max_length=40, blank=True, editable=False)
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
        "requests at once",
        default=AT_ONCE,
        validators=_between_one_and(MOST_AT_ONCE),
        help_text=f"How many may be under way at a time: 1 to {MOST_AT_ONCE}.",
    )
    per_second = models.PositiveSmallIntegerField(
        "requests a second",
        default=PER_SECOND,
        validators=_between_one_and(MOST_PER_SECOND),
        help_text=f"1 to {MOST_PER_SECOND:,}.",
    )
    owner_email = models.EmailField(blank=True, help_text="Who gets a mail when it is paused because it fails.")

    paused_at = models.DateTimeField(null=True, editable=False)
    paused_because = models.CharField(max_length=300, blank=True, editable=False)
    # Attempts that failed since the last one that did not, by the database's clock.
    failures_in_row = models.PositiveIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)

    # What the worker writes with each result is no edit.
    history = Records(excluded_fields=["failures_in_row", "failing_since"])

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="destination_sends_something_at_once",
                condition=Q(at_once__gte=1, at_once__lte=MOST_AT_ONCE),
                violation_error_message=f"Requests at once are 1 to {MOST_AT_ONCE}.",
            ),
            models.CheckConstraint(
                name="destination_sends_something_a_second",
                condition=Q(per_second__gte=1, per_second__lte=MOST_PER_SECOND),
                violation_error_message=f"Requests a second are 1 to {MOST_PER_SECOND:,}.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_chat(self) -> bool:
        return self.kind in (self.Kind.SLACK, self.Kind.TEAMS)

    @property
    def is_for_people(self) -> bool:
        """Who reads them is not served by many at once, nor by what is old."""
        return self.is_chat or self.kind in (self.Kind.EMAIL, self.Kind.WHATSAPP)
