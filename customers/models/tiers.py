"""Tiers: the named bundles of limits that customers are on."""

from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from customers.models.channels import Channel
from customers.models.fields import ContextField, CurrencyField, validate_context, validate_currency
from customers.models.histories import Records

NO_CURRENCY = "Give the price's currency too, such as EUR, or leave the price blank."
NO_PRICE = "Give a price in this currency too, or leave the currency blank."


class Tier(models.Model):
    """What its customers may use. No limit of a metric means unlimited."""

    class Rounding(models.IntegerChoices):
        """In seconds, upwards: a session of 61 s is 61, 66 or 120 s of a statement."""

        EXACT = 1, "exact, to the second"
        SIX_SECONDS = 6, "up to 6 seconds"
        MINUTE = 60, "up to 60 seconds"

    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(
        max_length=64, unique=True, help_text="What LiveTok's agent is told as <code>customer_tier</code>."
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Off: not offered to customers any more; still serves those on it."
    )
    context = ContextField(
        default=dict,
        blank=True,
        validators=[validate_context],
        help_text='What the agent is told about customers of this tier: a JSON object such as {"greeting": "Welcome"}.',
    )
    allowed_channels = models.ManyToManyField(
        Channel, blank=True, related_name="tiers", help_text="None chosen: all channels, new ones too."
    )
    call_hold_minutes = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 60)],
        help_text="An open session uses at least this many call minutes until it ends.",
    )

    rounding_seconds = models.PositiveSmallIntegerField(
        "rounding",
        choices=Rounding,
        default=Rounding.EXACT,
        help_text=(
            "How statements round each session's duration, always upwards. Limits and the other reports stay exact. "
            "A month that is closed keeps the rounding it was closed with."
        ),
    )

    price_per_minute_over = models.DecimalField(
        max_digits=9,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text=(
            "What statements charge for each call minute beyond those included. A statement goes by the price in "
            "force at the end of its month. Blank: statements show no price."
        ),
    )
    currency = CurrencyField(
        max_length=3,
        blank=True,
        validators=[validate_currency],
        help_text="Of the price: three letters of ISO 4217, such as EUR.",
    )

    history = Records(m2m_fields=[allowed_channels])

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="tier_call_hold_is_above_zero",
                condition=models.Q(call_hold_minutes__gt=0),
                violation_error_message="Call hold minutes: give 1 or more.",
            ),
            models.CheckConstraint(
                name="tier_rounding_is_known",
                condition=models.Q(rounding_seconds__in=[1, 6, 60]),
                violation_error_message="Rounding: give 1 (exact), 6 or 60 seconds.",
            ),
            models.CheckConstraint(
                name="tier_price_has_a_currency",
                condition=models.Q(price_per_minute_over__isnull=True, currency="")
                | models.Q(price_per_minute_over__gte=0) & ~models.Q(currency=""),
                violation_error_message="Price per minute over: give one of 0 or more with its currency, or neither.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        if wrong := price_without_currency(self.price_per_minute_over, self.currency):
            raise ValidationError(wrong)


def price_without_currency(price: Decimal | None, currency: str) -> dict[str, Any]:
    """What is wrong where one of the two lacks, by the field that is to be given; empty where nothing is."""
    if price is not None and not currency:
        return {"currency": [NO_CURRENCY]}
    return {"price_per_minute_over": [NO_PRICE]} if currency and price is None else {}
