"""Top-ups over the API."""

from datetime import timedelta

import pytest
from django.utils import timezone

from customers import topping_up
from customers.models import Customer, TopUp
from tests.api import Api
from tests.builders import NUMBER, LiveTok, limit, make_customer, make_tier, make_top_up, the_session

pytestmark = pytest.mark.django_db
NOON = "2024-03-15T12:00:00Z"
SINCE_EVER = "2020-01-01T00:00:00Z"


@pytest.fixture
def api(db: None) -> Api:
    return Api("manage")


@pytest.fixture
def ada(db: None) -> Customer:
    return make_customer(make_tier("premium", limit("sessions", 0), limit("call_minutes", 0)))


def of(customer: Customer) -> str:
    return f"/api/v1/customers/{customer.pk}/top-ups/"


def test_a_top_up_is_added_shown_changed_and_deleted_with_history(api, ada):
    wanted = {"metric": "call_minutes", "amount": 60, "valid_from": SINCE_EVER, "note": "ordered"}

    made = api.post(of(ada), wanted, 201)

    assert made | {**wanted, "valid_until": None} == made
    assert api.get(of(ada))["results"] == [made] == [api.get(f"{of(ada)}{made['id']}/")]
    changed = api.patch(f"{of(ada)}{made['id']}/", {"amount": 90, "valid_until": NOON})
    assert changed == made | {"amount": 90, "valid_until": NOON}
    api.delete(f"{of(ada)}{made['id']}/")
    assert api.get(of(ada))["results"] == []
    history = TopUp.history.order_by("history_id").values_list("history_type", "amount", "history_change_reason")
    assert [(kind, amount) for kind, amount, _ in history] == [("+", 60), ("~", 90), ("-", 90)]
    assert all(reason.startswith("API key CRM") for _, _, reason in history)


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"metric": ["Give one: a top-up needs it."]}),
        ({"metric": "sessions"}, {"amount": ["Give one: a top-up needs it."]}),
        ({"metric": "messages", "amount": 1}, {"metric": ["Give one of: call_minutes, sessions."]}),
        ({"metric": "sessions", "amount": 0}, {"amount": ["Ensure this value is greater than or equal to 1."]}),
        ({"metric": "sessions", "amount": 2**31}, {"amount": ["Amount: give 2,147,483,647 at most."]}),
        (
            {"metric": "sessions", "amount": 1, "valid_from": NOON, "valid_until": NOON},
            {"valid_until": ["Give a time after valid_from."]},
        ),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(api, ada, body, errors):
    assert api.post(of(ada), body, 400) == errors
    assert not TopUp.objects.exists()


def test_a_change_is_checked_like_a_new_one_and_never_of_the_metric(api, ada):
    address = f"{of(ada)}{make_top_up(ada, 'sessions', 5).pk}/"

    assert api.patch(address, {"valid_until": "2019-01-01T00:00:00Z"}, 400) == {
        "valid_until": ["Give a time after valid_from."]
    }
    assert "metric" in api.patch(address, {"metric": "call_minutes"}, 400)
    assert api.patch(address, {"metric": "sessions", "amount": 6})["amount"] == 6


def test_a_used_one_is_not_deleted_but_ended(api, ada, livetok: LiveTok):
    top_up = make_top_up(ada, "sessions", 5)
    livetok.begin(sessionId="drew", kind="chat")

    assert "Send" in api.delete(f"{of(ada)}{top_up.pk}/", 409)["detail"]
    api.patch(f"{of(ada)}{top_up.pk}/", {"valid_until": "2020-06-01T00:00:00Z"})

    assert livetok.begin(sessionId="late", kind="chat")["allowed"] is False


def test_nobody_elses_and_no_customer_is_404(api, ada):
    other = make_customer(ada.tier, "+15550001")
    theirs = make_top_up(other, "sessions", 1)

    assert str(theirs.pk) in api.get(f"{of(ada)}{theirs.pk}/", 404)["detail"]
    for method in ("PATCH", "DELETE"):
        assert api.request(method, f"{of(ada)}{theirs.pk}/", {}).status_code == 404
    assert api.request("POST", "/api/v1/customers/999/top-ups/", {"metric": "sessions", "amount": 1}).status_code == 404
    assert api.request("GET", f"/api/v1/customers/{10**30}/top-ups/").status_code == 404
    assert Api("read").request("POST", of(ada), {"metric": "sessions", "amount": 1}).status_code == 403


def test_usage_and_sessions_tell_what_was_drawn(api, ada, livetok: LiveTok):
    sessions, minutes = make_top_up(ada, "sessions", 5), make_top_up(ada, "call_minutes", 60)
    livetok.begin(sessionId="drew", timestamp="2024-03-15T10:00:00Z")
    livetok.end(sessionId="drew", timestamp="2024-03-15T10:30:00Z", duration=1800)

    usage = api.get(f"/api/v1/usage/?phone={NUMBER.replace('+', '%2B')}&at={NOON}")
    detail = api.get(f"/api/v1/sessions/{the_session('drew').pk}/")

    made_on = sessions.created_at.date().isoformat()
    assert usage["top_ups"] == [
        {"id": sessions.pk, "metric": "sessions", "from": made_on, "amount": 5, "used": 1, "left": 4},
        {"id": minutes.pk, "metric": "call_minutes", "from": made_on, "amount": 60, "used": 30, "left": 30},
    ]
    assert (usage["day"]["sessions"], usage["day"]["call_minutes"]) == (0, 0)
    assert detail["top_ups"] == [minutes.pk, sessions.pk]
    assert [check["top_up"]["left"] for check in detail["trace"] if "top_up" in check] == [5, 60]


def test_as_many_as_a_customer_may_have_that_have_not_ended(api, ada, monkeypatch):
    monkeypatch.setattr(topping_up, "MOST_ROWS", 2)
    address = f"/api/v1/customers/{ada.pk}/top-ups/"
    body = {"metric": "sessions", "amount": 1}
    first = api.post(address, body, status=201)
    api.post(address, body | {"valid_until": "2031-01-01T00:00:00Z"}, status=201)
    assert "The customer has 2 top-ups that have not ended" in str(api.post(address, body, status=400))
    now = timezone.now()
    ended = {"valid_from": (now - timedelta(days=2)).isoformat(), "valid_until": (now - timedelta(days=1)).isoformat()}
    api.patch(f"{address}{first['id']}/", ended)
    api.post(address, body, status=201)
