"""What staff have set for a caller: the customer, the tier, the limits in force and the policy. Reads only."""

from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from customers.defaults import the_policy
from customers.limits import Limit, effective_limits
from customers.models import Customer, LimitOverride, Policy, Tier
from customers.scheduled import tier_at, tier_limits_at
from customers.zones import zone_named


@dataclass(frozen=True)
class Access:
    """`customer` is None for a caller whom no customer's number or id names; `tier` is then the policy's, or None
    where the policy denies such callers."""

    policy: Policy
    customer: Customer | None
    tier: Tier | None
    limits: tuple[Limit, ...]
    allowed_channels: frozenset[str]

    @property
    def zone(self) -> ZoneInfo:
        return zone_of(self.customer)

    @property
    def policy_serves(self) -> bool:
        return self.tier is not None

    def for_customer(self, customer: Customer) -> "Access":
        """The same for a customer who was made of this caller just now, and so is on the policy's tier."""
        return replace(self, customer=customer)


def zone_of(customer: Customer | None) -> ZoneInfo:
    """The customer's time zone, else the company's."""
    return zone_named(customer.time_zone if customer else "")


def find_customer(phone_key: str, external_id: str, *, lock: bool = False) -> Customer | None:
    """The customer by number; by external id only where there is no number.

    Locked, the row serialises what shares the customer's limits (on SQLite the transaction is the lock).
    """
    customers = Customer.objects.select_related("tier")
    if lock:
        # The customer's row alone: with the tier's, which they share, all its customers would wait for each other.
        customers = customers.select_for_update(of=("self",), no_key=True)
    if phone_key:
        return customers.filter(numbers__key=phone_key).first()
    if external_id:
        return customers.filter(external_id=external_id).first()
    return None


def access_of(customer: Customer | None, *, is_named: bool, now: datetime) -> Access:
    """What holds at `now` (LiveTok's clock) for a customer, or for a caller who is none.

    `is_named`: the caller gave a number or an id; the policy tells such callers from those who gave neither.
    """
    policy = the_policy()
    tier = tier_at(customer, now) if customer else policy_tier(policy, is_named=is_named)
    if tier is None:
        return Access(policy, customer, None, (), frozenset())
    return Access(
        policy,
        customer,
        tier,
        limits_of(tier, customer, now),
        frozenset(tier.allowed_channels.values_list("pk", flat=True)),
    )


def as_if_on(access: Access, tier: Tier, now: datetime) -> Access:
    """The same as if the tier were another. The customer's overrides stay; nothing is stored."""
    customer = copy(access.customer)
    if customer is not None:
        customer.tier = tier
    channels = frozenset(tier.allowed_channels.values_list("pk", flat=True))
    return replace(
        access, customer=customer, tier=tier, limits=limits_of(tier, customer, now), allowed_channels=channels
    )


def policy_tier(policy: Policy, *, is_named: bool) -> Tier | None:
    """The tier that serves callers who are no customers; None where the policy denies them."""
    serve = Policy.Serve.SERVE.value
    if is_named:
        return policy.unknown_callers_tier if policy.unknown_callers == serve else None
    return policy.callers_without_number_tier if policy.callers_without_number == serve else None


def limits_of(tier: Tier, customer: Customer | None, now: datetime) -> tuple[Limit, ...]:
    """The limits in force: the tier's at `now`, with the customer's overrides that are valid at `now`."""
    overrides: list[Limit] = []
    if customer is not None:
        overrides = [override.as_limit() for override in LimitOverride.objects.valid_at(now).filter(customer=customer)]
    return effective_limits(tier_limits_at(tier, now), overrides)
