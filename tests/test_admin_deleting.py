"""What is in use is not deleted in the admin: the page says what uses it, and what to do instead."""

import pytest

from customers.models import Customer, Policy, Tier
from tests.builders import make_customer, make_tier
from tests.staff import staff, text_of

TIERS = "/admin/customers/tier/"
CUSTOMERS = "/admin/customers/customer/"
REMEDY = (
    "so it cannot be deleted. Switch Active off instead: the tier is not offered any more then, and goes on serving"
)


@pytest.fixture
def ana(db):
    return staff("managers")


def delete_selected(client, path, *objects, **fields):
    return client.post(path, {"action": "delete_selected", "_selected_action": [o.pk for o in objects], **fields})


def test_a_tier_in_use_stays_and_the_page_says_why_and_what_to_do(ana, livetok):
    tier = make_tier()
    make_customer(tier)
    livetok.begin()

    for response in (ana.get(f"{TIERS}{tier.pk}/delete/"), ana.post(f"{TIERS}{tier.pk}/delete/", {"post": "yes"})):
        assert f"Tier Premium is used by customers and sessions, {REMEDY}" in text_of(response)
        assert "permission" not in text_of(response)
        assert f'<a href="{TIERS}{tier.pk}/change/">Back to Premium</a>' in response.content.decode()
        assert "deletelink" not in ana.get(f"{TIERS}{tier.pk}/change/").content.decode()
    assert Tier.objects.filter(pk=tier.pk).exists()


def test_of_several_tiers_none_is_deleted_where_one_is_in_use(ana):
    tier, other = make_tier(), make_tier("basic")
    make_customer(tier)

    for fields in ({}, {"post": "yes"}):
        text = text_of(delete_selected(ana, TIERS, tier, other, **fields))
        assert f"Nothing was deleted. Tier Premium is used by customers, {REMEDY}" in text
        assert "Basic" not in text
        assert "permission" not in text
    assert Tier.objects.filter(pk__in=[tier.pk, other.pk]).count() == 2


def test_a_tier_of_the_policy_alone_says_so(ana):
    tier = Policy.objects.get().unknown_callers_tier

    assert f"is used by policy, {REMEDY}" in text_of(ana.get(f"{TIERS}{tier.pk}/delete/"))


def test_a_customer_with_sessions_stays_and_the_page_says_what_to_do(ana, livetok):
    customer = make_customer(make_tier())
    livetok.begin()

    for response in (ana.get(f"{CUSTOMERS}{customer.pk}/delete/"), delete_selected(ana, CUSTOMERS, customer)):
        assert "Customer Ada is used by sessions" in text_of(response)
        assert "Pause or block the customer instead" in text_of(response)
    assert Customer.objects.exists()


def test_what_works_instead_is_offered_and_done_by_one_button(ana, livetok):
    customer = make_customer(make_tier())
    livetok.begin()
    change = f"{CUSTOMERS}{customer.pk}/change/"
    assert "deletelink" not in ana.get(change).content.decode()

    kept = ana.get(f"{CUSTOMERS}{customer.pk}/delete/").content.decode()
    assert '<button class="button" name="action" value="pause">Pause</button>' in kept
    assert 'type="submit" value="Yes' not in kept
    ana.post(CUSTOMERS, {"action": "block", "_selected_action": customer.pk})
    ana.post(TIERS, {"action": "switch_off", "_selected_action": customer.tier_id})

    assert Customer.objects.get().status == "blocked"
    tier = Tier.objects.get(pk=customer.tier_id)
    assert (tier.is_active, tier.history.count()) == (False, 2)


def test_what_nothing_uses_is_deleted_after_a_question(ana):
    customer = make_customer(make_tier("basic"))
    tier = make_tier()

    assert "deletelink" in ana.get(f"{TIERS}{tier.pk}/change/").content.decode()
    assert "Are you sure" in text_of(ana.get(f"{TIERS}{tier.pk}/delete/"))
    ana.post(f"{TIERS}{tier.pk}/delete/", {"post": "yes"})
    assert "Are you sure" in text_of(delete_selected(ana, CUSTOMERS, customer))
    delete_selected(ana, CUSTOMERS, customer, post="yes")

    assert not Tier.objects.filter(pk=tier.pk).exists()
    assert not Customer.objects.exists()


def test_the_page_lists_nothing_of_what_may_be_millions(ana):
    tier = make_tier()
    make_customer(tier)
    page = text_of(ana.get(f"{TIERS}{tier.pk}/delete/"))
    for number in range(20):
        make_customer(tier, f"+1555000{number:04}")

    assert text_of(ana.get(f"{TIERS}{tier.pk}/delete/")) == page
