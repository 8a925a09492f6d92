"""Customers over the API."""

from typing import Any

import pytest

from customers.models import Customer, LimitOverride, PhoneNumber
from sessions_app.models import Session
from tests.api import Api
from tests.builders import (
    NUMBER,
    LiveTok,
    assert_usage_is_sound,
    limit,
    make_customer,
    make_override,
    make_tier,
    moment,
    the_session,
)

pytestmark = pytest.mark.django_db
CRM_1 = "/api/v1/customers/by-external-id/crm-1/"
ADA = {
    "name": "Ada",
    "tier": "premium",
    "status": "active",
    "numbers": ["+1234567890"],
    "time_zone": "",
    "context": {},
    "overrides": [{"metric": "call_minutes", "period": "day", "amount": 90, "valid_until": "2027-01-01T00:00:00Z"}],
}


@pytest.fixture
def api(db: None) -> Api:
    return Api("manage")


def test_the_documented_customer_is_made_and_shown_at_each_address(api, time_machine_at_2026):
    make_tier("premium", limit("call_minutes", 60), limit("call_minutes", 30, channel="telephony"))

    made = api.put(CRM_1, ADA, status=201)

    customer = Customer.objects.get()
    assert made == {
        "id": customer.pk,
        "external_id": "crm-1",
        "name": "Ada",
        "email": "",
        "tier": "premium",
        "status": "active",
        "valid_from": None,
        "valid_until": None,
        "context": {},
        "notes": "",
        "time_zone": "",
        "source": "api",
        "numbers": ["+1234567890"],
        "overrides": [
            {
                "metric": "call_minutes",
                "period": "day",
                "amount": 90,
                "channel": None,
                "agent": None,
                "hard": True,
                "valid_from": None,
                "valid_until": "2027-01-01T00:00:00Z",
                "note": "",
            }
        ],
        "created_at": made["created_at"],
        "effective_limits": [
            effective("call_minutes", 90, "override"),
            effective("call_minutes", 30, "tier", channel="telephony"),
        ],
        "warnings": [],
    }
    made.pop("warnings")
    assert made["created_at"].endswith("Z")
    assert api.get(CRM_1) == made
    assert api.get(f"/api/v1/customers/{customer.pk}/") == made
    assert api.get("/api/v1/customers/by-phone/+1234567890/") == made
    assert api.get("/api/v1/customers/by-phone/%2B1%20234-567-890/") == made
    listed = {name: value for name, value in made.items() if name != "effective_limits"}
    assert api.get("/api/v1/customers/") == {"next": None, "previous": None, "results": [listed]}


@pytest.fixture
def time_machine_at_2026(time_machine: Any) -> None:
    time_machine.move_to("2026-06-01T12:00:00Z")


def effective(metric: str, amount: int, origin: str, **fields: Any) -> dict[str, Any]:
    row = {"metric": metric, "period": "day", "amount": amount, "channel": None, "agent": None, "hard": True}
    return {**row, "origin": origin, **fields}


def test_what_was_read_can_be_sent_back_and_changes_nothing(api):
    make_tier()
    api.put(CRM_1, ADA, status=201)
    made = api.get(CRM_1)
    made.pop("effective_limits")
    histories = Customer.history.count(), PhoneNumber.history.count(), LimitOverride.history.count()

    again = api.put(CRM_1, made)

    again.pop("effective_limits")
    again.pop("warnings")
    assert again == made
    assert (Customer.history.count(), PhoneNumber.history.count(), LimitOverride.history.count()) == histories


def test_a_sync_without_overrides_and_numbers_leaves_them_alone(api):
    customer = make_customer(make_tier(), external_id="crm-1", notes="calls on Mondays")
    make_override(customer, limit("sessions", 5), note="until the fair")

    synced = api.put(CRM_1, {"name": "Ada Lovelace", "tier": "premium"})

    assert (synced["name"], synced["notes"], synced["numbers"]) == ("Ada Lovelace", "calls on Mondays", [NUMBER])
    assert [row["note"] for row in synced["overrides"]] == ["until the fair"]


def test_lists_that_are_given_replace_the_lists(api):
    customer = make_customer(make_tier(), "+1234567890", "+1234567891", external_id="crm-1")
    make_override(customer, limit("sessions", 5))

    changed = api.put(CRM_1, {"numbers": ["+1 234 567 891", "+1234567892", "+1234567892"], "overrides": []})

    assert changed["numbers"] == ["+1 234 567 891", "+1234567892"]
    assert changed["overrides"] == []
    deleted = PhoneNumber.history.get(history_type="-")
    assert (deleted.key, deleted.history_change_reason[:11]) == ("+1234567890", "API key CRM")


