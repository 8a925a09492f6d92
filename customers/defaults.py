"""What a new installation starts with: the tier `standard` without limits, and the policy that serves on it."""

from django.db import transaction

from customers.models import Policy, Tier

STANDARD_TIER = "standard"


def the_policy() -> Policy:
    """The policy's one row, with its tiers. Made where first-run set-up has not run yet."""
    policy = _stored_policy()
    if policy is None:
        make_defaults()
        policy = _stored_policy()
        assert policy is not None
    return policy


def _stored_policy() -> Policy | None:
    return Policy.objects.select_related("unknown_callers_tier", "callers_without_number_tier").first()


@transaction.atomic
def make_defaults() -> None:
    """Make the standard tier and the policy where they are missing. What staff have changed stays."""
    if Policy.objects.exists():
        return
    tier, _ = Tier.objects.get_or_create(slug=STANDARD_TIER, defaults={"name": "Standard"})
    Policy.objects.get_or_create(id=1, defaults={"unknown_callers_tier": tier, "callers_without_number_tier": tier})
