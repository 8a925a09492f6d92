"""History with before and after: a tier's and a customer's with their limits, numbers and overrides."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from customers.history import Part, history_of
from customers.models import Customer, LimitOverride, PhoneNumber, Tier, TierLimit
from tests.builders import limit, make_channel, make_customer, make_livetok, make_override, make_tier
from tests.staff import form_of, staff, text_of, with_row


@pytest.fixture
def ana(db):
    return staff("managers")


def test_a_tiers_history_holds_its_limits_and_channels(ana):
    make_channel("telephony")
    with transaction.atomic():
        tier = make_tier("premium", limit("call_minutes", 60), limit("messages", 100))
    path = f"/admin/customers/tier/{tier.pk}/change/"
    data = form_of(ana, path) | {"limits-0-amount": "90", "limits-1-DELETE": "on", "allowed_channels": ["telephony"]}

    ana.post(path, data | {"name": "Gold"})

    page = ana.get(f"/admin/customers/tier/{tier.pk}/history/")
    text = text_of(page)
    assert "– ana changed Tier: Gold Field Before After Name Premium Gold Allowed channels all telephony" in text
    assert "changed Tier limit: 90 call minutes a day Field Before After Amount 60 90" in text
    assert "removed Tier limit: 100 messages a day Field Before After Metric messages –" in text
    assert len(page.context["page"].object_list) == 2, "one entry for the edit, one for the making"


def test_a_customers_history_holds_numbers_and_overrides_that_are_gone(ana):
    customer = make_customer(make_tier(), "+442079460958")
    override = make_override(customer, limit("call_minutes", 90), note="Trade fair")
    path = f"/admin/customers/customer/{customer.pk}/change/"
    ana.post(path, form_of(ana, path) | {"overrides-0-amount": "", "status": "paused"})
    bob = staff("managers", "bob")
    bob.post(path, form_of(bob, path) | {"overrides-0-DELETE": "on", "numbers-0-DELETE": "on"})

    assert not LimitOverride.objects.filter(pk=override.pk).exists()
    text = text_of(ana.get(f"/admin/customers/customer/{customer.pk}/history/"))
    assert "changed Customer: Ada Field Before After Status Active Paused" in text
    assert "changed Limit override: unlimited call minutes a day Field Before After Amount 90 unlimited" in text
    assert "removed Limit override: unlimited call minutes a day" in text
    assert "removed Phone number: +442079460958" in text
    assert "added Phone number: +442079460958 Field Before After Number – +442079460958" in text


def test_an_edit_that_changes_nothing_leaves_no_entry(ana):
    customer = make_customer()
    path = f"/admin/customers/customer/{customer.pk}/change/"
    before = len(history_of(Customer, customer.pk))

    ana.post(path, form_of(ana, path))

    assert len(history_of(Customer, customer.pk)) == before


def test_a_number_that_moves_in_is_told_with_where_it_was(ana):
    make_livetok().begin(phoneNumber="+442079460958")
    customer = make_customer(make_tier(), "+15550001111")
    path = f"/admin/customers/customer/{customer.pk}/change/"

    ana.post(path, with_row(form_of(ana, path), "numbers", number="+442079460958"))

    entry = history_of(Customer, customer.pk, [Part(PhoneNumber, "customer")])[0]
    assert [(row.action, row.what) for row in entry.rows] == [("changed", "+442079460958")]
    change = entry.rows[0].fields[0]
    assert (change.name, change.after) == ("Customer", "Ada")
    assert change.before.endswith("(deleted)")


def test_a_key_stands_in_the_history_as_its_own_author(ana):
    tier = make_tier()
    tier.name = "Gold"
    tier._change_reason = "API key crm (1234)"
    tier.save()

    entry = history_of(Tier, tier.pk)[0]

    assert (entry.who, entry.why) == ("API key crm (1234)", "")


def test_a_long_history_has_pages_and_few_queries(ana):
    with transaction.atomic():
        tier = make_tier("premium", limit("call_minutes", 0))
    row = tier.limits.get()
    for amount in range(1, 61):
        row.amount = amount
        row._change_reason = f"step {amount}"
        row.save()

    path = f"/admin/customers/tier/{tier.pk}/history/"
    ana.get(path)
    with CaptureQueriesContext(connection) as queries:
        page = ana.get(path)
    assert len(queries) <= 15
    assert len(page.context["page"].object_list) == 50
    assert page.context["page"].paginator.num_pages == 2
    assert "step 60" in text_of(page)
    assert len(history_of(Tier, tier.pk, [Part(TierLimit, "tier")])) == 61


def test_an_unknown_history_is_a_404_and_a_forbidden_one_a_403(ana):
    tier = make_tier()

    for nobody in ("9999", "abc", "1.5", "9" * 20):
        assert ana.get(f"/admin/customers/tier/{nobody}/history/").status_code == 404
    assert staff(None, "nobody").get(f"/admin/customers/tier/{tier.pk}/history/").status_code == 403
