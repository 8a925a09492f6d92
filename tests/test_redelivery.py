"""The stored row answers: a begin that comes again gets the same bytes, whatever has changed in between."""

import json

import pytest

from customers.models import Agent, Customer, DenialMessage, LimitOverride, PhoneNumber, Policy, Tier
from sessions_app.models import DailyUsage, Session, SupersededEnd, WebhookEvent
from sessions_app.webhook.reception import process_again
from tests.builders import (
    LiveTok,
    assert_usage_is_sound,
    begin_body,
    end_body,
    limit,
    make_channel,
    make_customer,
    make_override,
    make_tier,
    moment,
    payload,
    set_policy,
    the_session,
)


def _block(customer: Customer) -> None:
    Customer.objects.filter(pk=customer.pk).update(status="blocked", context={"new": 1}, name="Eve")


def _unblock(customer: Customer) -> None:
    Customer.objects.filter(pk=customer.pk).update(status="active")


def _change_the_tier(customer: Customer) -> None:
    customer.tier.limits.update(amount=0)
    Tier.objects.filter(pk=customer.tier_id).update(slug="other", context={"new": 1})


def _move_to_another_tier(customer: Customer) -> None:
    Customer.objects.filter(pk=customer.pk).update(tier=make_tier("other", limit("sessions", 0)))


def _override(customer: Customer) -> None:
    make_override(customer, limit("call_minutes", 1))


def _move_the_number(customer: Customer) -> None:
    other = make_customer(customer.tier, "+4915111111111", name="Bob")
    PhoneNumber.objects.filter(customer=customer).update(customer=other)


def _take_the_number_away(customer: Customer) -> None:
    PhoneNumber.objects.filter(customer=customer).delete()


def _turn_the_emergency_switch(customer: Customer) -> None:
    set_policy(emergency="deny_all", limits_in_answer="what_is_left")


def _allow_all(customer: Customer) -> None:
    set_policy(emergency="allow_all")


def _other_messages(customer: Customer) -> None:
    DenialMessage.objects.update_or_create(reason="customer_blocked", defaults={"message": "No."})


def _other_zone(customer: Customer) -> None:
    Customer.objects.filter(pk=customer.pk).update(time_zone="Asia/Tokyo")


CHANGES = [
    _block,
    _unblock,
    _change_the_tier,
    _move_to_another_tier,
    _override,
    _move_the_number,
    _take_the_number_away,
    _turn_the_emergency_switch,
    _allow_all,
    _other_messages,
    _other_zone,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("status", ["active", "blocked"])
def test_a_redelivered_begin_gets_the_recorded_answer_whatever_changed(livetok: LiveTok, change, status):
    """Denials included."""
    tier = make_tier("premium", limit("call_minutes", 60), limit("messages", 100), context={"custom_field": "value"})
    customer = make_customer(tier, status=status)
    first = livetok.send(payload("session_begin")).content
    assert json.loads(first)["allowed"] is (status == "active")
    change(customer)

    assert livetok.send(payload("session_begin")).content == first
    assert livetok.send(payload("session_begin"), "/webhooks/livetok/begin/").content == first
    livetok.end()
    assert livetok.send(payload("session_begin")).content == first
    assert bytes(the_session().answer) == first
    assert Session.objects.count() == 1
    assert the_session().flags == ("denied_but_took_place" if status == "blocked" else "")
    assert DailyUsage.objects.get(seconds__gt=0).sessions == 1
    assert_usage_is_sound()


def test_a_redelivered_begin_counts_nothing_twice(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 2), limit("concurrent_sessions", 2)))
    for _ in range(5):
        assert livetok.begin()["allowed"]

    assert livetok.begin(sessionId="124")["allowed"]
    assert not livetok.begin(sessionId="125")["allowed"]
    assert [event.verdict for event in WebhookEvent.objects.filter(session_id="123").order_by("pk")] == [
        "accepted",
        *["redelivered"] * 4,
    ]
    assert DailyUsage.objects.get().sessions == 2


