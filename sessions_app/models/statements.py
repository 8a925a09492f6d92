"""Statements of a month (`sessions_app.billing`)."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from sessions_app.models.sessions import Session


class StatementMonth(models.Model):
    """A month whose statements are closed. Its lines stay as they are; `finished_at` is blank until all are written."""

    first_day = models.DateField(primary_key=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    closed_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    # Whether all that came after the sessions were counted stands in `PastMonthWrite`; else they are recounted.
    changes_are_listed = models.BooleanField(default=False)
    # Of each tier by its id, in seconds: a recount rounds as the closing did, whatever the tier says since.
    roundings = models.JSONField(default=dict)

    class Meta:
        permissions = [("close_month", "Can close a month's statements")]

    def __str__(self) -> str:
        return f"{self.first_day:%Y-%m}"


class StatementLine(models.Model):
    """What a customer had used in a month when it was closed. Names are copied: customers change, merge and go.

    A line `of_month` other than its own is a correction of a month closed before: a difference, billed with this one.
    Price, currency and sum are as they were then; blank where the tier had no price, or nothing could be over.
    `channels` has sessions, exact and billed seconds by channel; a blank channel is a session without one.
    """

    month = models.ForeignKey(StatementMonth, on_delete=models.PROTECT, related_name="lines")
    of_month = models.DateField(help_text="The first day of the month whose sessions it is of.")
    customer_number = models.BigIntegerField(help_text="The customer's id then; it may be gone since.")
    customer_name = models.CharField(max_length=255)
    external_id = models.CharField(max_length=255, blank=True)
    tier = models.CharField(max_length=100)
    channels = models.JSONField(default=dict)
    sessions = models.IntegerField()
    seconds = models.BigIntegerField()
    billed_seconds = models.BigIntegerField()
    billed_call_seconds = models.BigIntegerField()
    # Of these, what was drawn on top-ups: it is neither included nor over.
    drawn_call_seconds = models.BigIntegerField(default=0, db_default=0)
    included_minutes = models.PositiveIntegerField(null=True)
    over_seconds = models.BigIntegerField(null=True)
    price_per_minute_over = models.DecimalField(max_digits=9, decimal_places=4, null=True)
    currency = models.CharField(max_length=3, blank=True)
    sum = models.DecimalField(max_digits=19, decimal_places=4, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["month", "of_month", "customer_number"], name="statementline_unique_by_customer_and_month"
            ),
        ]
        indexes = [models.Index(fields=["of_month", "customer_number"], name="statementline_by_its_month")]

    def __str__(self) -> str:
        return f"{self.customer_name}, {self.month_id:%Y-%m}"


class PastMonthWrite(models.Model):
    """That a customer's sessions of an earlier month were written: what was billed of them may hold no more.

    Rows are only added, so that no event waits for another; `is_recounted` once a closing has looked at what they say.
    A blank `session`: all those that came or went with a merge.
    """

    customer_number = models.BigIntegerField(help_text="The customer's id then; it may be gone since.")
    month = models.DateField(help_text="The month's first day.")
    session = models.ForeignKey(Session, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    noted_at = models.DateTimeField(db_index=True)
    is_recounted = models.BooleanField(default=False)

    class Meta:
        # For whoever deletes sessions.
        indexes = [
            models.Index(fields=["session"], name="pastmonthwrite_by_session", condition=Q(session__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.customer_number} in {self.month:%Y-%m}"
