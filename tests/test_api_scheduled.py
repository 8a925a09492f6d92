"""Drafts and scheduled changes over the API."""

from datetime import timedelta

import pytest
from django.utils import timezone

from customers import scheduling
from customers.models import CustomerChange, TierChange, TierChangeLimit
from customers.personal.erasing import begin_erasing
from customers.settling import settle_due
from tests.api import Api
from tests.builders import limit, make_customer, make_tier
from tests.test_scheduled import come, limits_of, make_older, never

pytestmark = pytest.mark.django_db
CHANGES = "/api/v1/tiers/free/changes/"
DECEMBER = "2031-12-01T00:00:00Z"
MINUTES = {"metric": "call_minutes", "period": "day", "amount": 25}


@pytest.fixture
def api(db: None) -> Api:
    return Api("manage")


@pytest.fixture
def free(db):
    return make_tier("free", limit("call_minutes", 20))


def test_a_draft_is_made_changed_scheduled_and_cancelled(api, free):
    made = api.post(CHANGES, {"limits": [MINUTES | {"channel": "fax", "agent": 7}], "note": "Try"}, status=201)
    address = f"{CHANGES}{made['id']}/"
    assert made | {"created_at": ""} == {
        "id": made["id"],
        "state": "draft",
        "starts_at": None,
        "note": "Try",
        "limits": [MINUTES | {"channel": "fax", "agent": 7, "hard": True}],
        "created_at": "",
    }
    assert "The tier has a draft" in str(api.post(CHANGES, {"limits": []}, status=400))

    changed = api.put(address, {"limits": [MINUTES]})
    assert (changed["limits"][0]["channel"], changed["note"]) == (None, "Try")
    scheduled = api.put(address, {"starts_at": DECEMBER})
    assert (scheduled["state"], scheduled["starts_at"]) == ("scheduled", DECEMBER)
    assert api.get(address) == scheduled
    assert api.get(CHANGES)["results"] == [scheduled]
    assert "Cancel it, and make a draft" in str(api.put(address, {"note": "x"}, status=409))
    assert limits_of(free) == ["20 call minutes a day"]

    api.delete(address)

    assert api.get(CHANGES)["results"] == []
    api.get(address, status=404)
    assert TierChange.history.latest().history_change_reason.startswith("API key CRM")


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "limits", "Give all limits"),
        ({"limits": [], "starts_at": "2020-01-01T00:00:00Z"}, "starts_at", "in the future"),
        ({"limits": [MINUTES, MINUTES]}, "limits[1]", "limits[0]"),
        ({"limits": [MINUTES | {"period": "year"}]}, "limits[0].period", ""),
        ({"limits": [], "from": DECEMBER}, "from", "Unknown"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(api, free, body, field, words):
    errors = api.post(CHANGES, body, status=400)
    assert list(errors) == [field]
    assert words in errors[field][0]
    assert not TierChange.objects.exists()


def test_one_change_of_a_tier_at_a_moment(api, free):
    api.post(CHANGES, {"limits": [], "starts_at": DECEMBER}, status=201)
    errors = api.post(CHANGES, {"limits": [], "starts_at": DECEMBER}, status=400)
    assert "Another change is scheduled for" in errors["starts_at"][0]


def test_limits_that_are_left_out_go_and_those_that_stay_are_not_touched(api, free):
    sessions = {"metric": "sessions", "period": "day", "amount": 5}
    made = api.post(CHANGES, {"limits": [MINUTES, sessions]}, status=201)
    changed = api.put(f"{CHANGES}{made['id']}/", {"limits": [sessions]})
    assert [row["metric"] for row in changed["limits"]] == ["sessions"]
    kinds = TierChangeLimit.history.order_by("history_id").values_list("metric", "history_type")
    assert list(kinds) == [("call_minutes", "+"), ("sessions", "+"), ("call_minutes", "-")]


def test_as_many_changes_as_a_tier_or_a_customer_may_have(api, free, monkeypatch):
    monkeypatch.setattr(scheduling, "MOST_CHANGES", 2)
    customer = make_customer(free)
    of_customer = f"/api/v1/customers/{customer.pk}/tier-changes/"
    for address, body in ((CHANGES, {"limits": []}), (of_customer, {"tier": "free"})):
        for year in (2031, 2032):
            api.post(address, body | {"starts_at": f"{year}-01-01T00:00:00Z"}, status=201)
        errors = api.post(address, body | {"starts_at": "2033-01-01T00:00:00Z"}, status=400)
        assert errors == {"starts_at": ["2 changes are scheduled, which is the most. Cancel some."]}
    # What has come is none of them.
    TierChange.objects.filter(starts_at__year=2031).update(starts_at=timezone.now() - timedelta(hours=1))
    api.post(CHANGES, {"limits": [], "starts_at": "2033-01-01T00:00:00Z"}, status=201)


def test_a_change_is_found_at_its_own_tier_and_customer_alone(api, free):
    ada, bob = make_customer(free), make_customer(make_tier("other"), "+15550009")
    of_tier = api.post(CHANGES, {"limits": [], "starts_at": DECEMBER}, status=201)["id"]
    body = {"tier": "other", "starts_at": DECEMBER}
    of_ada = api.post(f"/api/v1/customers/{ada.pk}/tier-changes/", body, status=201)["id"]
    for address in (f"/api/v1/tiers/other/changes/{of_tier}/", f"/api/v1/customers/{bob.pk}/tier-changes/{of_ada}/"):
        api.get(address, status=404)
        api.delete(address, status=404)
    api.put(f"/api/v1/tiers/other/changes/{of_tier}/", {"note": "x"}, status=404)
    assert (TierChange.objects.count(), CustomerChange.objects.count()) == (1, 1)


def test_a_tier_that_is_scheduled_says_what_to_do_before_it_is_deleted(api, free):
    premium = make_tier("premium")
    CustomerChange.objects.create(
        customer=make_customer(free), tier=premium, starts_at=timezone.now() + timedelta(days=1)
    )
    assert api.delete("/api/v1/tiers/premium/", status=409)["detail"] == (
        "This tier has scheduled changes of tier, so it cannot be deleted. Move its customers and cancel what is "
        'scheduled, or send {"active": false} to offer it no longer.'
    )


def test_of_an_erased_customer_nothing_is_scheduled_or_added(api, free):
    ada = make_customer(free)
    begin_erasing(ada.pk, "boss")
    body = {"tier": "free", "starts_at": DECEMBER}
    api.post(f"/api/v1/customers/{ada.pk}/tier-changes/", body, status=409)
    api.post(f"/api/v1/customers/{ada.pk}/top-ups/", {"metric": "sessions", "amount": 1}, status=409)


def test_what_is_in_force_stays(api, free):
    change = come(free, limit("call_minutes", 25))
    make_older()
    address = f"{CHANGES}{change.pk}/"
    assert api.get(address)["state"] == "in_force"
    assert "cannot be cancelled" in api.delete(address, status=409)["detail"]
    settle_due(never)
    assert limits_of(free) == ["25 call minutes a day"]
    assert "cannot be cancelled" in api.delete(address, status=409)["detail"]
    api.get("/api/v1/tiers/nobody/changes/", status=404)


def test_a_customers_tier_is_scheduled_and_cancelled(api, free):
    customer, _ = make_customer(free), make_tier("premium")
    changes = f"/api/v1/customers/{customer.pk}/tier-changes/"

    made = api.post(changes, {"tier": "premium", "starts_at": DECEMBER, "note": "Paid"}, status=201)

    assert made | {"created_at": ""} == {
        "id": made["id"],
        "state": "scheduled",
        "tier": "premium",
        "starts_at": DECEMBER,
        "note": "Paid",
        "created_at": "",
    }
    assert api.get(changes)["results"] == [made]
    assert api.get(f"{changes}{made['id']}/") == made
    api.delete(f"{changes}{made['id']}/")
    assert not CustomerChange.objects.exists()
    api.delete(f"{changes}{made['id']}/", status=404)


def test_a_customer_is_scheduled_to_a_tier_that_is_offered(api, free):
    customer = make_customer(free)
    make_tier("old", is_active=False)
    changes = f"/api/v1/customers/{customer.pk}/tier-changes/"
    for tier, words in (("old", "is not offered any more"), ("none", "There is no tier")):
        errors = api.post(changes, {"tier": tier, "starts_at": DECEMBER}, status=400)
        assert words in errors["tier"][0]
    assert set(api.post(changes, {}, status=400)) == {"tier", "starts_at"}
    api.post("/api/v1/customers/99999999999999999999/tier-changes/", {"tier": "old", "starts_at": DECEMBER}, status=404)


def test_usage_and_the_customers_limits_are_those_of_the_change_at_once(api, free):
    customer = make_customer(free, external_id="ada")
    CustomerChange.objects.create(
        customer=customer,
        tier=make_tier("premium", limit("sessions", 3)),
        starts_at=timezone.now() - timedelta(seconds=1),
    )
    assert api.get("/api/v1/usage/?external_id=ada")["tier"] == "premium"
    (only,) = api.get("/api/v1/customers/by-external-id/ada/")["effective_limits"]
    assert (only["metric"], only["amount"]) == ("sessions", 3)


def test_a_key_that_reads_changes_nothing(free):
    api = Api("read")
    api.post(CHANGES, {"limits": []}, status=403)
    assert api.get(CHANGES)["results"] == []
