"""Tiers over the API."""

from typing import Any

import pytest

from customers.defaults import make_defaults
from customers.models import Agent, Channel, Tier, TierLimit
from tests.api import Api
from tests.builders import limit, make_customer, make_tier

pytestmark = pytest.mark.django_db
PREMIUM = {
    "name": "Premium",
    "context": {"custom_field": "value"},
    "call_hold_minutes": 1,
    "rounding_seconds": 60,
    "limits": [
        {"metric": "messages", "period": "day", "amount": 100},
        {"metric": "call_minutes", "period": "day", "amount": 60, "hard": True},
        {"metric": "concurrent_sessions", "amount": 2, "channel": "telephony", "agent": 1},
    ],
}


@pytest.fixture
def api(db: None) -> Api:
    return Api("manage")


def row(metric: str, amount: int, period: str | None = "day", **fields: Any) -> dict[str, Any]:
    return {"metric": metric, "period": period, "amount": amount, "channel": None, "agent": None, "hard": True} | fields


def test_the_documented_tier_is_made_and_shown(api):
    made = api.put("/api/v1/tiers/premium/", PREMIUM, status=201)

    assert made == {
        "slug": "premium",
        "name": "Premium",
        "active": True,
        "context": {"custom_field": "value"},
        "allowed_channels": [],
        "call_hold_minutes": 1,
        "rounding_seconds": 60,
        "price_per_minute_over": None,
        "currency": "",
        "limits": [
            row("call_minutes", 60),
            row("concurrent_sessions", 2, None, channel="telephony", agent=1),
            row("messages", 100),
        ],
    }
    assert api.get("/api/v1/tiers/premium/") == made
    assert api.get("/api/v1/tiers/") == {"next": None, "previous": None, "results": [made]}
    assert Channel.objects.filter(slug="telephony").exists()
    assert Agent.objects.filter(livetok_id="1").exists()


def test_what_was_read_can_be_sent_back_and_changes_nothing(api):
    made = api.put("/api/v1/tiers/premium/", PREMIUM, status=201)
    histories = Tier.history.count(), TierLimit.history.count()

    assert api.put("/api/v1/tiers/premium/", made) == made
    assert (Tier.history.count(), TierLimit.history.count()) == histories


def test_a_put_leaves_alone_what_it_does_not_name(api):
    api.put("/api/v1/tiers/premium/", PREMIUM, status=201)

    changed = api.put("/api/v1/tiers/premium/", {"name": "Gold"})

    assert changed["name"] == "Gold"
    assert changed["context"] == {"custom_field": "value"}
    assert len(changed["limits"]) == 3


def test_a_list_that_is_given_replaces_the_list_and_touches_only_rows_that_differ(api):
    api.put("/api/v1/tiers/premium/", PREMIUM, status=201)

    changed = api.put(
        "/api/v1/tiers/premium/",
        {"limits": [limit("messages", 100), limit("call_minutes", 90), limit("sessions", 3, "week")]},
    )

    assert changed["limits"] == [row("call_minutes", 90), row("messages", 100), row("sessions", 3, "week")]
    history = TierLimit.history.values_list("metric", "history_type", "history_change_reason").order_by("pk")
    assert [entry[:2] for entry in history[3:]] == [
        ("concurrent_sessions", "-"),
        ("call_minutes", "~"),
        ("sessions", "+"),
    ]
    assert all(reason.startswith("API key CRM") for _, _, reason in history)


def test_put_replaces_the_context_and_patch_merges_it(api):
    api.put("/api/v1/tiers/gold/", {"name": "Gold", "context": {"a": {"b": 1, "c": 2}, "d": 3}}, status=201)

    merged = api.patch("/api/v1/tiers/gold/", {"context": {"a": {"b": None, "e": 4}, "d": None, "f": [None]}})
    assert merged["context"] == {"a": {"c": 2, "e": 4}, "f": [None]}

    assert api.put("/api/v1/tiers/gold/", {"context": {"x": None}})["context"] == {"x": None}


def test_a_context_that_differs_only_in_kind_is_saved(api):
    api.put("/api/v1/tiers/gold/", {"name": "Gold", "context": {"vip": 1}}, status=201)

    assert api.put("/api/v1/tiers/gold/", {"context": {"vip": True}})["context"]["vip"] is True


def test_allowed_channels_are_made_and_replaced(api):
    made = api.put("/api/v1/tiers/gold/", {"name": "Gold", "allowed_channels": ["Web", "telephony"]}, status=201)
    assert made["allowed_channels"] == ["telephony", "web"]

    assert api.put("/api/v1/tiers/gold/", {"allowed_channels": []})["allowed_channels"] == []


