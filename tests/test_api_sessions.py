"""Sessions, usage and the preview of a decision over the API."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from customers.models import Customer
from sessions_app.models import DailyUsage, Session, WebhookEvent
from tests.api import Api
from tests.builders import (
    NUMBER,
    LiveTok,
    begin_body,
    limit,
    make_channel,
    make_customer,
    make_override,
    make_tier,
    payload,
    set_policy,
    the_session,
)

pytestmark = pytest.mark.django_db
NOON = "2024-03-15T12:00:00Z"


@pytest.fixture
def api(db: None) -> Api:
    return Api("read")


def test_a_session_is_shown_as_documented(api, livetok: LiveTok):
    customer = make_customer(make_tier(), external_id="crm-1")
    livetok.begin()
    livetok.end()

    assert api.get("/api/v1/sessions/?session_id=123") == {
        "next": None,
        "previous": None,
        "results": [
            {
                "id": the_session().pk,
                "session_id": "123",
                "state": "ended",
                "allowed": True,
                "reason": "allowed",
                "channel": "whatsapp",
                "agent_id": 1,
                "phone": "+1234567890",
                "customer": "crm-1",
                "customer_id": customer.pk,
                "tier": "premium",
                "started_at": "2024-03-15T10:30:00Z",
                "ended_at": "2024-03-15T10:35:00Z",
                "duration_seconds": 300,
                "flags": [],
            }
        ],
    }


def test_one_session_comes_with_its_decision(api, livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 60), limit("sessions", 0, hard=False)))
    answer = livetok.begin(agentId="007")

    shown = api.get(f"/api/v1/sessions/{the_session().pk}/")

    assert shown["agent_id"] == "007"
    assert shown["answer"] == answer
    assert shown["would_deny"] == ["sessions_day"]
    assert shown["facts"] == the_session().facts
    checks = {check["check"]: check for check in shown["trace"]}
    assert (checks["call_minutes_day"]["limit"], checks["call_minutes_day"]["passed"]) == (60, True)
    assert (shown["begin_stated_at"], shown["end_received_at"], shown["test"]) == ("2024-03-15T10:30:00Z", None, False)
    assert api.get("/api/v1/sessions/99999999999999999999/", status=404)["detail"].startswith("There is no such")


def test_a_session_that_has_only_its_end_is_shown(api, livetok: LiveTok):
    livetok.end(phoneNumber=..., agentId=..., kind=...)

    (shown,) = api.get("/api/v1/sessions/")["results"]
    assert (shown["state"], shown["allowed"], shown["reason"]) == ("ended", None, None)
    assert (shown["phone"], shown["customer"], shown["customer_id"], shown["agent_id"]) == (None, None, None, None)
    assert shown["flags"] == ["no_begin"]
    assert api.get(f"/api/v1/sessions/{the_session().pk}/")["answer"] is None


def found(api: Api, query: str) -> list[str]:
    return [session["session_id"] for session in api.get(f"/api/v1/sessions/?{query}")["results"]]


def test_sessions_are_filtered(api, livetok: LiveTok):
    premium = make_tier("premium")
    make_customer(premium, external_id="crm-1")
    blocked = make_customer(make_tier("gold"), "+1555000111", status="blocked")
    now = timezone.now()
    livetok.begin(sessionId="old")
    livetok.begin(sessionId="ended", timestamp="2024-03-16T10:00:00Z", kind="telephony", agentId="x")
    livetok.end(sessionId="ended", timestamp="2024-03-16T10:05:00Z", duration=-1)
    livetok.begin(sessionId="denied", timestamp="2024-03-17T10:00:00Z", phoneNumber="+1555000111")
    livetok.begin(sessionId="new", timestamp=now.isoformat())
    livetok.begin(sessionId="test", livemode=False)
    Session.objects.filter(session_id="old").update(missing_from=now - timedelta(days=2))

    assert found(api, "") == ["new", "denied", "ended", "old"]
    assert found(api, "test=true") == ["test"]
    assert found(api, "session_id=old") == ["old"]
    assert found(api, "phone=001555000111") == ["denied"]
    assert found(api, "customer=crm-1") == ["new", "ended", "old"]
    assert found(api, f"customer_id={blocked.pk}") == ["denied"]
    assert found(api, "tier=gold") == ["denied"]
    assert found(api, "channel=telephony") == ["ended"]
    assert found(api, "agent=x") == ["ended"]
    assert found(api, "state=open") == ["new"]
    assert found(api, "state=missing_end") == ["old"]
    assert found(api, "state=ended") == ["ended"]
    assert found(api, "state=denied") == ["denied"]
    assert found(api, "reason=customer_blocked") == ["denied"]
    assert found(api, "allowed=false") == ["denied"]
    assert found(api, "allowed=true") == ["new", "ended", "old"]
    assert found(api, "flag=duration_invalid") == ["ended"]
    assert found(api, "flag=duration") == []
    assert found(api, "started_after=2024-03-16T10:00:00Z&started_before=2024-03-17T10:00:00Z") == ["ended"]
    assert found(api, "started_after=2024-03-16T12:00:00%2B02:00&started_before=2024-03-17") == ["ended"]


@pytest.mark.parametrize("flags", ["a_flag", "a_flag other", "other a_flag", "before a_flag other"])
def test_a_flag_is_found_wherever_it_stands(api, livetok: LiveTok, flags):
    livetok.begin()
    Session.objects.update(flags=flags)

    assert found(api, "flag=a_flag") == ["123"]
    assert found(api, "flag=flag") == []


def test_sessions_come_newest_first_page_by_page(api, livetok: LiveTok):
    for index in range(5):
        # Three of them begin at the same time.
        livetok.begin(sessionId=str(index), timestamp=f"2024-03-15T10:3{min(index, 2)}:00Z")

    page = api.get("/api/v1/sessions/?page_size=2")
    seen = [page]
    while page["next"]:
        page = api.get(page["next"])
        seen.append(page)

    ids = [[session["session_id"] for session in page["results"]] for page in seen]
    assert ids == [["4", "3"], ["2", "1"], ["0"]]
    assert api.get(seen[1]["previous"])["results"] == seen[0]["results"]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("sesion_id=1", "sesion_id"),
        ("state=gone", "state"),
        ("reason=mood", "reason"),
        ("allowed=perhaps", "allowed"),
        ("test=maybe", "test"),
        ("customer_id=x", "customer_id"),
        (f"customer_id={2**70}", "customer_id"),
        (f"customer_id={'9' * 5000}", "customer_id"),
        ("flag=a%25", "flag"),
        ("started_after=yesterday", "started_after"),
        ("started_after=0001-01-01", "started_after"),
        ("phone=withheld", "phone"),
        ("session_id=%00", "session_id"),
        ("cursor=cD15ZXN0ZXJkYXk%3D", "cursor"),
        ("cursor=%FF", "cursor"),
        ("page_size=501", "page_size"),
    ],
)
def test_a_query_that_is_wrong_is_refused_by_name(api, query, place):
    assert list(api.get(f"/api/v1/sessions/?{query}", status=400)) == [place]


def test_listing_sessions_takes_one_statement(api, livetok: LiveTok, django_assert_max_num_queries):
    for index in range(5):
        livetok.begin(sessionId=str(index))
    api.get("/api/v1/sessions/")

    with django_assert_max_num_queries(1):
        api.get("/api/v1/sessions/?state=open")


# Usage


def test_usage_is_shown_as_documented(api, livetok: LiveTok):
    tier = make_tier("premium", limit("messages", 100), limit("call_minutes", 60))
    customer = make_customer(tier, external_id="crm-1", time_zone="Europe/Madrid")
    livetok.begin()
    livetok.end()

    usage = api.get(f"/api/v1/usage/?phone=%2B1234567890&at={NOON}")

    week, month = usage.pop("week"), usage.pop("month")
    assert usage == {
        "phone": "+1234567890",
        "customer": "crm-1",
        "customer_id": customer.pk,
        "tier": "premium",
        "time_zone": "Europe/Madrid",
        "at": NOON,
        "concurrent_sessions": 0,
        "limits": {},
        "all_limits": [],
        "day": {
            "starts_at": "2024-03-15T00:00:00+01:00",
            "resets_at": "2024-03-16T00:00:00+01:00",
            "sessions": 1,
            "call_minutes": 5.0,
            "call_minutes_open": 0.0,
            "limits": {"messages": 100, "call_minutes": 60},
            "all_limits": [used("messages", 100, None, None), used("call_minutes", 60, 5.0, 55.0)],
        },
        "top_ups": [],
    }
    assert (week["starts_at"], week["resets_at"]) == ("2024-03-11T00:00:00+01:00", "2024-03-18T00:00:00+01:00")
    assert (month["starts_at"], month["resets_at"]) == ("2024-03-01T00:00:00+01:00", "2024-04-01T00:00:00+02:00")
    assert (week["sessions"], month["call_minutes"], month["limits"]) == (1, 5.0, {})


def used(metric: str, amount: int | None, use: float | None, left: float | None, **fields: object) -> dict[str, object]:
    row = {"metric": metric, "channel": None, "agent": None, "hard": True, "origin": "tier"}
    return {**row, "amount": amount, "used": use, "left": left, **fields}


def test_usage_has_every_row_with_scope_hardness_and_origin(api, livetok: LiveTok):
    make_channel("telephony")
    tier = make_tier(
        "premium",
        limit("call_minutes", 60),
        limit("call_minutes", 20, channel="telephony"),
        limit("call_minutes", 30, agent="1", hard=False),
        limit("concurrent_sessions", 3),
        limit("sessions", 9, "week"),
    )
    customer = make_customer(tier)
    make_override(customer, limit("call_minutes", None))
    make_override(customer, limit("sessions", 2, "week"))
    livetok.begin(kind="telephony")
    livetok.end(kind="telephony", duration=90)
    livetok.begin(sessionId="2", timestamp="2024-03-15T11:30:00Z")

    usage = api.get(f"/api/v1/usage/?phone=+1234567890&at={NOON}")

    assert usage["concurrent_sessions"] == 1
    assert usage["limits"] == {"concurrent_sessions": 3}
    assert usage["all_limits"] == [used("concurrent_sessions", 3, 1.0, 2.0)]
    day = usage["day"]
    assert (day["call_minutes"], day["call_minutes_open"], day["sessions"]) == (31.5, 30.0, 2)
    assert day["limits"] == {}
    assert day["all_limits"] == [
        used("call_minutes", None, 31.5, None, origin="override"),
        used("call_minutes", 30, 31.5, 0.0, agent=1, hard=False),
        used("call_minutes", 20, 1.5, 18.5, channel="telephony"),
    ]
    assert usage["week"]["limits"] == {"sessions": 2}


def test_usage_is_also_asked_by_external_id_and_for_now(api):
    make_customer(make_tier(), external_id="crm-1")

    usage = api.get("/api/v1/usage/?external_id=crm-1")

    assert (usage["phone"], usage["day"]["sessions"], usage["time_zone"]) == (NUMBER, 0, "UTC")
    assert usage["day"]["resets_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("phone=%2B1999999999", 404, "No customer has the number +1999999999"),
        ("external_id=none", 404, "no customer with external id"),
        ("", 400, "either phone or external_id"),
        ("phone=%2B1234567890&external_id=crm-1", 400, "either phone or external_id"),
        ("phone=anonymous", 400, "is no number"),
        ("phone=%2B1234567890&at=now", 400, "ISO 8601"),
        ("phone=%2B1234567890&at=9999-12-31T23:59:59Z", 400, "between the years"),
        ("number=5", 400, "There are: phone, external_id, at"),
    ],
)
def test_a_question_for_usage_that_cannot_be_answered_says_why(api, query, status, words):
    assert words in json.dumps(api.get(f"/api/v1/usage/?{query}", status=status))


def test_usage_takes_few_statements(api, livetok: LiveTok, django_assert_max_num_queries):
    for index in range(5):
        livetok.begin(sessionId=str(index))
    api.get("/api/v1/usage/?phone=%2B1234567890")

    with django_assert_max_num_queries(8):
        api.get("/api/v1/usage/?phone=%2B1234567890")


# Preview


@pytest.mark.parametrize("path", ["/api/v1/decisions/preview/", "/api/v1/decisions/preview"])
def test_a_preview_answers_what_livetok_would_get_and_writes_nothing(api, livetok: LiveTok, path):
    make_tier("premium", limit("sessions", 0), context={"custom_field": "value"})
    preview = api.post(path, begin_body(kind="new-channel", agentId=77))

    assert (preview["reason"], preview["answer"]["allowed"]) == ("allowed", True)
    assert [check["check"] for check in preview["trace"]][:2] == ["emergency_deny", "unknown_caller"]
    assert not Customer.objects.exists()
    assert not Session.objects.exists()
    assert not DailyUsage.objects.exists()
    assert not WebhookEvent.objects.exists()
    assert livetok.begin(kind="new-channel", agentId=77) == preview["answer"]


def test_a_preview_of_a_denial_says_why(api, livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 0)))

    preview = api.post("/api/v1/decisions/preview/", begin_body())

    assert preview["reason"] == "sessions_day"
    assert preview["answer"]["context"]["denied_reason"] == "sessions_day"


def test_a_known_session_is_previewed_as_if_it_did_not_exist(api, livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1)))
    first = livetok.begin()

    assert api.post("/api/v1/decisions/preview/", begin_body())["answer"] == first
    assert api.post("/api/v1/decisions/preview/", begin_body(sessionId="2"))["reason"] == "sessions_day"


def test_livetoks_second_envelope_is_previewed_too(api, livetok: LiveTok):
    set_policy(unknown_callers="deny")

    assert api.post("/api/v1/decisions/preview/", payload("envelope_begin"))["reason"] == "unknown_caller"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b"[" * 60_000, "body"),
        (b'{"sessionId": ""}', "sessionId"),
        (payload("session_end"), "event"),
        (b'{"event": "session_paused", "sessionId": "1"}', "event"),
    ],
)
def test_a_body_that_is_no_begin_is_refused_by_field(api, livetok: LiveTok, body, place):
    assert list(api.post("/api/v1/decisions/preview/", body, status=400)) == [place]


def test_a_begins_body_is_previewed_under_any_content_type_and_up_to_64_kb(api, livetok: LiveTok):
    plain = {"Content-Type": "text/plain"}
    path = "/api/v1/decisions/preview/"

    assert api.request("POST", path, payload("session_begin"), **plain).status_code == 200
    assert api.request("POST", path, b" " * 64 * 1024 + b"{}").status_code == 413


PARAMETERS = {
    "sessions": ["session_id", "phone", "customer", "customer_id", "tier", "channel", "agent", "state", "reason",
                 "allowed", "flag", "test", "started_after", "started_before", "page_size", "cursor"],
    "customers": ["tier", "status", "external_id", "phone", "page_size", "cursor"],
    "tiers": ["active", "page_size", "cursor"],
    "usage": ["phone", "external_id", "at"],
}  # fmt: skip


@pytest.mark.parametrize("address", PARAMETERS)
def test_a_parameter_that_is_too_long_is_refused_by_its_name(api, address):
    hostile = "." * 60_000 + "x"

    for name in PARAMETERS[address]:
        refused = api.get(f"/api/v1/{address}/?{name}={hostile}", status=400)
        assert refused == {name: ["Give at most 255 characters."]}


def test_every_parameter_is_tried_with_a_text_that_is_too_long(api):
    for address, names in PARAMETERS.items():
        (problem,) = api.get(f"/api/v1/{address}/?nonsense=1", status=400)["nonsense"]
        assert problem == f"Unknown. There are: {', '.join(sorted(names, key=problem.index))}."


def test_a_number_in_an_address_that_is_too_long_is_refused_by_its_name(api):
    assert "number" in api.get(f"/api/v1/customers/by-phone/{'1' * 256}/", status=400)
