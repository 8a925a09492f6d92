"""What customers used of a day, summed from their sessions."""

from django.db import models

from customers.models import Customer


class DailyUsage(models.Model):
    """A customer's sessions and seconds of one local day. A sum of the sessions, never the truth (`usage`).

    A blank `channel` or `agent` is a session without one. `call_seconds` are those that count toward call minutes.
    """

    # The constraint's index serves for the customer as well.
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="daily_usage", db_index=False)
    day = models.DateField()
    channel = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=255, blank=True)
    sessions = models.IntegerField(default=0)
    seconds = models.BigIntegerField(default=0)
    call_seconds = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "daily usage"
        constraints = [
            models.UniqueConstraint(fields=["customer", "day", "channel", "agent"], name="dailyusage_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} on {self.day}"
