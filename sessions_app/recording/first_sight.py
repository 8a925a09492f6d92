"""What an event names for the first time: a caller whom nobody knew, a channel, an agent."""

from dataclasses import replace

from customers.access import find_customer, policy_tier
from customers.defaults import the_policy
from customers.first_sight import make_first_contact, see_agent, see_channel
from customers.models import Customer, Tier
from sessions_app.decision.judgement import unsaved_first_contact
from sessions_app.livetok.events import SessionBegin, SessionEnd, SessionEvent
from sessions_app.recording.reading import Reading


def customer_of_end(event: SessionEnd) -> tuple[Customer | None, bool]:
    """The caller's customer, locked or made just now, and whether the end made it."""
    customer = find_customer(event.caller.phone_key, event.caller.external_id, lock=True)
    if customer is not None or event.caller.identity is None or event.is_test:
        return customer, False
    tier = policy_tier(the_policy(), is_named=True)
    return (first_contact_of(event, tier), True) if tier is not None else (None, False)


def first_contact_of(event: SessionEvent, tier: Tier) -> Customer:
    customer = unsaved_first_contact(event, tier)
    return make_first_contact(customer, number=event.caller.number_received, phone_key=event.caller.phone_key)


def with_first_sights(reading: Reading, event: SessionBegin) -> Reading:
    """The same with the event's channel and agent, made or given a new name where that is due."""
    channel, agent = reading.channel, reading.agent
    if channel is None:
        channel = see_channel(event.channel)
    if agent is None or (event.agent_name and event.agent_name != agent.name):
        agent = see_agent(event.agent, event.agent_name)
    return replace(reading, channel=channel, agent=agent)
