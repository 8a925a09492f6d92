"""The log of LiveTok's requests, those that were refused, and how far those that waited on disk are stored."""

from django.db import models
from django.db.models import Q

from sessions_app.models.packed import PackedField


class SpoolPlace(models.Model):
    """How far a file of the spool is in the database. Written with each of its requests, so none is stored twice."""

    name = models.CharField(primary_key=True, max_length=255)
    fed_bytes = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.fed_bytes}"


# The verdicts of requests that no session's number bounds.
OF_NO_SESSION = ("ignored", "rejected")


class WebhookEvent(models.Model):
    """One request of LiveTok's, as it came and as it was taken. Deleted by age, and some by size (`retention`)."""

    class Verdict(models.TextChoices):
        ACCEPTED = "accepted"
        REDELIVERED = "redelivered"
        CORRECTED = "corrected"
        IGNORED = "ignored"
        REJECTED = "rejected"

    # By our clock: deletion by age and the order of the log go by it, whatever LiveTok states.
    received_at = models.DateTimeField(db_index=True)
    event = models.CharField(max_length=64, blank=True)
    session_id = models.CharField(max_length=255, blank=True)
    is_test = models.BooleanField(default=False)
    verdict = models.CharField(max_length=12, choices=Verdict)
    status = models.PositiveSmallIntegerField()
    error = models.CharField(max_length=300, blank=True)
    took_ms = models.FloatField("took (ms)")
    key = models.CharField(max_length=120, blank=True, help_text="The key's name, or WEBHOOK_SECRET.")
    address = models.CharField(max_length=64, blank=True)
    route = models.CharField(max_length=8, blank=True)
    body = PackedField(null=True)
    processed_again_at = models.DateTimeField(null=True)

    class Meta:
        # Not `db_index`, which on PostgreSQL makes a second one for LIKE.
        indexes = [
            models.Index(fields=["session_id"], name="webhookevent_by_session"),
            models.Index(fields=["id"], name="webhookevent_of_no_session", condition=Q(verdict__in=OF_NO_SESSION)),
            models.Index(
                fields=["received_at"],
                name="webhookevent_rejected_waiting",
                condition=Q(verdict="rejected", processed_again_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event or 'event'} {self.session_id}".strip()


class RefusedRequests(models.Model):
    """How often somebody knocked without a valid key within an hour. All that a stranger leaves behind."""

    hour = models.DateTimeField(primary_key=True)
    count = models.PositiveIntegerField(default=0)
    last_address = models.CharField(max_length=64, blank=True)
    last_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "refused requests"

    def __str__(self) -> str:
        return f"{self.count} at {self.hour:%Y-%m-%d %H}:00"
