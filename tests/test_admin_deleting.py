"""What is in use is not deleted in the admin: the page says what uses it, and what to do instead."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.db import transaction

from customers.admin.pages import KeptWhereUsedAdmin
from customers.models import Customer, Policy, Tier
from sessions_app.models import Session
from tests.builders import make_customer, make_livetok, make_tier
from tests.staff import staff, text_of
from tests.test_admin_bulk import hidden_in
from tests.test_locks import PATIENCE_SECONDS, started
from tests.test_report_statements import wait_until_somebody_waits_for_a_lock

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


def delete(client, is_together, customer):
    if is_together:
        return delete_selected(client, CUSTOMERS, customer, post="yes")
    return client.post(f"{CUSTOMERS}{customer.pk}/delete/", {"post": "yes"})


def refused(response, customer):
    """Nothing is half done, and the page is that of a customer who was used from the start."""
    assert (response.status_code, list(get_messages(response.wsgi_request))) == (200, [])
    assert "Pause or block the customer instead" in text_of(response)
    assert 'name="action" value="pause">Pause' in response.content.decode()
    assert Customer.objects.filter(pk=customer.pk).exists()
    assert (LogEntry.objects.count(), customer.history.count()) == (0, 1)
    return True


@pytest.mark.parametrize("is_together", [False, True])
def test_what_comes_to_be_used_after_the_check_stays_whole(ana, livetok, monkeypatch, is_together):
    customer = make_customer(make_tier())
    check, begins = KeptWhereUsedAdmin.get_deleted_objects, iter([livetok.begin])

    def used_after(*args):
        found = check(*args)
        for begin in begins:
            begin()
        return found

    monkeypatch.setattr(KeptWhereUsedAdmin, "get_deleted_objects", used_after)

    response = delete(ana, is_together, customer)

    assert "Customer: something came to use what you chose at this moment." in text_of(response)
    assert refused(response, customer)


@pytest.mark.only("postgresql")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_together", [False, True])
def test_a_begin_that_is_being_stored_is_waited_for(is_together):
    ana, customer, livetok = staff("managers"), make_customer(make_tier()), make_livetok()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            livetok.begin()
            deleting = started(lambda: delete(ana, is_together, customer), pool)
            wait_until_somebody_waits_for_a_lock()
        response = deleting.result(PATIENCE_SECONDS)

    assert "Customer Ada is used by sessions" in text_of(response)
    assert refused(response, customer)
    assert Session.objects.get().customer == customer


def test_what_works_instead_is_offered_and_done_by_one_button(ana, livetok):
    customer = make_customer(make_tier())
    livetok.begin()
    change = f"{CUSTOMERS}{customer.pk}/change/"
    assert "deletelink" not in ana.get(change).content.decode()

    kept = ana.get(f"{CUSTOMERS}{customer.pk}/delete/").content.decode()
    assert '<button class="button" name="action" value="pause">Pause</button>' in kept
    assert 'type="submit" value="Yes' not in kept
    asked = ana.post(CUSTOMERS, {"action": "block", "_selected_action": customer.pk})
    ana.post(CUSTOMERS, hidden_in(asked) | {"apply": "1"})
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
