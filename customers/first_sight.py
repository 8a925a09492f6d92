"""What is made at its first sight: the customer of an unknown caller, and, up to a bound, channels and agents.

An agent that is seen again gets its newest name.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models

from customers.models import Agent, Channel, Customer, PhoneNumber, Tier
from customers.models.channels import new_channel

# So many make themselves: whoever has a webhook key could bring any number, and pages list them all.
MOST_CHANNELS = 100
MOST_AGENTS = 1000
# The channel, and the agent, of all that came when there were as many.
OTHER = "other"


def make_first_contact(customer: Customer, *, number: str, phone_key: str) -> Customer:
    """Store what `first_contact` gave, with the number where there is one.

    Raises IntegrityError where another process was first; the caller then reads again.
    """
    customer.save()
    if phone_key:
        PhoneNumber.objects.create(customer=customer, number=number, key=phone_key)
    return customer


def first_contact(*, tier: Tier, phone_key: str, external_id: str, name: str = "", email: str = "") -> Customer:
    """The unsaved customer of an unknown caller: known by the number or, where there is none, by LiveTok's id."""
    return Customer(
        name=name,
        email=email if _is_email(email) else "",
        # With an id, the record would not give way any more when staff, an import or the API name its number.
        external_id=None if phone_key else external_id,
        tier=tier,
        source=Customer.Source.FIRST_CONTACT,
    )


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def see_channel(slug: str | None) -> Channel | None:
    """The channel as staff have it now, made where this is its first sight; `OTHER` where there are too many."""
    channel = expected_channel(slug)
    return make_channel(channel.slug) if channel is not None and channel._state.adding else channel


def expected_channel(slug: str | None) -> Channel | None:
    """What `see_channel` gives, unsaved where that would make it. Writes nothing."""
    if slug is None:
        return None
    stored = Channel.objects.filter(pk=slug).first()
    if stored is not None:
        return stored
    if _has_fewer_than(MOST_CHANNELS, Channel):
        return new_channel(slug)
    return Channel.objects.filter(pk=OTHER).first() or new_channel(OTHER)


def make_channel(slug: str) -> Channel:
    """The channel, made where there is none, however many there are: staff asked for it."""
    fresh = new_channel(slug)
    channel, _ = Channel.objects.get_or_create(
        slug=slug,
        defaults={
            "counts_toward_call_minutes": fresh.counts_toward_call_minutes,
            "longest_session_minutes": fresh.longest_session_minutes,
        },
    )
    return channel


def see_agent(livetok_id: str | None, name: str = "") -> Agent | None:
    """The agent, made where this is its first sight; `OTHER` where there are too many.

    A name that differs replaces the stored one.
    """
    if livetok_id is None:
        return None
    agent = Agent.objects.filter(pk=livetok_id).first()
    if agent is None:
        return make_agent(livetok_id, name) if _has_fewer_than(MOST_AGENTS, Agent) else make_agent(OTHER)
    if name and agent.name != name:
        Agent.objects.filter(pk=livetok_id).update(name=name)
        agent.name = name
    return agent


def make_agent(livetok_id: str, name: str = "") -> Agent:
    """The agent, made where there is none, however many there are."""
    agent, _ = Agent.objects.get_or_create(livetok_id=livetok_id, defaults={"name": name})
    return agent


def _has_fewer_than(most: int, model: type[models.Model]) -> bool:
    # Asked with every event of a new channel or agent, so it looks for one row and counts none.
    rows: models.QuerySet[Any] = model._default_manager.order_by("pk")
    return not rows[most - 1 : most].exists()
