"""What is to hold later: other limits for a tier, as a draft or from a moment on, and another tier for a customer."""

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from customers.history import moment_words
from customers.limits import MOST_AMOUNT, TOO_MUCH
from customers.models.customers import Customer
from customers.models.histories import Records
from customers.models.limits import PERIOD_FITS_METRIC, PERIOD_MISMATCH, LimitRow
from customers.models.tiers import Tier


class Change(models.Model):
    """What both kinds have in common. It holds from `starts_at` on, whether or not it was settled.

    Settled is what was written into the tier or customer: then `in_force_at` says when.
    """

    in_force_at = models.DateTimeField(null=True, editable=False)
    note = models.CharField(max_length=200, blank=True, help_text="Why, for your colleagues.")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    starts_at: Any

    class Meta:
        abstract = True

    @property
    def has_come(self) -> bool:
        """By our clock. Then it cannot be cancelled any more."""
        return self.in_force_at is not None or (self.starts_at is not None and self.starts_at <= timezone.now())

    @property
    def from_when(self) -> str:
        return f"from {moment_words(self.starts_at)}" if self.starts_at else "a draft"


class TierChange(Change):
    """Another set of limits for a tier, in place of all that it has."""

    tier = models.ForeignKey(Tier, on_delete=models.CASCADE, related_name="changes")
    starts_at = models.DateTimeField(null=True, blank=True, help_text="From when it holds. Blank: it is a draft.")

    history = Records()

    class Meta:
        verbose_name = "draft or scheduled change"
        verbose_name_plural = "drafts and scheduled changes"
        default_permissions = ()  # whoever may change the tier may change its limits later, too
        ordering = ["tier", "starts_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["tier", "starts_at"],
                condition=Q(starts_at__isnull=False),
                name="tierchange_one_at_a_moment",
                violation_error_message="Starts at: the tier has a change at this moment; change or cancel that one.",
            ),
            models.UniqueConstraint(
                fields=["tier"],
                condition=Q(starts_at__isnull=True),
                name="tierchange_one_draft",
                violation_error_message="Tier: it has a draft; change that one, or discard it.",
            ),
            models.CheckConstraint(
                name="tierchange_in_force_has_a_moment",
                condition=Q(in_force_at__isnull=True) | Q(starts_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                fields=["starts_at"],
                condition=Q(in_force_at__isnull=True, starts_at__isnull=False),
                name="tierchange_not_settled",
            )
        ]

    def __str__(self) -> str:
        return f"{self.tier}: other limits {self.from_when}" if self.starts_at else f"Draft of {self.tier}"

    @property
    def shown_limits(self) -> "list[TierChangeLimit]":
        """Its own, without what held before; they may be read beforehand."""
        return [row for row in self.limits.all() if not row.before]


class TierChangeLimit(LimitRow):
    """A limit of a tier's change; or, with `before`, one that held until then, kept when the change was settled."""

    change = models.ForeignKey(TierChange, on_delete=models.CASCADE, related_name="limits")
    before = models.BooleanField(default=False, editable=False)
    amount = models.PositiveIntegerField(
        validators=[MaxValueValidator(MOST_AMOUNT, TOO_MUCH)], help_text="0: none at all. For unlimited, have no row."
    )

    history = Records()

    class Meta:
        verbose_name = "limit of a draft or scheduled change"
        verbose_name_plural = "limits of drafts and scheduled changes"
        default_permissions = ()
        ordering = ["metric", "period", "channel", "agent"]
        constraints = [
            models.CheckConstraint(
                name="tierchangelimit_period_fits_metric",
                condition=PERIOD_FITS_METRIC,
                violation_error_message=PERIOD_MISMATCH,
            ),
            # As of a tier's limits: a blank channel or agent is a value here, and NULLs are never equal.
            *(
                models.UniqueConstraint(
                    fields=["change", "before", "metric", "period", *scope],
                    condition=Q(channel__isnull="channel" not in scope, agent__isnull="agent" not in scope),
                    name=f"tierchangelimit_unique_for_{'_and_'.join(scope) or 'all'}",
                    violation_error_message=(
                        "Metric: this change has a limit of the same metric, period, channel and agent; change that "
                        "one."
                    ),
                )
                for scope in ([], ["channel"], ["agent"], ["channel", "agent"])
            ),
        ]

    def __str__(self) -> str:
        return self._in_words(self.as_limit())


class CustomerChange(Change):
    """Another tier for a customer. `before` is the one until then, kept when the change was settled."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="changes")
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, related_name="customer_changes")
    before = models.ForeignKey(Tier, null=True, editable=False, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField(help_text="From when the customer is on this tier.")

    history = Records()

    class Meta:
        verbose_name = "scheduled change of tier"
        verbose_name_plural = "scheduled changes of tier"
        default_permissions = ()
        ordering = ["customer", "starts_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "starts_at"],
                name="customerchange_one_at_a_moment",
                violation_error_message="Starts at: the customer has a change at this moment; cancel that one first.",
            )
        ]
        indexes = [
            models.Index(fields=["starts_at"], condition=Q(in_force_at__isnull=True), name="customerchange_not_settled")
        ]

    def __str__(self) -> str:
        return f"{self.tier} {self.from_when}"
