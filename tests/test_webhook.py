"""The webhook over HTTP: LiveTok's samples, keys, statuses and what is kept."""

import gc
import gzip
import json
import re
import weakref
from pathlib import Path

import pytest
from django.test import Client, RequestFactory
from rest_framework.response import Response

from customers.keys import create_key
from sessions_app.models import RefusedRequests, Session, WebhookEvent
from sessions_app.webhook import refused
from sessions_app.webhook.hourly import WRITE_EVERY_SECONDS, HourlyCounter
from sessions_app.webhook.views import LiveTokWebhook
from tests.builders import (
    LiveTok,
    assert_usage_is_sound,
    begin_body,
    end_body,
    limit,
    make_customer,
    make_tier,
    moment,
    payload,
    the_session,
)

DOCS = Path(__file__).parent.parent / "docs/webhook.md"
PREMIUM = (limit("messages", 100), limit("call_minutes", 60))


def test_the_sample_begin_is_answered_in_the_contracts_shape(livetok: LiveTok):
    make_customer(make_tier("premium", *PREMIUM, context={"custom_field": "value"}))

    answer = livetok.begin()

    assert list(answer) == ["allowed", "context", "limits"]
    assert answer["allowed"] is True
    assert answer["context"]["customer_tier"] == "premium"
    assert answer["context"]["custom_field"] == "value"
    assert answer["limits"] == {"dailyMessageLimit": 100, "dailyCallMinutes": 60}


# What denies, and a call that used it up: on which day in March 2024, and how many seconds it took.
USED_UP = {"day": (15, 62 * 60 - 1), "week": (12, 302 * 60), "month": (5, 1003 * 60)}


@pytest.mark.parametrize("period", USED_UP)
def test_each_denial_in_the_documentation_is_what_livetok_gets(livetok: LiveTok, period):
    documented = re.findall(r"^```json\n({.allowed.:false.*)\n```$", DOCS.read_text(), re.MULTILINE)
    example = next(text for text in documented if f'"call_minutes_{period}"' in text)
    limits = [limit("call_minutes", amount, of) for of, amount in (("day", 60), ("week", 300), ("month", 1000))]
    make_customer(make_tier("premium", *limits), name="Ada")
    day, seconds = USED_UP[period]
    livetok.begin(sessionId="before", timestamp=f"2024-03-{day:02}T00:30:00Z")
    livetok.end(sessionId="before", timestamp=f"2024-03-{day:02}T20:00:00Z", duration=seconds)

    first = livetok.send(begin_body(kind="telephony"))
    again = livetok.send(begin_body(kind="telephony"))

    assert first.content.decode() == example
    assert again.content == first.content


@pytest.mark.parametrize("path", ["/webhooks/livetok", "/webhooks/livetok/begin", "/webhooks/livetok/"])
def test_the_sample_bodies_are_taken_at_every_address_byte_for_byte(livetok: LiveTok, path):
    assert livetok.send(payload("session_begin"), path).status_code == 200
    assert livetok.send(payload("session_end"), "/webhooks/livetok/end/").content == b"{}"

    session = the_session()
    assert bytes(session.begin_body) == payload("session_begin")
    assert bytes(session.end_body) == payload("session_end")
    assert session.duration_seconds == 300


def test_a_request_leaves_nothing_that_waits_for_a_search_for_garbage(livetok: LiveTok):
    """Searches stop every request of a process, for 20 ms and more where each has left some."""
    for session in ("of a new agent", "first"):  # on SQLite, the first one makes what all after it use
        livetok.begin(sessionId=session)
        livetok.end(sessionId=session)
    left = {}

    gc.disable()
    try:
        sent = {"begin": (begin_body(), ""), "end": (end_body(), ""), "rejected": ({}, ""), "wrong key": ({}, "x")}
        for kind, (body, wrong) in sent.items():
            request = RequestFactory().post(
                "/webhooks/livetok",
                body,
                content_type="application/json",
                headers={"X-API-Key": livetok.secret + wrong},
            )
            left[kind] = weakref.ref(request)
            response = LiveTokWebhook.as_view()(request)
            if isinstance(response, Response):
                response.render()
            del request, response
        assert [kind for kind, request in left.items() if request()] == []
    finally:
        gc.enable()


