"""Top-ups: call minutes or sessions that a customer has beyond what the limits of a period allow."""

from datetime import datetime

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from customers.limits import MOST_AMOUNT, TOO_MUCH, Metric
from customers.models.customers import Customer
from customers.models.histories import Records
from customers.validity import UNTIL_IS_AFTER_FROM, UNTIL_IS_NOT_AFTER_FROM, Validity, valid_at

# Those that are used up within a period, and so can be lifted.
LIFTED_METRICS = (Metric.CALL_MINUTES, Metric.SESSIONS)
TOO_LITTLE = "Amount: give 1 at least."


class TopUpQuerySet(models.QuerySet["TopUp"]):
    def valid_at(self, moment: datetime) -> "TopUpQuerySet":
        return self.filter(valid_at(moment))

    def as_used(self) -> "TopUpQuerySet":
        """In the order in which sessions draw on them: the one that ends soonest first."""
        return self.order_by(F("valid_until").asc(nulls_last=True), "pk")


class TopUp(models.Model):
    """So much of a metric for one customer, drawn on once a limit of a period is used up. What was drawn is a sum of
    the sessions, kept elsewhere."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="top_ups")
    metric = models.CharField(max_length=24, choices=[(metric.value, metric.words) for metric in LIFTED_METRICS])
    amount = models.PositiveIntegerField(
        validators=[MinValueValidator(1, TOO_LITTLE), MaxValueValidator(MOST_AMOUNT, TOO_MUCH)],
        help_text="Minutes or sessions.",
    )
    valid_from = models.DateTimeField(default=timezone.now)
    valid_until = models.DateTimeField(null=True, blank=True, help_text="Up to but not including. Blank: for ever.")
    note = models.CharField(max_length=200, blank=True, help_text="Why, for your colleagues.")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TopUpQuerySet.as_manager()
    history = Records()

    class Meta:
        verbose_name = "top-up"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="topup_is_of_what_a_period_uses_up",
                condition=Q(metric__in=[metric.value for metric in LIFTED_METRICS]),
                violation_error_message="Metric: give call minutes or sessions.",
            ),
            models.CheckConstraint(
                name="topup_has_an_amount", condition=Q(amount__gt=0), violation_error_message=TOO_LITTLE
            ),
            models.CheckConstraint(
                name="topup_valid_until_is_after_valid_from",
                condition=UNTIL_IS_AFTER_FROM,
                violation_error_message=UNTIL_IS_NOT_AFTER_FROM,
            ),
        ]

    def __str__(self) -> str:
        return Metric(self.metric).counted(self.amount)

    def is_valid_at(self, now: datetime) -> bool:
        return Validity.of(self).holds_at(now)
