"""The shapes of tiers and customers, as bodies and as answers.

No field is required here, since an absent one stays as it is; what a new row needs is checked where it is made.
"""

from typing import Any

from django.core.validators import MaxLengthValidator
from django.utils import timezone
from rest_framework import serializers

from customers.access import limits_of
from customers.api import fields
from customers.api.pages import PageQuery
from customers.api.reading import StrictSerializer
from customers.editing import MOST_ROWS, check_period, number_warning
from customers.limits import Metric, Period, periods_in_words
from customers.models import Customer, Tier
from customers.scheduled import tier_at

PERIODS = [period.value for period in Period if period is not Period.NONE]


class ShortRows(serializers.ListSerializer[Any]):
    """At most `MOST_ROWS` rows, which is asked before they are looked at; the validator is for the description."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_length": MOST_ROWS} | kwargs)

    def get_validators(self) -> list[Any]:
        return [MaxLengthValidator(MOST_ROWS)]


class LimitSerializer(StrictSerializer):
    """The most that a tier grants of a metric. No row means unlimited."""

    class Meta:
        list_serializer_class = ShortRows

    metric = fields.Choice(choices=[metric.value for metric in Metric])
    period = fields.PeriodName(
        choices=PERIODS,
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text=f"{periods_in_words('`{}`'.format, none='have no period')}.",
    )
    amount = fields.Amount(help_text="0: none at all.")
    channel = fields.ChannelSlug(
        source="channel_id", default=None, allow_null=True, help_text="Null: all channels. A new word makes a channel."
    )
    agent = fields.AgentId(
        source="agent_id", default=None, allow_null=True, help_text="LiveTok's agent id. Null: all agents."
    )
    hard = fields.YesOrNo(default=True, help_text="False: nobody is denied; what would have been is recorded.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["period"] = attrs.get("period") or ""
        check_period(attrs["metric"], attrs["period"])
        return attrs


class OverrideSerializer(LimitSerializer):
    """For one customer, instead of the tier's row of the same metric, period, channel and agent."""

    amount = fields.Amount(allow_null=True, help_text="0: none at all. Null: unlimited.")
    valid_from = fields.Moment(default=None, allow_null=True, help_text="Null: since ever.")
    valid_until = fields.Moment(default=None, allow_null=True, help_text="Up to but not including. Null: for ever.")
    note = fields.Text(default="", allow_blank=True, max_length=200)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        check_validity(attrs["valid_from"], attrs["valid_until"])
        return super().validate(attrs)


def check_validity(valid_from: Any, valid_until: Any) -> None:
    if valid_from is not None and valid_until is not None and valid_until <= valid_from:
        raise serializers.ValidationError({"valid_until": ["Give a time after valid_from."]})


class TierSerializer(StrictSerializer):
    slug = fields.TierSlug(read_only=True, help_text="What the agent is told as `customer_tier`; the address says it.")
    name = fields.Text(required=False, max_length=100, help_text="Needed for a new tier.")
    active = fields.YesOrNo(
        source="is_active", required=False, help_text="False: not offered any more; still serves those on it."
    )
    context = fields.Context(  # type: ignore[assignment]
        required=False, help_text="What the agent is told about customers of this tier."
    )
    allowed_channels = fields.Channels(required=False, help_text="Empty: all channels, new ones too.")
    call_hold_minutes = fields.WholeNumber(
        required=False, min_value=1, max_value=24 * 60, help_text="An open session uses at least this many."
    )
    rounding_seconds = fields.Rounding(
        required=False, help_text="How statements round each session's duration, upwards. 1: exact."
    )
    price_per_minute_over = fields.Price(
        required=False,
        allow_null=True,
        help_text="What statements charge for each call minute beyond those included. Null: no price.",
    )
    currency = fields.Currency(
        required=False, allow_blank=True, help_text="Of the price: three letters of ISO 4217. Empty: no price."
    )
    limits = LimitSerializer(many=True, required=False, help_text="A list that is given replaces the whole list.")


class EffectiveLimitSerializer(serializers.Serializer[Any]):
    """A limit in force; `origin` says whose row it is."""

    metric = serializers.CharField()
    period = fields.PeriodName(choices=PERIODS, allow_null=True)
    amount = serializers.IntegerField(allow_null=True)
    channel = serializers.CharField(allow_null=True)
    agent = fields.AgentId(allow_null=True)
    hard = serializers.BooleanField()
    origin = serializers.ChoiceField(choices=["tier", "override"])


class CustomerSerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    external_id = fields.ExternalId(
        required=False, allow_null=True, help_text="The customer's id in your CRM. Null: none."
    )
    name = fields.Text(required=False, allow_blank=True, max_length=200)
    email = fields.Email(required=False, allow_blank=True, max_length=254)
    tier = fields.TierSlug(required=False, help_text="A tier's slug. Needed for a new customer.")
    status = fields.Choice(required=False, choices=Customer.Status.values)
    valid_from = fields.Moment(required=False, allow_null=True, help_text="Null: since ever.")
    valid_until = fields.Moment(required=False, allow_null=True, help_text="Up to but not including. Null: for ever.")
    context = fields.Context(  # type: ignore[assignment]
        required=False, help_text="What the agent is told, over what the tier says."
    )
    notes = fields.Text(required=False, allow_blank=True, max_length=10_000, help_text="For staff.")
    time_zone = fields.TimeZone(
        required=False, allow_blank=True, max_length=64, help_text="Empty: the company's. Days start at midnight here."
    )
    source = serializers.ChoiceField(choices=Customer.Source.choices, read_only=True)  # type: ignore[assignment]
    numbers = fields.Numbers(required=False, help_text="A list that is given replaces the whole list.")
    overrides = OverrideSerializer(many=True, required=False, help_text="A list that is given replaces the whole list.")
    created_at = fields.Moment(read_only=True)


class CustomerDetailSerializer(CustomerSerializer):
    """One customer, with the limits in force now."""

    effective_limits = serializers.SerializerMethodField()

    def get_effective_limits(self, customer: Customer) -> list[dict[str, Any]]:
        now = timezone.now()
        limits = limits_of(tier_at(customer, now), customer, now)
        return list(EffectiveLimitSerializer(list(limits), many=True).data)


class SavedCustomerSerializer(CustomerDetailSerializer):
    """A customer after a PUT or PATCH, with what to look at again."""

    warnings = serializers.SerializerMethodField(
        help_text="What was saved but may be a mistake: of each number that is no phone number, a sentence."
    )

    def get_warnings(self, customer: Customer) -> list[str]:
        sentences = (number_warning(number.number, number.key) for number in customer.numbers.all())
        return [sentence for sentence in sentences if sentence]


class TierQuery(PageQuery):
    active = serializers.BooleanField(required=False, allow_null=True, default=None)


class CustomerQuery(PageQuery):
    tier = fields.Text(required=False, help_text="A tier's slug.")
    status = fields.Choice(required=False, choices=Customer.Status.values)
    external_id = fields.Text(required=False)
    phone = fields.Text(required=False, help_text="In any spelling. In an address, + is written %2B.")


def tiers_with_rows() -> Any:
    return Tier.objects.prefetch_related("limits", "allowed_channels")


def customers_with_rows() -> Any:
    return Customer.objects.select_related("tier").prefetch_related("numbers", "overrides")
