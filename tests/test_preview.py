"""The preview of a begin: what LiveTok would get, and nothing is written."""

import json

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from customers.models import Agent, Channel, Customer
from sessions_app.livetok.payloads import Refused
from sessions_app.models import DailyUsage, Session, WebhookEvent
from sessions_app.recording.by_staff import declare_missing
from sessions_app.webhook.preview import Preview, preview
from tests.builders import (
    LiveTok,
    begin_body,
    end_body,
    limit,
    make_customer,
    make_override,
    make_tier,
    payload,
    set_policy,
    the_session,
)


def previewed(body: dict | bytes) -> Preview:
    return preview(body if isinstance(body, bytes) else json.dumps(body).encode(), timezone.now())


def envelope(**customer) -> dict:
    document = json.loads(payload("envelope_begin"))
    document["data"]["customer"] = customer
    return document


@pytest.mark.parametrize(
    "body",
    [
        begin_body(),
        begin_body(kind="chat"),
        begin_body(kind="never seen before"),
        begin_body(phoneNumber="+4915111111111"),
        begin_body(phoneNumber="+4915111111111", livemode=False),
        begin_body(phoneNumber=""),
        begin_body(timestamp="2024-03-17T10:30:00Z"),
        envelope(id="crm-1"),
        envelope(id="crm-2", name="Bob"),
        envelope(id="crm-2", phone="+4915111111111", name="Bob"),
    ],
)
@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"limits_in_answer": "what_is_left"},
        {"emergency": "allow_all"},
        {"emergency": "deny_all"},
        {"unknown_callers": "deny", "callers_without_number": "deny"},
        {"unknown_callers": "deny", "callers_without_number": "deny", "emergency": "allow_all"},
    ],
)
def test_a_preview_is_what_livetok_then_gets(livetok: LiveTok, body, policy):
    tier = make_tier("premium", limit("call_minutes", 60), limit("sessions", 2), limit("concurrent_sessions", 3))
    customer = make_customer(tier, external_id="crm-1")
    make_override(customer, limit("call_minutes", 30), valid_until="2024-03-16T00:00:00Z")
    guests = make_tier("guests", limit("call_minutes", 5), limit("sessions", 0, channel="chat"))
    set_policy(**{"unknown_callers_tier": guests, "callers_without_number_tier": guests, **policy})
    livetok.begin(sessionId="open", kind="telephony", timestamp="2024-03-15T10:00:00Z")
    livetok.begin(sessionId="nobody's", phoneNumber="", timestamp="2024-03-15T10:00:00Z")

    foreseen = previewed(body)
    given = json.loads(livetok.send(body).content)

    session = the_session(is_test=body.get("livemode") is False)
    assert foreseen.answer == given
    assert (foreseen.reason.value, foreseen.trace) == (session.reason, session.trace)


def test_a_preview_writes_nothing(livetok: LiveTok):
    channels = set(Channel.objects.values_list("slug", flat=True))
    previewed(begin_body(channel="fax"))

    for model in (Session, WebhookEvent, DailyUsage, Customer, Agent):
        assert not model.objects.exists()
    assert set(Channel.objects.values_list("slug", flat=True)) == channels


def test_a_known_session_is_decided_as_if_it_did_not_exist(livetok: LiveTok):
    make_customer(make_tier("premium", limit("concurrent_sessions", 1), limit("sessions", 1), limit("call_minutes", 1)))
    answer = livetok.begin()

    assert previewed(begin_body()).answer == answer
    assert previewed(begin_body(kind="web")).reason == "allowed"
    assert previewed(begin_body(sessionId="124")).reason == "concurrent_sessions"

    livetok.end()
    assert previewed(begin_body()).answer == answer
    assert previewed(begin_body(sessionId="124")).reason == "sessions_day"


def test_a_session_whose_end_came_first_is_decided_without_its_own_use(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1)))
    livetok.end()

    assert previewed(begin_body()).reason == "allowed"
    assert previewed(begin_body(sessionId="124")).reason == "sessions_day"


def test_a_session_whose_end_was_declared_missing_holds_nothing(livetok: LiveTok):
    make_customer(make_tier("premium", limit("concurrent_sessions", 1)))
    livetok.begin()
    assert previewed(begin_body(sessionId="124")).reason == "concurrent_sessions"

    declare_missing([the_session().pk], User.objects.create(username="eve"))
    assert previewed(begin_body(sessionId="124")).reason == "allowed"


def test_a_preview_follows_an_edit_at_once(livetok: LiveTok):
    tier = make_tier("premium", limit("sessions", 1))
    make_customer(tier)
    assert previewed(begin_body()).reason == "allowed"

    tier.limits.update(amount=0)
    assert previewed(begin_body()).reason == "sessions_day"


def test_a_body_without_an_event_is_a_begin(livetok: LiveTok):
    assert previewed(begin_body(event=...)).reason == "allowed"


@pytest.mark.parametrize(
    ("body", "field"),
    [(end_body(), "event"), ({"event": "other"}, "event"), (b"?", "body"), (begin_body(sessionId=""), "sessionId")],
)
def test_only_a_begin_can_be_previewed(livetok: LiveTok, body, field):
    with pytest.raises(Refused) as refused:
        previewed(body)

    assert refused.value.field == field