def test_a_key_may_come_as_a_bearer(livetok: LiveTok):
    response = Client().post(
        "/webhooks/livetok",
        payload("session_begin"),
        content_type="text/plain",
        headers={"Authorization": f"Bearer {livetok.secret}"},
    )

    assert response.status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"X-API-Key": "fd_00000000_wrong"}])
def test_without_a_valid_key_nothing_is_stored_but_a_count(livetok: LiveTok, headers):
    first = Client().post("/webhooks/livetok", payload("session_begin"), content_type="application/json")
    response = Client().post(
        "/webhooks/livetok", payload("session_begin"), content_type="application/json", headers=headers
    )

    assert response.status_code == 401
    assert response.content == first.content
    assert not Session.objects.exists()
    assert not WebhookEvent.objects.exists()


def test_the_webhook_secret_of_the_environment_is_a_key(livetok: LiveTok, settings):
    settings.WEBHOOK_SECRET = "a secret from outside"
    livetok.secret = "a secret from outside"

    livetok.begin()

    assert WebhookEvent.objects.get().key == "WEBHOOK_SECRET"


def test_a_read_key_does_not_open_the_webhook(livetok: LiveTok):
    livetok.secret = create_key("reports", ["read", "manage"])[1]

    assert livetok.send(payload("session_begin")).status_code == 403
    assert not Session.objects.exists()


def test_get_and_head_answer_and_give_nothing_away(db):
    assert Client().get("/webhooks/livetok").json() == {"status": "ok"}
    assert Client().head("/webhooks/livetok/begin").status_code == 200


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_other_methods_are_405(livetok: LiveTok, method):
    response = getattr(livetok.client, method)("/webhooks/livetok", headers={"X-API-Key": livetok.secret})

    assert response.status_code == 405


def test_a_body_above_64_kb_is_413_and_leaves_a_rejected_event(livetok: LiveTok):
    largest = b'{"event":"other","pad":"' + b"x" * (64 * 1024 - 26) + b'"}'

    assert livetok.send(largest).status_code == 200
    assert livetok.send(largest + b" ").status_code == 413
    event = WebhookEvent.objects.get(status=413)
    assert (event.verdict, event.body) == ("rejected", None)
    assert "64 KB" in event.error


@pytest.mark.parametrize(
    "body, field",
    [
        (b"", "body"),
        (b"not json", "body"),
        (b"[1]", "body"),
        (b"5", "body"),
        (b'"text"', "body"),
        (b"\xff\xfe{}", "body"),
        (b'{"a":' * 9000 + b"1" + b"}" * 9000, "body"),
        (b'{"n":' + b"9" * 5000 + b"}", "event"),
        (b"{}", "event"),
        (b'{"event":7,"sessionId":"1"}', "event"),
        (b'{"event":"  ","sessionId":"1"}', "event"),
        (b'{"event":"session_begin"}', "sessionId"),
        (b'{"event":"session_begin","sessionId":""}', "sessionId"),
        (b'{"event":"session_begin","sessionId":true}', "sessionId"),
        (b'{"event":"session_begin","sessionId":1.5}', "sessionId"),
        (b'{"event":"session_end","sessionId":["1"]}', "sessionId"),
        (b'{"event":"session_end","sessionId":"a\\u0000"}', "sessionId"),
        (b'{"event":"session_end","sessionId":"\\ud800"}', "sessionId"),
        (b'{"event":"session_end","sessionId":"' + b"x" * 256 + b'"}', "sessionId"),
    ],
)
def test_a_body_that_cannot_be_understood_is_400_with_the_field_and_kept(livetok: LiveTok, body, field):
    response = livetok.send(body)

    assert response.status_code == 400
    assert response.json()["error"]["field"] == field
    event = WebhookEvent.objects.get()
    assert (event.verdict, bytes(event.body)) == ("rejected", body)
    assert event.error.startswith(f"{field}: ")
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("header", "named"),
    [("gzip", "gzip"), (" GZip, identity", "gzip"), ("deflate, br", "deflate, br"), ("\xe9\x00" * 99, "\\xe9\\x00")],
)
def test_a_body_in_an_encoding_that_is_not_taken_is_refused_by_name_and_kept(livetok: LiveTok, header, named):
    body = gzip.compress(payload("session_begin"))
    response = livetok.send(body, **{"Content-Encoding": header})

    assert response.status_code == 400
    error = response.json()["error"]
    assert error["field"] == "Content-Encoding"
    assert error["message"].startswith(f"send the body as it is, without this header; {named}")
    event = WebhookEvent.objects.get()
    assert (event.verdict, event.status, bytes(event.body)) == ("rejected", 400, body)
    assert event.error == f"Content-Encoding: {error['message']}"
    assert not Session.objects.exists()


