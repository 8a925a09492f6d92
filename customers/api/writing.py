"""What a PUT or PATCH does to a tier or customer. The views hold the transaction."""

from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework.serializers import ValidationError

from customers.api.serializers import check_validity
from customers.editing import (
    LimitValues,
    OverrideValues,
    adoptable,
    bring_instance,
    change_reason,
    check_wanted_overrides,
    described,
    replace_limits,
    replace_numbers,
    replace_overrides,
)
from customers.first_sight import make_agent, make_channel
from customers.models import Customer, Tier
from customers.models.fields import validate_context
from customers.models.tiers import price_without_currency
from customers.search.keeping import keep_search_keys

Values = dict[str, Any]
TIER_FIELDS = (
    "name",
    "is_active",
    "context",
    "call_hold_minutes",
    "rounding_seconds",
    "price_per_minute_over",
    "currency",
)
CUSTOMER_FIELDS = (
    "external_id",
    "name",
    "email",
    "status",
    "valid_from",
    "valid_until",
    "context",
    "notes",
    "time_zone",
)


class LookUp:
    """What is stored under the names that values give."""

    def tier(self, slug: str) -> Tier | None:
        return Tier.objects.filter(slug=slug).first()

    def customer(self, external_id: str) -> Customer | None:
        return Customer.objects.filter(external_id=external_id).first()


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged, null removes a key, anything else replaces. `target` stays as it is."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def write_tier(tier: Tier | None, slug: str, values: Values, *, merge_context: bool, why: str) -> Tier:
    """Bring a tier, or a new one where it is None, to `values`. What they lack stays as it is."""
    if tier is None:
        if "name" not in values:
            raise ValidationError({"name": ["Give one: a new tier needs it."]})
        tier = Tier(slug=slug)
    if "name" in values:
        _check_tier_name(tier, values["name"])
    fields = _own_fields(tier, values, TIER_FIELDS, merge_context)
    price = fields.get("price_per_minute_over", tier.price_per_minute_over)
    if wrong := price_without_currency(price, fields.get("currency", tier.currency)):
        raise ValidationError(wrong)
    bring_instance(tier, fields, why)
    # Choosing channels writes a record of its own, also where nothing else was saved.
    change_reason(tier, why)
    if "allowed_channels" in values:
        tier.allowed_channels.set([make_channel(slug) for slug in values["allowed_channels"]])
    if "limits" in values:
        limits = [LimitValues(**row) for row in values["limits"]]
        make_scopes(limits)
        replace_limits(tier, limits, why=why)
    return tier


def write_customer(customer: Customer | None, values: Values, *, merge_context: bool, why: str) -> Customer:
    """Bring a locked customer, or a new one where it is None, to `values`. What they lack stays as it is.

    A new customer takes over the record of a first-contact customer who has one of the numbers.
    """
    if customer is None:
        customer = new_customer(values, adoptable)
    fields = customer_fields(customer, values, merge_context=merge_context)
    is_changed = bring_instance(customer, fields, why)
    if "numbers" in values:
        replace_numbers(customer, values["numbers"], why=why)
    if "overrides" in values:
        write_overrides(customer, wanted_overrides(values), why=why)
    if is_changed or "numbers" in values:
        keep_search_keys([customer.pk])
    return customer


def new_customer(values: Values, adopt: Callable[[list[str]], Customer | None]) -> Customer:
    """The customer whom a PUT makes, unsaved, or the one whom `adopt` finds by the numbers."""
    if "tier" not in values:
        raise ValidationError({"tier": ["Give a tier's slug: a new customer needs it."]})
    return adopt(values.get("numbers", [])) or Customer(source=Customer.Source.API)


def customer_fields(
    customer: Customer, values: Values, *, merge_context: bool, look_up: LookUp | None = None
) -> Values:
    """What `values` make of the customer's own fields. Writes nothing. Raises ValidationError, named by the field."""
    look_up = look_up or LookUp()
    fields = _own_fields(customer, values, CUSTOMER_FIELDS, merge_context)
    if "tier" in values:
        fields["tier_id"] = _offered_tier(look_up.tier(values["tier"]), values["tier"], customer).pk
    if fields.get("external_id") is not None:
        _check_external_id(customer, look_up.customer(fields["external_id"]))
        if customer.source == Customer.Source.FIRST_CONTACT:
            fields["source"] = Customer.Source.API.value
    check_validity(fields.get("valid_from", customer.valid_from), fields.get("valid_until", customer.valid_until))
    return fields


def wanted_overrides(values: Values) -> list[OverrideValues]:
    """The overrides of `values`. Raises ValidationError where two of them would hold at the same time."""
    rows = [OverrideValues(**row) for row in values["overrides"]]
    try:
        check_wanted_overrides(rows)
    except DjangoValidationError as error:
        raise ValidationError({"overrides": error.messages}) from error
    return rows


def write_overrides(customer: Customer, rows: list[OverrideValues], *, why: str) -> None:
    """Make these the overrides of a stored, locked customer; `wanted_overrides` has found them good."""
    make_scopes(rows)
    replace_overrides(customer, rows, why=why)


def _own_fields(instance: Tier | Customer, values: Values, names: tuple[str, ...], merge_context: bool) -> Values:
    fields = {name: values[name] for name in names if name in values}
    if merge_context and "context" in fields:
        fields["context"] = merge_patch(instance.context, fields["context"])
        try:
            validate_context(fields["context"])
        except DjangoValidationError as error:
            raise ValidationError({"context": error.messages}) from error
    return fields


def _check_tier_name(tier: Tier, name: str) -> None:
    other = Tier.objects.filter(name=name).exclude(pk=tier.pk).first()
    if other is not None:
        raise ValidationError({"name": [f"Tier {other.slug} has this name; give another."]})


def _offered_tier(tier: Tier | None, slug: str, customer: Customer) -> Tier:
    if tier is None:
        raise ValidationError({"tier": [f'There is no tier "{slug}". Make it first: PUT /api/v1/tiers/{slug}/']})
    if not tier.is_active and customer.tier_id != tier.pk:
        raise ValidationError(
            {"tier": [f"Tier {slug} is not offered any more. Choose another, or make it active again."]}
        )
    return tier


def _check_external_id(customer: Customer, other: Customer | None) -> None:
    """`other` has the external id that this customer is to have."""
    if other is not None and other.pk != customer.pk:
        raise ValidationError({"external_id": [f"It belongs to {described(other)} with id {other.pk}; give another."]})


def make_scopes(rows: Sequence[LimitValues]) -> None:
    """Channels and agents that limits name exist from then on."""
    for channel in sorted({row.channel_id for row in rows if row.channel_id is not None}):
        make_channel(channel)
    for agent in sorted({row.agent_id for row in rows if row.agent_id is not None}):
        make_agent(agent)
