"""Who was erased: what is left to say of it names nobody."""

from django.db import models

from customers.models.customers import Customer


class Erasure(models.Model):
    """That all that is known of a customer was, or is being, erased (`customers.personal`).

    The customer's row stays, under a made-up name, since sessions and sums belong to it. `by` is an account's name or
    an API key's label. `traces` is what else is to be found by; empty once it is finished.
    """

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="erasure")
    requested_at = models.DateTimeField()
    by = models.CharField(max_length=200)
    sessions = models.PositiveIntegerField(default=0)
    sessions_erased = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    traces = models.JSONField(default=dict)

    class Meta:
        ordering = ["-requested_at"]
        indexes = [
            models.Index(fields=["requested_at"], name="erasure_unfinished", condition=models.Q(finished_at=None))
        ]
        permissions = [
            ("erase_customer", "Can erase all that is known of a customer"),
            ("export_customer", "Can export all that is known of a customer"),
        ]

    def __str__(self) -> str:
        return f"Erased customer {self.customer_id}"
