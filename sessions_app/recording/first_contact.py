"""A caller whom nobody knew becomes a customer, in the transaction that writes its session."""

from customers.access import find_customer, policy_tier
from customers.contact import make_first_contact
from customers.defaults import the_policy
from customers.models import Customer, Tier
from sessions_app.livetok.events import SessionEnd, SessionEvent


def customer_of_end(event: SessionEnd) -> Customer | None:
    customer = find_customer(event.caller.phone_key, event.caller.external_id, lock=True)
    if customer is not None or event.caller.identity is None or event.is_test:
        return customer
    tier = policy_tier(the_policy(), is_named=True)
    return first_contact_of(event, tier) if tier is not None else None


def first_contact_of(event: SessionEvent, tier: Tier) -> Customer:
    caller = event.caller
    return make_first_contact(
        tier=tier,
        number=caller.number_received,
        phone_key=caller.phone_key,
        external_id=caller.external_id,
        name=caller.name,
        email=caller.email,
    )
