"""Searching sessions by what staff have at hand: a number's first or last digits, a name's beginning, or an id."""

import re
from collections.abc import Sequence

from django.conf import settings
from django.db import connection
from django.db.models import Q

from customers.models import Customer
from customers.phones import phone_key
from sessions_app.models import CallerNumber
from sessions_app.sums.reading import Kept, kept

_SEPARATORS = re.compile(r"[\s\-.()\[\]+]")
# Of more numbers or customers that match, sessions are looked through one by one: every page of them has some.
MOST_MATCHES = 1000
LAST_CHARACTER = "\U0010ffff"


def named(text: str) -> Q:
    """Sessions by their id; by the first or last digits of the number; by LiveTok's or the customer's external id, or
    the beginning of the customer's name."""
    found = Q(session_id=text) | Q(external_id=text) | _of_customers(text)
    digits = _SEPARATORS.sub("", text)
    is_number = digits.isdecimal() and digits.isascii()
    try:
        key = phone_key(text, settings.PHONE_REGION)
    except ValueError:
        key = None
    beginnings = {*(["+" + digits] if is_number else []), *([key] if key else [])}
    if beginnings:
        found |= _of_numbers(sorted(beginnings), digits if is_number else "")
    return found


def _of_customers(text: str) -> Q:
    customers = Customer.objects.filter(Q(name__istartswith=text) | Q(external_id=text))
    matches = list(customers.order_by().values_list("pk", flat=True)[: MOST_MATCHES + 1])
    return Q(customer__in=matches if len(matches) <= MOST_MATCHES else customers)


def _of_numbers(beginnings: Sequence[str], ending: str) -> Q:
    """By the numbers known from summed hours, and where hours are not summed by looking at each session."""
    plain = Q(phone_key__endswith=ending) if ending else Q()
    known_numbers = _begins_with("backwards", ending[::-1]) if ending else Q()
    for beginning in beginnings:
        plain |= Q(phone_key__startswith=beginning)
        known_numbers |= _begins_with("key", beginning)
    known = kept()
    keys = list(CallerNumber.objects.filter(known_numbers).values_list("key", flat=True)[: MOST_MATCHES + 1])
    if known.until is None or len(keys) > MOST_MATCHES:
        return plain
    return Q(phone_key__in=keys) | (plain & _not_summed(known))


def _not_summed(known: Kept) -> Q:
    assert known.until is not None
    condition = Q(started_at__gte=known.until)
    for hour in known.changed:
        condition |= Q(started_at__gte=hour.starts_at, started_at__lt=hour.ends_before)
    return condition


def _begins_with(field: str, text: str) -> Q:
    """In a form that the database's index serves: PostgreSQL has one for patterns, SQLite's is in order of bytes."""
    if connection.vendor == "postgresql":
        return Q(**{f"{field}__startswith": text})
    return Q(**{f"{field}__gte": text, f"{field}__lt": text + LAST_CHARACTER})