def test_a_redelivery_changes_no_row_of_the_session(livetok: LiveTok):
    livetok.begin()
    livetok.end()
    before = Session.objects.values().get()
    livetok.begin()
    livetok.end()

    assert Session.objects.values().get() == before


def test_a_begin_written_otherwise_is_the_same_begin(livetok: LiveTok):
    answer = livetok.send(payload("session_begin")).content

    assert livetok.send(json.dumps(begin_body(phoneNumber="001234567890")).encode()).content == answer
    assert the_session().flags == "begins_differ"


def test_a_begin_is_known_again_although_its_number_is_read_otherwise_now(livetok: LiveTok, settings):
    body = begin_body(kind="telephony", phoneNumber="020 7946 0958")
    first = livetok.send(body).content
    settings.PHONE_REGION = "GB"
    make_customer(make_tier("premium"), "020 7946 0958", status="blocked")

    assert livetok.send(body).content == first
    assert the_session().flags == ""
    assert Session.objects.count() == 1


def sent_again(name: str, **changes) -> bytes:
    """The second envelope's sample as LiveTok sends it again: with another id and sending time."""
    envelope = json.loads(payload(name)) | {"id": "evt_again", "created_at": "2024-03-15T10:40:00Z"}
    return json.dumps(envelope | {"data": envelope["data"] | changes}).encode()


def test_what_comes_again_in_another_envelope_is_a_redelivery(livetok: LiveTok):
    first = livetok.send(payload("envelope_begin")).content
    livetok.send(payload("envelope_end"))
    before = Session.objects.values().get()

    assert livetok.send(sent_again("envelope_begin")).content == first
    assert livetok.send(sent_again("envelope_end")).content == b"{}"

    assert Session.objects.values().get() == before
    assert before["flags"] == ""
    assert not SupersededEnd.objects.exists()
    assert [event.verdict for event in WebhookEvent.objects.order_by("pk")] == ["accepted"] * 2 + ["redelivered"] * 2


def test_an_end_that_does_not_count_is_a_redelivery_too_when_it_comes_again_in_another_envelope(livetok: LiveTok):
    livetok.send(payload("envelope_begin"))
    livetok.send(payload("envelope_end"))
    livetok.send(sent_again("envelope_end", ended_at="2024-03-15T10:34:00Z"))
    before = Session.objects.values().get()
    livetok.send(sent_again("envelope_end", ended_at="2024-03-15T11:34:00+01:00"))

    assert Session.objects.values().get() == before
    assert SupersededEnd.objects.count() == 1
    assert WebhookEvent.objects.order_by("pk").last().verdict == "redelivered"


@pytest.mark.parametrize(
    "change",
    [
        {"channel": "chat"},
        {"customer": {"id": "crm-1", "phone": "+1 234 567 890"}},
        {"customer": {"id": "crm-2", "phone": "+1234567890"}},
        {"customer": {"phone": "+1234567890", "id": "crm-1", "name": "Eve"}},
        {"started_at": "2024-03-15T10:30:01Z", "ended_at": "2024-03-15T10:35:01Z"},
    ],
)
def test_what_says_anything_else_differs(livetok: LiveTok, change):
    for name in ("envelope_begin", "envelope_end"):
        livetok.send(payload(name))
        livetok.send(sent_again(name, **change))

    assert the_session().flags == "begins_differ ends_differ"


def test_a_sending_time_that_is_the_only_time_is_one_of_the_event(livetok: LiveTok):
    for name in ("envelope_begin", "envelope_end"):
        livetok.send(sent_again(name, started_at=None, ended_at=None))
        livetok.send(sent_again(name, started_at=None, ended_at=None).replace(b"10:40", b"10:41"))

    session = the_session()
    assert session.flags == "begins_differ duration_differs ends_differ"
    assert (session.started_at, session.ended_at) == (moment("2024-03-15T10:40:00Z"), moment("2024-03-15T10:41:00Z"))


