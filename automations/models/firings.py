"""What happened that rules may follow, and which rules fired on it."""

from django.db import models
from django.db.models import F, Q

from automations.models.rules import Rule
from sessions_app.models import Session


class Occurrence(models.Model):
    """An event that an active rule waits for: a row of the statement that stores the event. Deleted once it is judged.

    It names the session as LiveTok does: its row's id is not known before the statement has run.
    """

    kind = models.CharField(max_length=12)
    session_id = models.CharField(max_length=255)
    is_test = models.BooleanField()
    number = models.PositiveIntegerField()
    received_at = models.DateTimeField()
    is_first_contact = models.BooleanField()

    def __str__(self) -> str:
        return f"{self.kind} {self.session_id}"


class Firing(models.Model):
    """A rule fired on a subject, such as a session: once, for all its actions, whatever comes again or restarts."""

    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, related_name="firings")
    session = models.ForeignKey(Session, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    subject = models.CharField(max_length=300)
    # Percent, for usage alone. Below one that was told, none of the same subject is told any more.
    threshold = models.PositiveSmallIntegerField(default=0)
    fired_at = models.DateTimeField()
    # Too many at once for people: waits to be told in one message with others.
    awaits_digest = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rule", "subject", "threshold"], name="firing_once_of_rule_and_subject")
        ]
        indexes = [
            models.Index(fields=["session"], name="firing_by_session", condition=Q(session__isnull=False)),
            models.Index(fields=["rule", "fired_at"], name="firing_by_rule_and_time"),
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}"


class Silence(models.Model):
    """A time without LiveTok's events at hours that used to have many."""

    # When the last event was received: every worker that sees the same silence gives it the same name.
    started_at = models.DateTimeField(unique=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="silence_ends_after_its_start",
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"since {self.started_at:%Y-%m-%d %H:%M}"
