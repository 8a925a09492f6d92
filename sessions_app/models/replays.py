"""Replays: what a draft's limits would have done, worked out by the worker. Written by `replay` alone."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from customers.models import TierChange

DAYS = (7, 30, 90)


class Replay(models.Model):
    """One draft or scheduled change over the last days, as it was when somebody asked. Asked again, it begins anew.

    `limits` and `limits_now` are what is compared: the change's and the tier's, a list of `Limit`s as JSON each.
    `result` grows customer by customer, up to `last_customer`; it is whole once `finished_at` is there.
    """

    change = models.ForeignKey(TierChange, on_delete=models.CASCADE, related_name="replays")
    days = models.PositiveSmallIntegerField()
    since = models.DateTimeField()
    until = models.DateTimeField()
    limits = models.JSONField()
    limits_now = models.JSONField()
    asked_at = models.DateTimeField()
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    customers = models.PositiveIntegerField(default=0)
    customers_done = models.PositiveIntegerField(default=0)
    last_customer = models.BigIntegerField(default=0)
    usual_seconds = models.PositiveIntegerField(null=True)
    result = models.JSONField(default=dict)
    finished_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=200, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["change", "days"], name="replay_one_for_a_change_and_days"),
            models.CheckConstraint(name="replay_of_known_days", condition=Q(days__in=DAYS)),
        ]

    def __str__(self) -> str:
        return f"{self.change}, the last {self.days} days"

    @property
    def share_done(self) -> float:
        """From 0 to 1."""
        if self.finished_at is not None:
            return 1.0
        return min(0.99, self.customers_done / self.customers) if self.customers else 0.0
