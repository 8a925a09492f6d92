"""What customers used of a day, summed from their sessions."""

from django.db import models

from customers.models import Customer, TopUp


class DailyUsage(models.Model):
    """A customer's sessions and seconds of one local day. A sum of the sessions, never the truth (`usage`).

    A blank `channel` or `agent` is a session without one. `call_seconds` are those that count toward call minutes.
    `drawn_…` is the part that sessions drew on top-ups, which uses up no limit.
    """

    # The constraint's index serves for the customer as well.
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="daily_usage", db_index=False)
    day = models.DateField()
    channel = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=255, blank=True)
    sessions = models.IntegerField(default=0)
    seconds = models.BigIntegerField(default=0)
    call_seconds = models.BigIntegerField(default=0)
    drawn_sessions = models.IntegerField(default=0, db_default=0)
    drawn_call_seconds = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        verbose_name_plural = "daily usage"
        constraints = [
            models.UniqueConstraint(fields=["customer", "day", "channel", "agent"], name="dailyusage_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} on {self.day}"


class TopUpUse(models.Model):
    """What sessions drew on a top-up: a sum of the sessions, never the truth (`usage.drawn`).

    There from the first session on that draws on it, so that it cannot be deleted. `deleted_…` is what sessions drew
    that were deleted by age since; the sum has it as well.
    """

    top_up = models.OneToOneField(TopUp, primary_key=True, on_delete=models.PROTECT, related_name="use")
    sessions = models.IntegerField(default=0)
    call_seconds = models.BigIntegerField(default=0)
    deleted_sessions = models.IntegerField(default=0)
    deleted_call_seconds = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "use of a top-up"
        verbose_name_plural = "uses of top-ups"

    def __str__(self) -> str:
        return f"{self.top_up_id}: {self.sessions} sessions, {self.call_seconds} s"