def test_put_replaces_the_context_and_patch_merges_it(api):
    make_customer(make_tier(), external_id="crm-1", context={"a": 1, "b": {"c": 2}})

    assert api.patch(CRM_1, {"context": {"a": None, "b": {"d": 3}}})["context"] == {"b": {"c": 2, "d": 3}}
    assert api.put(CRM_1, {"context": {"e": 4}})["context"] == {"e": 4}


def test_a_put_by_id_or_number_changes_a_customer_and_makes_none(api):
    customer = make_customer(make_tier())

    assert api.put(f"/api/v1/customers/{customer.pk}/", {"external_id": "crm-7"})["external_id"] == "crm-7"
    assert api.patch("/api/v1/customers/by-phone/+1234567890/", {"email": "ada@example.com"})["email"] == (
        "ada@example.com"
    )
    for path in ("/api/v1/customers/999999/", "/api/v1/customers/by-phone/+1999999999/"):
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            answer = api.ok(method, path, {} if method in ("PUT", "PATCH") else None, status=404)
            assert "To make one, PUT by external id." in answer["detail"]
    assert api.patch("/api/v1/customers/by-external-id/none/", {}, status=404)["detail"].endswith("PUT makes one.")


def test_an_external_id_may_have_slashes_and_be_changed_by_patch(api):
    make_tier()
    path = "/api/v1/customers/by-external-id/de/12%2F3%20%C3%A9/"

    assert api.put(path, {"tier": "premium"}, status=201)["external_id"] == "de/12/3 é"
    assert list(api.put(path, {"external_id": "x"}, status=400)) == ["external_id"]
    assert api.patch(path, {"external_id": "x"})["external_id"] == "x"
    assert api.patch("/api/v1/customers/by-external-id/x/", {"external_id": None})["external_id"] is None


def test_a_first_contact_customer_becomes_the_new_customer_with_its_past(api, livetok: LiveTok):
    make_tier()
    livetok.begin()
    livetok.end()
    met = Customer.objects.get()
    assert met.source == "first_contact"

    made = api.put(CRM_1, ADA, status=201)

    assert (made["id"], made["source"], made["tier"]) == (met.pk, "api", "premium")
    assert the_session().customer_id == met.pk
    assert api.get("/api/v1/usage/?external_id=crm-1&at=2024-03-15T11:00:00Z")["day"]["sessions"] == 1
    assert_usage_is_sound()


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_first_contact_customer_gives_way_to_the_customer_who_names_its_number(api, livetok: LiveTok, method):
    livetok.begin()
    livetok.end()
    met = Customer.objects.get()
    make_override(met, limit("sessions", 9))
    ada = make_customer(make_tier(), "+1555000111", external_id="crm-1")
    livetok.begin(sessionId="5", phoneNumber="+1555000111")
    livetok.end(sessionId="5", phoneNumber="+1555000111")

    changed = api.ok(method, CRM_1, {"numbers": ["+1555000111", NUMBER]})

    assert changed["numbers"] == [NUMBER, "+1555000111"]
    assert [row["amount"] for row in changed["overrides"]] == [9]
    assert not Customer.objects.filter(pk=met.pk).exists()
    assert set(Session.objects.values_list("customer_id", flat=True)) == {ada.pk}
    assert api.get("/api/v1/usage/?external_id=crm-1&at=2024-03-15T11:00:00Z")["day"]["call_minutes"] == 10.0
    assert_usage_is_sound()


def test_two_first_contact_customers_become_one_new_customer(api, livetok: LiveTok):
    make_tier()
    livetok.begin()
    livetok.begin(sessionId="5", phoneNumber="+1555000111")

    made = api.put(CRM_1, {**ADA, "numbers": [NUMBER, "+1555000111"]}, status=201)

    assert Customer.objects.count() == 1
    assert set(Session.objects.values_list("customer_id", flat=True)) == {made["id"]}
    assert_usage_is_sound()


def test_the_number_of_another_customer_is_refused_with_the_remedy_and_nothing_is_written(api):
    bob = make_customer(make_tier(), name="Bob", external_id="crm-2")

    errors = api.put(CRM_1, {**ADA, "numbers": ["+1555000111", NUMBER]}, status=400)

    assert errors == {"numbers[1]": ["+1234567890 belongs to customer Bob (external id crm-2). Remove it there first."]}
    assert list(Customer.objects.all()) == [bob]


def test_overrides_that_would_hold_at_the_same_time_are_refused(api):
    make_tier()
    first = {"metric": "sessions", "period": "day", "amount": 1, "valid_until": "2027-01-02T00:00:00Z"}
    second = {"metric": "sessions", "period": "day", "amount": 2, "valid_from": "2027-01-01T00:00:00Z"}

    errors = api.put(CRM_1, {"tier": "premium", "overrides": [first, second]}, status=400)

    assert "1 session a day, since ever until 2027-01-02 00:00 UTC" in errors["overrides"][0]
    assert not Customer.objects.exists()
    apart = [first, {**second, "valid_from": "2027-01-02T00:00:00Z"}, {**second, "channel": "web"}]
    assert len(api.put(CRM_1, {"tier": "premium", "overrides": apart}, status=201)["overrides"]) == 3