@pytest.mark.parametrize("header", ["", "identity", "Identity, identity"])
def test_a_body_in_no_encoding_is_taken(livetok: LiveTok, header):
    assert livetok.send(payload("session_begin"), **{"Content-Encoding": header}).status_code == 200


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_body_in_any_unicode_is_read(livetok: LiveTok, charset):
    body = json.dumps(begin_body(agentName="Ärztin"), ensure_ascii=False).encode(charset)

    assert livetok.send(body).status_code == 200
    assert the_session().agent.name == "Ärztin"


@pytest.mark.parametrize("charset", ["cp1252", "shift_jis"])
def test_a_body_in_another_character_set_is_told_so(livetok: LiveTok, charset):
    name = "カイ" if charset == "shift_jis" else "Ärztin"
    response = livetok.send(json.dumps(begin_body(agentName=name), ensure_ascii=False).encode(charset))

    assert response.status_code == 400
    assert response.json()["error"] == {
        "field": "body",
        "message": "send the JSON object in UTF-8; this is another character set, or no text",
    }


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York"])
def test_a_session_at_the_last_time_that_is_read_is_decided_and_counted(livetok: LiveTok, zone):
    limits = [limit("sessions", 9, period) for period in ("day", "week", "month")]
    make_customer(make_tier("premium", *limits, limit("call_minutes", 9, "month")), time_zone=zone)
    last = "9999-10-31T23:59:59.999999Z"

    assert livetok.begin(timestamp=last, kind="telephony")["allowed"]
    livetok.end(timestamp=last, duration=86_400)
    livetok.end(timestamp=last, duration=86_400, sessionId="124")
    livetok.begin(timestamp=last, kind="telephony", sessionId="124")

    assert the_session("124").started_at == moment(last)
    assert_usage_is_sound()


def test_an_unknown_event_is_kept_answered_200_and_ignored(livetok: LiveTok):
    response = livetok.send({"event": "session_paused", "sessionId": "123"})

    assert (response.status_code, response.content) == (200, b"{}")
    assert WebhookEvent.objects.get().verdict == "ignored"
    assert not Session.objects.exists()


def test_any_accept_header_and_any_host_get_json(livetok: LiveTok):
    response = livetok.send(begin_body(), Accept="text/html", Host="abc123.ngrok.io")

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"


def test_wrong_keys_are_counted_per_hour_with_the_last_address(db):
    counter = HourlyCounter(refused.write_refused)
    counter.count("192.0.2.1")
    counter.count("192.0.2.2")
    assert RefusedRequests.objects.get().count == 1

    counter._written_at -= WRITE_EVERY_SECONDS
    counter.write_when_due()

    row = RefusedRequests.objects.get()
    assert (row.count, row.last_address) == (2, "192.0.2.2")