def test_a_begin_in_another_envelope_is_known_although_its_number_is_read_otherwise_now(livetok: LiveTok, settings):
    customer = {"customer": {"phone": "020 7946 0958"}}
    first = livetok.send(sent_again("envelope_begin", **customer)).content
    settings.PHONE_REGION = "GB"
    make_customer(make_tier("premium"), "020 7946 0958", status="blocked")

    assert livetok.send(sent_again("envelope_begin", **customer).replace(b"evt_again", b"evt_more")).content == first
    assert (Session.objects.count(), the_session().flags) == (1, "")


def test_a_stored_decision_is_not_judged_again_when_the_end_comes_first(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1)))
    livetok.end()
    first = livetok.send(payload("session_begin")).content
    livetok.begin(sessionId="124")

    assert json.loads(first)["allowed"]
    assert livetok.send(payload("session_begin")).content == first


def test_a_redelivered_begin_of_nobody_gets_the_recorded_answer(livetok: LiveTok):
    body = begin_body(phoneNumber="")
    first = livetok.send(body).content
    set_policy(callers_without_number="deny", callers_without_number_tier=None)

    assert livetok.send(body).content == first


def test_a_redelivered_end_is_kept_once_and_acknowledged(livetok: LiveTok):
    livetok.begin()
    for _ in range(3):
        livetok.end()

    assert DailyUsage.objects.get().seconds == 300
    assert the_session().flags == ""
    assert WebhookEvent.objects.filter(verdict="redelivered").count() == 2


def test_an_edit_holds_from_the_very_next_begin(livetok: LiveTok):
    tier = make_tier("premium", limit("sessions", 0))
    customer = make_customer(tier)
    assert livetok.begin(sessionId="1")["context"]["denied_reason"] == "sessions_day"
    tier.limits.update(amount=9)
    assert livetok.begin(sessionId="2")["allowed"]
    Customer.objects.update(status="paused")
    assert livetok.begin(sessionId="3")["context"]["denied_reason"] == "customer_paused"
    Customer.objects.update(status="active")
    make_override(customer, limit("sessions", 0), valid_until=moment("2024-03-16T00:00:00Z"))
    assert livetok.begin(sessionId="4")["context"]["denied_reason"] == "sessions_day"
    LimitOverride.objects.all().delete()
    assert livetok.begin(sessionId="5")["allowed"]
    tier.allowed_channels.add(make_channel("web"))
    assert livetok.begin(sessionId="6")["context"]["denied_reason"] == "channel_not_allowed"
    Policy.objects.update(emergency="allow_all")
    assert livetok.begin(sessionId="7")["allowed"]


def test_a_rejected_body_can_be_processed_again(livetok: LiveTok):
    livetok.send(b'{"sessionId": "9", "phoneNumber": "+1234567890"}')
    rejected = WebhookEvent.objects.get()
    assert rejected.verdict == "rejected"

    rejected.route = "begin"
    again = process_again(rejected)

    assert (again.verdict, again.event, again.session_id) == ("accepted", "session_begin", "9")
    session = the_session("9")
    assert (session.started_at, session.begin_received_at) == (rejected.received_at, rejected.received_at)
    rejected.refresh_from_db()
    assert rejected.processed_again_at is not None
    assert (rejected.verdict, again.key) == ("rejected", rejected.key)


def test_the_log_keeps_one_row_of_every_request(livetok: LiveTok):
    livetok.begin()
    livetok.end(duration=299)
    livetok.end()
    livetok.begin()

    rows = WebhookEvent.objects.order_by("pk")
    assert [(row.event, row.verdict, row.status) for row in rows] == [
        ("session_begin", "accepted", 200),
        ("session_end", "accepted", 200),
        ("session_end", "corrected", 200),
        ("session_begin", "redelivered", 200),
    ]
    assert all(row.session_id == "123" and row.key and row.address == "127.0.0.1" and row.took_ms > 0 for row in rows)
    assert [json.loads(bytes(row.body)) for row in rows] == [
        begin_body(),
        end_body(duration=299),
        end_body(),
        begin_body(),
    ]
    assert Agent.objects.count() == 1
