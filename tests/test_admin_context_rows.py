"""A context in the admin's forms: plain texts as rows of key and value, everything else as JSON."""

import json

import pytest
from django.core.exceptions import ValidationError

from customers.admin.context_rows import MOST_SHOWN, GivenRows, joined, split
from customers.models import Tier
from tests.builders import make_customer, make_tier
from tests.staff import errors_of, form_of, staff, text_of

MIXED = {"greeting": "Hello", "vip": True, " odd ": "spaces", "lines": "a\nb", "": "no key", "list": ["x"]}


@pytest.mark.pure
@pytest.mark.parametrize(
    "context", [{}, MIXED, {"empty": ""}, {f"key {number}": "text" for number in range(MOST_SHOWN + 5)}]
)
def test_what_is_shown_and_sent_back_untouched_is_the_same_context(context):
    given = split(context)

    assert joined(given) == context
    assert len(given.rows) <= MOST_SHOWN
    assert all(key == key.strip() and value.isprintable() for key, value in given.rows)


@pytest.mark.pure
@pytest.mark.parametrize(
    ("rows", "rest", "said"),
    [
        ((("", "text"),), "", "Row 1: give “text” a key, or empty the row."),
        ((("a", "1"), ("a", "2")), "", "The key “a” is given in two rows."),
        ((("a", "1"),), '{"a": 2}', "The key “a” is given in a row and in the JSON below."),
        ((), "{", "JSON: This is no JSON"),
    ],
)
def test_what_cannot_be_joined_is_refused_with_its_place(rows, rest, said):
    with pytest.raises(ValidationError, match=said):
        joined(GivenRows(rows, rest))


def test_rows_are_shown_changed_added_and_taken_out_without_a_script(db):
    ana = staff("managers")
    customer = make_customer(make_tier(), context=MIXED)
    path = f"/admin/customers/customer/{customer.pk}/change/"
    page = ana.get(path).content.decode()
    assert 'name="context_key_0" value="greeting"' in page
    assert 'name="context_value_0" value="Hello"' in page
    assert 'name="context_key_3" value=""' in page
    sent = form_of(ana, path) | {"context": json.dumps({"vip": False})}
    sent |= {"context_key_0": "", "context_value_0": "", "context_key_1": "greeting", "context_value_1": "Hi"}

    refused = ana.post(path, sent | {"context_key_2": "vip", "context_value_2": "yes"})
    assert "“vip” is given in a row and in the JSON below" in errors_of(refused)
    assert 'name="context_value_1" value="yes"' in refused.content.decode()
    assert ana.post(path, sent).status_code == 302

    customer.refresh_from_db()
    assert customer.context == {"greeting": "Hi", "vip": False}


def test_a_tier_says_whom_a_change_touches(db):
    ana = staff("managers")
    tier = make_tier()
    for number in range(3):
        make_customer(tier, f"+1555000{number:04}")

    page = text_of(ana.get(f"/admin/customers/tier/{tier.pk}/change/"))

    assert "Whom a change touches: 3 customers , from the next call of each." in page
    assert Tier.objects.filter(pk=tier.pk).exists()
