"""Customers and the numbers that they call from."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from customers.masking import may_see_numbers, shown_number
from customers.models.fields import ContextField, validate_context, validate_time_zone
from customers.models.histories import MostlyOwnRecords
from customers.models.tiers import Tier
from customers.validity import UNTIL_IS_AFTER_FROM, UNTIL_IS_NOT_AFTER_FROM, Validity


class Customer(models.Model):
    """Whom a tier serves. Not a user: that is a person who signs in."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"
        BLOCKED = "blocked"

    class Source(models.TextChoices):
        STAFF = "staff"
        IMPORT = "import"
        API = "api", "API"
        FIRST_CONTACT = "first_contact", "first contact"

    name = models.CharField(max_length=200, blank=True)
    # NULL for none: of blank ones, the unique index would take only one.
    external_id = models.CharField(
        max_length=255,
        null=True,
        blank=True,
        unique=True,
        help_text="The customer's id in your CRM; also matched with LiveTok's <code>customer.id</code>. Blank: none.",
    )
    email = models.EmailField(blank=True)
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, related_name="customers")
    status = models.CharField(
        max_length=10,
        choices=Status,
        default=Status.ACTIVE,
        help_text="Paused and blocked customers are denied; blocked ones even while the emergency switch allows all.",
    )
    valid_from = models.DateTimeField(null=True, blank=True, help_text="Blank: since ever.")
    valid_until = models.DateTimeField(null=True, blank=True, help_text="Up to but not including. Blank: for ever.")
    context = ContextField(
        default=dict,
        blank=True,
        validators=[validate_context],
        help_text="What the agent is told about this customer, over what its tier says: a JSON object.",
    )
    notes = models.TextField(blank=True, help_text="For staff; the agent is never told.")
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        validators=[validate_time_zone],
        help_text="Days, weeks and months start at midnight here, such as Europe/Madrid. Blank: the company's.",
    )
    source = models.CharField(max_length=16, choices=Source, default=Source.STAFF, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    history = MostlyOwnRecords()

    class Meta:
        permissions = [("view_numbers", "Can see numbers and e-mail addresses")]
        ordering = ["name", "pk"]
        indexes = [models.Index(fields=["name", "id"], name="customer_by_name")]
        constraints = [
            models.CheckConstraint(
                name="customer_valid_until_is_after_valid_from",
                condition=UNTIL_IS_AFTER_FROM,
                violation_error_message=UNTIL_IS_NOT_AFTER_FROM,
            ),
            models.CheckConstraint(
                name="customer_external_id_is_not_empty",
                condition=~Q(external_id=""),
                violation_error_message="External id: leave it out instead of giving an empty text.",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.external_id or self._first_number() or self.numbered

    @property
    def numbered(self) -> str:
        """The name of last resort."""
        return f"Customer {self.pk}"

    def _first_number(self) -> str:
        """As it was written first; blank where there is none, or it may not be seen: masked, it would tell too little.

        Lists of customers have their numbers read beforehand.
        """
        numbers = self.numbers.all() if self.pk is not None and may_see_numbers() else ()
        return next((number.number for number in numbers), "")

    def is_provisional(self) -> bool:
        """Made at first contact and claimed by nobody since: gives way when its number is named elsewhere."""
        return self.source == self.Source.FIRST_CONTACT and self.external_id is None

    def is_not_yet_valid(self, now: datetime) -> bool:
        return not Validity.of(self).has_begun(now)

    def has_expired(self, now: datetime) -> bool:
        return Validity.of(self).has_expired(now)


class PhoneNumber(models.Model):
    """A number, SIP address or other text by which LiveTok knows a customer."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="numbers")
    number = models.CharField(max_length=255, help_text="As you write it, such as +44 20 7946 0958.")
    key = models.CharField(max_length=255, unique=True, editable=False, help_text="What calls are matched by.")

    history = MostlyOwnRecords()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return shown_number(self.number)

    @property
    def shown_by_key(self) -> str:
        """As sessions show it, however it was written."""
        return shown_number(self.key or self.number)
