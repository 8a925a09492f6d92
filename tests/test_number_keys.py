"""Numbers that were stored before get the keys that they have now, where those are free."""

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from customers.models import PhoneNumber
from tests.builders import make_customer, make_tier

migration = import_module("customers.migrations.0004_number_keys")


def read_again():
    with connection.schema_editor() as editor:
        migration.read_numbers_again(apps, editor)


def store(*rows):
    tier = make_tier()
    for number, key in rows:
        customer = make_customer(tier, "+1999" + f"{PhoneNumber.objects.count():07}", name=number)
        customer.numbers.update(number=number, key=key)


def keys():
    return dict(PhoneNumber.objects.values_list("number", "key"))


@pytest.mark.django_db(transaction=True)
def test_stored_numbers_get_the_keys_that_they_have_now_where_those_are_free(settings, monkeypatch, caplog):
    settings.PHONE_REGION = "US"
    monkeypatch.setattr(migration, "AT_ONCE", 2)
    store(
        ("+49 151/12345000", "+49 151/12345000"),
        ("447400123456", "+1447400123456"),  # read in the region before
        ("4915112345678@c.us", "4915112345678@c.us"),
        ("+49 151/777-7777", "+49 151/777-7777"),  # another customer has it already
        ("+49 151 777 7777", "+491517777777"),
        ("unavailable", "unavailable"),
        ("hello", "hello"),
        ("+1 415 555 2671", "+14155552671"),
    )

    read_again()

    assert keys() == {
        "+49 151/12345000": "+4915112345000",
        "447400123456": "+447400123456",
        "4915112345678@c.us": "+4915112345678",
        "+49 151/777-7777": "+49 151/777-7777",
        "+49 151 777 7777": "+491517777777",
        "unavailable": "unavailable",
        "hello": "hello",
        "+1 415 555 2671": "+14155552671",
    }
    assert caplog.messages == ["1 numbers keep the keys they had: others have those that they would get now"]


@pytest.mark.django_db(transaction=True)
def test_a_key_that_comes_free_later_is_taken_too(settings):
    settings.PHONE_REGION = "US"
    store(("+1 447400123456", "+1447400123456 "), ("447400123456", "+1447400123456"))

    read_again()

    assert keys() == {"+1 447400123456": "+1447400123456", "447400123456": "+447400123456"}
