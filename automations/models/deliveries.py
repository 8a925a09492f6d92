"""Deliveries: what is sent, as the bytes that go out, with each attempt."""

import uuid

from django.db import models
from django.db.models import Q

from automations.models.destinations import Destination
from automations.models.firings import Firing
from automations.models.rules import Action
from sessions_app.models import Session


class Delivery(models.Model):
    """A message or request, filled in once. Every attempt sends the same bytes under the same key.

    Address and headers are the destination's, as they are when it is sent: no secret is kept here.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        SENDING = "sending"
        DELIVERED = "delivered"
        FAILED = "failed"
        UNKNOWN = "unknown", "unknown: may have been sent"
        SKIPPED = "skipped", "skipped: too late"

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    destination = models.ForeignKey(Destination, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    firing = models.ForeignKey(Firing, null=True, on_delete=models.SET_NULL, related_name="deliveries")
    action = models.ForeignKey(Action, null=True, on_delete=models.SET_NULL, related_name="+")
    session = models.ForeignKey(Session, null=True, on_delete=models.SET_NULL, related_name="+")
    is_test = models.BooleanField("sent as a test", default=False)

    method = models.CharField(max_length=6, blank=True)
    # Follows the destination's address.
    path = models.TextField(blank=True)
    recipient = models.CharField(max_length=300, blank=True)
    # Those of the recipients who have the mail, while others were refused.
    reached = models.TextField(blank=True)
    subject = models.CharField(max_length=998, blank=True)
    body = models.BinaryField()

    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts_made = models.PositiveSmallIntegerField(default=0)
    # By the database's clock, as all that several workers go by.
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField()
    not_after = models.DateTimeField(null=True)
    lease = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    kept_pointer = models.CharField(max_length=200, blank=True)
    kept_link_text = models.CharField(max_length=500, blank=True, help_text="Liquid, to be filled with the value.")
    kept_value = models.CharField(max_length=300, blank=True)
    kept_link = models.CharField(max_length=1000, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        permissions = [("view_bodies", "Can see what deliveries say")]
        indexes = [
            models.Index(
                fields=["destination", "next_attempt_at"],
                name="delivery_unfinished",
                condition=Q(finished_at__isnull=True),
            ),
            # Whose turn it is among a session's; what is under way; what may be too late.
            models.Index(
                fields=["session", "destination"],
                name="delivery_unfinished_of_session",
                condition=Q(finished_at__isnull=True, session__isnull=False),
            ),
            models.Index(
                fields=["destination", "lease_until"], name="delivery_under_way", condition=Q(state="sending")
            ),
            models.Index(
                fields=["not_after"],
                name="delivery_that_may_be_late",
                condition=Q(finished_at__isnull=True, not_after__isnull=False),
            ),
            models.Index(fields=["finished_at"], name="delivery_finished", condition=Q(finished_at__isnull=False)),
            models.Index(fields=["destination", "-id"], name="delivery_by_destination"),
        ]
        constraints = [
            models.CheckConstraint(
                name="delivery_is_finished_or_goes_on",
                condition=Q(finished_at__isnull=True, state__in=["waiting", "sending"])
                | Q(finished_at__isnull=False, state__in=["delivered", "failed", "unknown", "skipped"]),
            ),
            models.CheckConstraint(
                name="delivery_that_is_sent_has_a_lease",
                condition=Q(state="sending", lease__isnull=False, lease_until__isnull=False)
                | (~Q(state="sending") & Q(lease__isnull=True, lease_until__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        return str(self.key)

    @property
    def is_unfilled(self) -> bool:
        """Whether its texts could not be filled in, so that there was nothing to send."""
        return self.state == self.State.FAILED and not self.attempts_made


class Attempt(models.Model):
    """One try to send a delivery, with what came of it."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    started_at = models.DateTimeField()
    seconds = models.FloatField()
    status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=500, blank=True)
    # Its first part, with secrets masked.
    answer = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]
        # How many a destination had within the last second.
        indexes = [models.Index(fields=["started_at"], name="attempt_by_time")]

    def __str__(self) -> str:
        return f"{self.delivery_id} at {self.started_at:%Y-%m-%d %H:%M:%S}"


class Installation(models.Model):
    """Which database may send: one row, with what a copy has otherwise."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    identity = models.CharField(max_length=200)

    class Meta:
        constraints = [models.CheckConstraint(name="installation_is_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return self.identity
