"""The company's policy: one row, and a denial message per reason."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from customers.models.histories import Records
from customers.models.tiers import Tier


class Policy(models.Model):
    """How callers are met whom no customer's row decides about, and what the answer says. There is one row."""

    class Serve(models.TextChoices):
        SERVE = "serve", "serve on a tier"
        DENY = "deny", "deny"

    class Answer(models.TextChoices):
        DAY_TOTAL = "day_total", "the day's total"
        WHAT_IS_LEFT = "what_is_left", "what is left"

    class Emergency(models.TextChoices):
        NORMAL = "normal", "normal"
        ALLOW_ALL = "allow_all", "allow all (but blocked customers)"
        DENY_ALL = "deny_all", "deny all"

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    unknown_callers = models.CharField(
        max_length=8,
        choices=Serve,
        default=Serve.SERVE,
        help_text="A caller whose number or id no customer has. Served ones become customers on their first contact.",
    )
    unknown_callers_tier = models.ForeignKey(
        Tier,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Needed where they are served.",
    )
    callers_without_number = models.CharField(
        max_length=8,
        choices=Serve,
        default=Serve.SERVE,
        help_text="A caller who withholds the number and has no id. Limits per caller cannot apply to them.",
    )
    callers_without_number_tier = models.ForeignKey(
        Tier,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Needed where they are served.",
    )
    limits_in_answer = models.CharField(
        max_length=16,
        choices=Answer,
        default=Answer.DAY_TOTAL,
        help_text=(
            "What LiveTok is told as dailyCallMinutes. LiveTok reports nothing during a session and takes no stop: "
            "a call admitted with a minute left may last an hour, and with the day's total LiveTok is not told "
            "what is left."
        ),
    )
    emergency = models.CharField("emergency switch", max_length=16, choices=Emergency, default=Emergency.NORMAL)
    emergency_until = models.DateTimeField(
        null=True, blank=True, help_text="When the emergency switch goes back to normal by itself. Blank: never."
    )

    history = Records()

    class Meta:
        verbose_name_plural = "policy"
        constraints = [
            models.CheckConstraint(name="policy_is_one_row", condition=Q(id=1)),
            models.CheckConstraint(
                name="policy_unknown_callers_have_a_tier",
                condition=Q(unknown_callers="deny") | Q(unknown_callers_tier__isnull=False),
                violation_error_message="Unknown callers tier: choose one, or deny unknown callers.",
            ),
            models.CheckConstraint(
                name="policy_callers_without_number_have_a_tier",
                condition=Q(callers_without_number="deny") | Q(callers_without_number_tier__isnull=False),
                violation_error_message="Callers without number tier: choose one, or deny callers without a number.",
            ),
        ]

    def __str__(self) -> str:
        return "Policy"

    def emergency_at(self, our_now: datetime) -> str:
        """The emergency switch by our clock: back to normal once its end has come."""
        if self.emergency_until is not None and our_now >= self.emergency_until:
            return self.Emergency.NORMAL.value
        return self.emergency


class DenialMessage(models.Model):
    """The sentence that the agent may say when a session is denied for a reason."""

    reason = models.CharField(primary_key=True, max_length=32, editable=False)
    message = models.CharField(max_length=300, help_text="Sent to LiveTok as <code>denied_message</code>.")

    history = Records()

    class Meta:
        ordering = ["reason"]

    def __str__(self) -> str:
        return self.reason
