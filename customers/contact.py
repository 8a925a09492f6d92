"""A caller whom nobody knew becomes a customer at the first event."""

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from customers.models import Customer, PhoneNumber, Tier


def make_first_contact(
    *, tier: Tier, number: str, phone_key: str, external_id: str, name: str = "", email: str = ""
) -> Customer:
    """Make the customer of an unknown caller: known by the number or, where there is none, by LiveTok's customer id.

    Raises IntegrityError where another process was first; the caller then reads again.
    """
    customer = first_contact(tier=tier, phone_key=phone_key, external_id=external_id, name=name, email=email)
    customer.save()
    if phone_key:
        PhoneNumber.objects.create(customer=customer, number=number, key=phone_key)
    return customer


def first_contact(*, tier: Tier, phone_key: str, external_id: str, name: str = "", email: str = "") -> Customer:
    """The unsaved customer of an unknown caller."""
    return Customer(
        name=name,
        email=email if _is_email(email) else "",
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