def test_tiers_that_are_not_offered_can_be_told_apart(api):
    make_tier("old", is_active=False)
    make_tier("new")

    assert [tier["slug"] for tier in api.get("/api/v1/tiers/?active=true")["results"]] == ["new"]
    assert [tier["slug"] for tier in api.get("/api/v1/tiers/?active=false")["results"]] == ["old"]
    assert [tier["slug"] for tier in api.get("/api/v1/tiers/")["results"]] == ["old", "new"]


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        ({}, "name", "needs it"),
        ({"name": "A", "colour": "red"}, "colour", "There are: name, active, context"),
        ({"name": ""}, "name", "blank"),
        ({"name": 5}, "name", "Give a text"),
        ({"name": "A\0"}, "name", "Null characters"),
        ({"name": "A\ud800"}, "name", "Surrogate"),
        ({"name": "A", "active": "yes"}, "active", "true or false"),
        ({"name": "A", "call_hold_minutes": 0}, "call_hold_minutes", "greater than or equal to 1"),
        ({"name": "A", "rounding_seconds": 30}, "rounding_seconds", "Give 1 (exact), 6 or 60."),
        ({"name": "A", "rounding_seconds": "6"}, "rounding_seconds", "whole number"),
        ({"name": "A", "call_hold_minutes": 2**80}, "call_hold_minutes", "less than or equal"),
        ({"name": "A", "context": []}, "context", "JSON object"),
        ({"name": "A", "context": {"a": "\0"}}, "context", "NUL"),
        ({"name": "A", "context": {"\ud800": 1}}, "context", "broken Unicode"),
        ({"name": "A", "limits": {}}, "limits", "list"),
        ({"name": "A", "limits": [5]}, "limits[0]", "JSON object"),
        ({"name": "A", "limits": [{"metric": "sessions", "period": "day"}]}, "limits[0].amount", "required"),
        (
            {"name": "A", "limits": [limit("messages", 1), limit("messages", 1, "year")]},
            "limits[1].period",
            "day, week",
        ),
        ({"name": "A", "limits": [limit("messages", 1, "week")]}, "limits[0].period", "messages are per day"),
        ({"name": "A", "limits": [limit("sessions", 1, "")]}, "limits[0].period", "per day, week or month"),
        ({"name": "A", "limits": [limit("steps", 1)]}, "limits[0].metric", "messages, call_minutes"),
        ({"name": "A", "limits": [limit("sessions", -1)]}, "limits[0].amount", "greater than or equal to 0"),
        ({"name": "A", "limits": [limit("sessions", None)]}, "limits[0].amount", "null"),
        ({"name": "A", "limits": [limit("sessions", 1.5)]}, "limits[0].amount", "whole number"),
        ({"name": "A", "limits": [limit("sessions", True)]}, "limits[0].amount", "whole number"),
        ({"name": "A", "limits": [limit("sessions", 1, agent=True)]}, "limits[0].agent", "whole number"),
        ({"name": "A", "limits": [limit("sessions", 1, channel="x" * 65)]}, "limits[0].channel", "64 characters"),
        ({"name": "A", "limits": [limit("sessions", 1, valid_until=None)]}, "limits[0].valid_until", "Unknown"),
        ({"name": "A", "limits": [limit("sessions", 1), limit("sessions", 2)]}, "limits[1]", "limits[0]"),
        ([], "body", "JSON object"),
        (b"{", "body", "JSON"),
        (b"\xff", "body", "UTF-8"),
        (b"[" * 100_000, "body", "nested too deeply"),
        (b'{"name": "A", "context": {"a": ' + b"[" * 30 + b"]" * 30 + b"}}", "context", "nested too deeply"),
        (b'{"name": "A", "context": {"a": 1e999}}', "context", "at most 30 digits"),
        (b'{"name": "A", "context": {"a": NaN}}', "context", "at most 30 digits"),
        (b'{"name": "A", "call_hold_minutes": 1' + b"0" * 5000 + b"}", "call_hold_minutes", "whole number"),
        (b'{"name": "A", "\\ud800": 1}', "?", "Unknown"),
    ],
)
def test_a_body_that_is_wrong_is_refused_by_place(api, body, place, words):
    errors = api.put("/api/v1/tiers/a/", body, status=400)

    assert list(errors) == [place]
    assert words in errors[place][0]
    assert not Tier.objects.exists()


def test_a_name_that_another_tier_has_is_refused(api):
    make_tier("premium", name="Premium")

    assert api.put("/api/v1/tiers/gold/", {"name": "Premium"}, status=400) == {
        "name": ["Tier premium has this name; give another."]
    }


def test_a_slug_that_is_too_long_is_refused_by_name(api):
    assert list(api.put(f"/api/v1/tiers/{'a' * 65}/", {"name": "A"}, status=400)) == ["slug"]


def test_a_tier_that_is_not_there_is_404_with_a_sentence(api):
    for method in ("GET", "PATCH", "DELETE"):
        answer = api.ok(method, "/api/v1/tiers/none/", {} if method == "PATCH" else None, status=404)
        assert answer["detail"].startswith('There is no tier "none".')


def test_an_unused_tier_is_deleted_with_its_limits(api):
    make_tier("premium", limit("sessions", 1))

    api.delete("/api/v1/tiers/premium/")

    assert not Tier.objects.exists()
    assert TierLimit.history.filter(history_type="-").count() == 1


def test_a_tier_that_something_hangs_on_is_not_deleted(api):
    make_defaults()
    make_customer(make_tier("premium"))

    assert "has customers" in api.delete("/api/v1/tiers/premium/", status=409)["detail"]
    assert "has policy" in api.delete("/api/v1/tiers/standard/", status=409)["detail"]
    assert Tier.objects.count() == 2


def test_a_number_that_is_an_agents_id_comes_back_as_a_number_and_text_as_text(api):
    agents = [1, "agent_7", "007", "12345678901234567890"]
    made = api.put(
        "/api/v1/tiers/a/",
        {"name": "A", "limits": [limit("sessions", 1, agent=agent) for agent in agents]},
        status=201,
    )

    assert {entry["agent"] for entry in made["limits"]} == set(agents)


def test_reading_tiers_takes_few_statements(api, django_assert_max_num_queries):
    for index in range(5):
        make_tier(f"t{index}", limit("sessions", 1, channel="web"), limit("messages", 1))
    api.get("/api/v1/tiers/")

    with django_assert_max_num_queries(3):
        api.get("/api/v1/tiers/")