def test_an_override_that_changes_is_changed_and_not_made_anew(api):
    customer = make_customer(make_tier(), external_id="crm-1")
    kept = make_override(customer, limit("sessions", 5), valid_until=moment("2027-01-01T00:00:00Z"))

    row = {"metric": "sessions", "period": "day", "amount": 6, "valid_from": "2027-01-01T00:00:00Z"}
    api.put(CRM_1, {"overrides": [row]})
    assert LimitOverride.objects.get().pk == kept.pk

    before = {"metric": "sessions", "period": "day", "amount": 5, "valid_until": "2027-01-01T00:00:00Z"}
    api.put(CRM_1, {"overrides": [before, row]})
    kept.refresh_from_db()
    assert kept.amount == 6


def test_a_tier_that_is_not_offered_keeps_its_customers_and_takes_no_new_ones(api):
    old = make_tier("old", is_active=False)
    make_tier("premium")
    make_customer(old, external_id="crm-1")

    assert api.put(CRM_1, {"tier": "old", "name": "Ada L."})["tier"] == "old"
    api.put(CRM_1, {"tier": "premium"})
    assert "make it active again" in api.put(CRM_1, {"tier": "old"}, status=400)["tier"][0]


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        ({}, "tier", "needs it"),
        ({"tier": "none"}, "tier", "PUT /api/v1/tiers/none/"),
        ({"tier": "premium", "tyre": 1}, "tyre", "There are: external_id, name"),
        ({"tier": "premium", "status": "gone"}, "status", "active, paused, blocked"),
        ({"tier": "premium", "email": "ada"}, "email", "valid email"),
        ({"tier": "premium", "time_zone": "Moon/Sea"}, "time_zone", "Europe/Madrid"),
        ({"tier": "premium", "time_zone": "../x"}, "time_zone", "Europe/Madrid"),
        ({"tier": "premium", "valid_from": 5}, "valid_from", "ISO 8601"),
        ({"tier": "premium", "valid_from": "0001-01-01T00:00:00+14:00"}, "valid_from", "out of range"),
        ({"tier": "premium", "valid_from": "9999-01-01T00:00:00Z"}, "valid_from", "1970"),
        (
            {"tier": "premium", "valid_from": "2027-01-01T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"},
            "valid_until",
            "after valid_from",
        ),
        ({"tier": "premium", "numbers": "+1234567890"}, "numbers", "list"),
        ({"tier": "premium", "numbers": [NUMBER, 5]}, "numbers[1]", "Give a text"),
        ({"tier": "premium", "numbers": ["anonymous"]}, "numbers[0]", "is no number"),
        ({"tier": "premium", "numbers": ["1" * 300]}, "numbers[0]", "255"),
        ({"tier": "premium", "numbers": ["\ufdfa" * 200]}, "numbers[0]", "255"),
        ({"tier": "premium", "numbers": ["+123\ud800456"]}, "numbers[0]", "Surrogate"),
        ({"tier": "premium", "overrides": [{"metric": "sessions", "period": "day"}]}, "overrides[0].amount", "requ"),
        ({"tier": "premium", "overrides": [limit("sessions", 2**31)]}, "overrides[0].amount", "2,147,483,647 at most"),
        (
            {
                "tier": "premium",
                "overrides": [
                    limit("sessions", 1, valid_from="2027-01-01T00:00:00Z", valid_until="2027-01-01T00:00:00Z")
                ],
            },
            "overrides[0].valid_until",
            "after valid_from",
        ),
        (None, "tier", "needs it"),
        ("text", "body", "JSON object"),
    ],
)
def test_a_body_that_is_wrong_is_refused_by_place(api, body, place, words):
    make_tier()

    errors = api.put(CRM_1, body, status=400)

    assert list(errors) == [place]
    assert words in errors[place][0]
    assert not Customer.objects.exists()


def test_an_end_of_validity_is_checked_against_the_stored_start(api):
    make_customer(make_tier(), external_id="crm-1", valid_from=moment("2027-01-01T00:00:00Z"))

    assert list(api.patch(CRM_1, {"valid_until": "2026-01-01T00:00:00Z"}, status=400)) == ["valid_until"]


def test_an_external_id_that_another_customer_has_is_refused(api):
    other = make_customer(make_tier(), name="Bob", external_id="crm-2")
    make_customer(other.tier, "+1555000111", external_id="crm-1")

    errors = api.patch(CRM_1, {"external_id": "crm-2"}, status=400)
    assert "customer Bob" in errors["external_id"][0]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/api/v1/customers/by-external-id/a%00b/", "external_id"),
        (f"/api/v1/customers/by-external-id/{'a' * 256}/", "external_id"),
        ("/api/v1/customers/by-phone/anonymous/", "number"),
        (f"/api/v1/customers/by-phone/{'1' * 256}/", "number"),
        ("/api/v1/customers/by-phone/%00/", "number"),
    ],
)
def test_an_address_that_can_name_nobody_is_refused(api, path, place):
    make_tier()

    assert list(api.get(path, status=400)) == [place]
    assert list(api.put(path, {"tier": "premium"}, status=400)) == [place]


def test_ids_beyond_any_column_are_not_there(api):
    for pk in ("9" * 30, "9" * 5000):
        assert "detail" in api.get(f"/api/v1/customers/{pk}/", status=404)


def test_a_customer_without_sessions_is_deleted_and_one_with_them_is_not(api, livetok: LiveTok):
    make_customer(make_tier(), external_id="crm-1")

    api.delete(CRM_1)
    assert not Customer.objects.exists()
    assert Customer.history.first().history_change_reason.startswith("API key CRM")

    livetok.begin()
    answer = api.delete("/api/v1/customers/by-phone/+1234567890/", status=409)
    assert "has sessions" in answer["detail"]
    assert "blocked" in answer["detail"]


def test_customers_are_filtered(api):
    premium, gold = make_tier("premium"), make_tier("gold")
    make_customer(premium, name="Ada", external_id="crm-1")
    make_customer(gold, "+1555000111", name="Bob", status="blocked")

    def names(query: str) -> list[str]:
        return [customer["name"] for customer in api.get(f"/api/v1/customers/?{query}")["results"]]

    assert names("") == ["Ada", "Bob"]
    assert names("tier=gold") == ["Bob"]
    assert names("status=active") == ["Ada"]
    assert names("external_id=crm-1") == ["Ada"]
    assert names("phone=%2B1555000111") == names("phone=+1555000111") == names("phone=001555000111") == ["Bob"]
    assert names("phone=%2B1555000111&tier=premium") == []


def test_customers_come_page_by_page(api):
    tier = make_tier()
    for index in range(5):
        make_customer(tier, f"+155500011{index}", name=str(index))

    page = api.get("/api/v1/customers/?page_size=2")
    seen = [page]
    while page["next"]:
        page = api.get(page["next"])
        seen.append(page)

    assert [[customer["name"] for customer in page["results"]] for page in seen] == [["0", "1"], ["2", "3"], ["4"]]
    assert api.get(seen[2]["previous"])["results"] == seen[1]["results"]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("teir=gold", "teir"),
        ("tier=gold&tier=premium", "tier"),
        ("status=gone", "status"),
        ("page_size=0", "page_size"),
        ("page_size=501", "page_size"),
        ("page_size=x", "page_size"),
        ("cursor=x", "cursor"),
        ("cursor=cD14", "cursor"),
        ("cursor=cD0lMDA%3D", "cursor"),
        ("phone=anonymous", "phone"),
        ("external_id=a%00", "external_id"),
        ("format=json", "format"),
    ],
)
def test_a_query_that_is_wrong_is_refused_by_name(api, query, place):
    assert list(api.get(f"/api/v1/customers/?{query}", status=400)) == [place]


def test_an_address_of_one_takes_no_parameters(api):
    make_customer(make_tier(), external_id="crm-1")

    assert api.get(f"{CRM_1}?fields=name", status=400) == {"fields": ["Unknown. There are no parameters."]}


def test_reading_and_writing_take_few_statements(api, django_assert_max_num_queries):
    tier = make_tier()
    for index in range(5):
        customer = make_customer(tier, f"+155500011{index}")
        make_override(customer, limit("sessions", 1))
    api.put(CRM_1, ADA, status=201)

    with django_assert_max_num_queries(3):
        api.get("/api/v1/customers/")
    with django_assert_max_num_queries(8):
        api.get(CRM_1)
    with django_assert_max_num_queries(22):
        api.put(CRM_1, ADA)


@pytest.mark.parametrize(
    "text", ["hello", "=1+1", "not given", "4.91512E+12", "020 7946 0958", "+123", "sip:ada@example.com"]
)
def test_a_number_that_is_none_is_saved_with_a_warning(api, text):
    make_tier()

    saved = api.put(CRM_1, {"tier": "premium", "numbers": [NUMBER, text]}, status=201)

    assert saved["numbers"] == [NUMBER, text]
    (warning,) = saved["warnings"]
    assert warning.startswith(f'"{text}" is no phone number')
    assert api.patch(CRM_1, {"name": "Ada"})["warnings"] == [warning]
    assert api.put(CRM_1, {"numbers": [NUMBER]})["warnings"] == []
    assert "warnings" not in api.get(CRM_1)
