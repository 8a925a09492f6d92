"""Whose session an event is: callers, reused ids, ends that fit nowhere, and who becomes a customer."""

import itertools
import json

import pytest
from django.utils import timezone

from customers.defaults import make_defaults
from customers.editing import claim_number
from customers.models import Agent, Channel, Customer, PhoneNumber, Policy, Tier
from sessions_app.models import DailyUsage, Session, WebhookEvent
from tests.builders import (
    NUMBER,
    LiveTok,
    assert_usage_is_sound,
    begin_body,
    end_body,
    limit,
    make_channel,
    make_customer,
    make_livetok,
    make_tier,
    payload,
    set_policy,
    the_session,
)

ADA, BOB = "+4915111111111", "+4915122222222"


def envelope(kind: str, session_id: str = "123", **customer) -> dict:
    """The second envelope, of a caller as given."""
    document = json.loads(payload(f"envelope_{kind}"))
    document["data"] |= {"session_id": session_id, "customer": customer}
    return document


def sessions() -> list[Session]:
    return list(Session.objects.order_by("session_id", "number"))


def sent(livetok: LiveTok, *bodies: dict) -> list[bytes]:
    answers = []
    for body in bodies:
        response = livetok.send(body)
        assert response.status_code == 200, response.content
        answers.append(response.content)
    return answers


# The same caller


@pytest.mark.parametrize("written", ["1234567890", "001234567890", "whatsapp:+1234567890", "+1 (234) 567-890"])
def test_a_number_written_otherwise_is_the_same_caller(livetok: LiveTok, written):
    livetok.begin()
    livetok.end(phoneNumber=written)

    session = the_session()
    assert (session.state_at(timezone.now()), session.flags) == ("ended", "")


def test_livetoks_customer_id_is_the_caller_where_there_is_no_number(livetok: LiveTok):
    customer = make_customer(external_id="crm-1")
    sent(livetok, envelope("begin", id="crm-1"), envelope("end", id="crm-1", phone=""))

    session = the_session()
    assert session.customer == customer
    assert (session.caller.identity, session.flags) == (("id", "crm-1"), "")
    assert session.has_end


def test_livetoks_customer_id_is_not_looked_at_where_there_is_a_number(livetok: LiveTok):
    make_customer(None, NUMBER, external_id="crm-1")
    sent(livetok, envelope("begin", id="crm-1", phone=ADA))

    assert the_session().customer.source == "first_contact"


def test_the_number_and_the_id_are_different_callers(livetok: LiveTok):
    first, second = sent(livetok, envelope("begin", id="5550001"), envelope("begin", phone="5550001"))

    assert len(sessions()) == 2
    assert sessions()[1].flag_list == ["session_id_reused"]
    assert sessions()[0].customer != sessions()[1].customer
    assert json.loads(first)["allowed"]
    assert json.loads(second)["allowed"]


def test_the_customer_is_the_one_who_had_the_number_at_the_decision(livetok: LiveTok):
    tier = make_tier()
    ada, bob = make_customer(tier, ADA, name="Ada"), make_customer(tier, BOB, name="Bob")
    livetok.begin(phoneNumber=ADA)
    PhoneNumber.objects.filter(customer=ada).update(customer=bob)

    livetok.end(phoneNumber=ADA)
    livetok.begin(sessionId="124", phoneNumber=ADA)

    assert the_session().customer == ada
    assert the_session().has_end
    assert the_session("124").customer == bob
    assert_usage_is_sound()


def test_the_customer_of_a_session_that_has_only_its_end_is_looked_up_then_and_at_the_decision(livetok: LiveTok):
    tier = make_tier()
    ada, bob = make_customer(tier, ADA, name="Ada"), make_customer(tier, BOB, name="Bob")
    livetok.end(phoneNumber=ADA)
    assert the_session().customer == ada
    assert DailyUsage.objects.get().customer == ada

    PhoneNumber.objects.filter(customer=ada).update(customer=bob)
    livetok.begin(phoneNumber=ADA)

    assert the_session().customer == bob
    assert DailyUsage.objects.get(sessions=1).customer == bob
    assert_usage_is_sound()


# First contact


@pytest.mark.parametrize("first", ["begin", "end"])
def test_an_unknown_caller_becomes_a_customer_at_the_first_event(livetok: LiveTok, first):
    sent(livetok, begin_body() if first == "begin" else end_body())

    customer = Customer.objects.get()
    assert (customer.source, customer.tier.slug, customer.external_id) == ("first_contact", "standard", None)
    assert [(each.number, each.key) for each in customer.numbers.all()] == [(NUMBER, NUMBER)]
    assert the_session().customer == customer
    assert the_session().tier.slug == "standard"

    sent(livetok, end_body() if first == "begin" else begin_body())
    livetok.begin(sessionId="124")
    assert Customer.objects.count() == 1


def test_an_unknown_caller_is_served_on_the_policys_tier(livetok: LiveTok):
    set_policy(unknown_callers_tier=make_tier("guests", limit("call_minutes", 5)))

    answer = livetok.begin()

    assert answer["context"]["customer_tier"] == "guests"
    assert answer["limits"] == {"dailyCallMinutes": 5}
    assert Customer.objects.get().tier.slug == "guests"


@pytest.mark.parametrize("kind", ["begin", "end"])
def test_an_unknown_caller_known_by_id_keeps_it_as_external_id(livetok: LiveTok, kind):
    sent(livetok, envelope(kind, id="crm-9", name="Ada", email="ada@example.com"))

    customer = Customer.objects.get()
    assert (customer.external_id, customer.name, customer.email) == ("crm-9", "Ada", "ada@example.com")
    assert not customer.numbers.exists()


def test_a_first_contact_by_number_takes_no_external_id(livetok: LiveTok):
    sent(livetok, envelope("begin", id="crm-9", phone=ADA, name="Ada", email="no address"))

    customer = Customer.objects.get()
    assert (customer.external_id, customer.name, customer.email) == (None, "Ada", "")


def test_an_unknown_caller_whom_the_policy_denies_makes_no_customer(livetok: LiveTok):
    set_policy(unknown_callers="deny", unknown_callers_tier=None)

    answer = livetok.begin()
    livetok.end(sessionId="124")

    assert answer["context"]["denied_reason"] == "unknown_caller"
    assert not Customer.objects.exists()
    assert the_session("124").customer is None
    assert not DailyUsage.objects.exists()


def test_a_first_contact_customer_gives_way_when_its_number_is_named_past_sessions_included(livetok: LiveTok):
    livetok.begin()
    livetok.end()
    livetok.begin(sessionId="124", timestamp="2024-03-15T12:00:00Z")
    provisional = Customer.objects.get()
    ada = make_customer(make_tier("premium", limit("sessions", 2)), ADA)

    claim_number(ada, NUMBER)

    assert not Customer.objects.filter(pk=provisional.pk).exists()
    assert {each.customer for each in sessions()} == {ada}
    assert [(row.customer, row.sessions, row.call_seconds) for row in DailyUsage.objects.all()] == [(ada, 2, 300)]
    assert_usage_is_sound()
    denied = livetok.begin(sessionId="125", timestamp="2024-03-15T12:00:05Z")
    assert denied["context"]["denied_reason"] == "sessions_day"


def test_what_two_records_used_adds_up_when_one_gives_way(livetok: LiveTok):
    ada = make_customer(None, ADA)
    for number, session_id in ((ADA, "1"), (NUMBER, "2")):
        livetok.begin(sessionId=session_id, phoneNumber=number)
        livetok.end(sessionId=session_id, phoneNumber=number)

    claim_number(ada, NUMBER)

    assert [(row.sessions, row.seconds, row.call_seconds) for row in DailyUsage.objects.all()] == [(2, 600, 600)]
    assert_usage_is_sound()


# Nobody


@pytest.mark.parametrize("number", [..., None, "", "anonymous"])
def test_without_number_and_id_there_is_no_caller(livetok: LiveTok, number):
    tier = make_tier("guests", limit("concurrent_sessions", 0), limit("call_minutes", 5), limit("messages", 7))
    set_policy(callers_without_number_tier=tier)

    answer = livetok.begin(phoneNumber=number)
    again = livetok.begin(sessionId="124", phoneNumber=number)

    assert answer["allowed"]
    assert again["allowed"]
    assert answer["limits"] == {"dailyMessageLimit": 7, "dailyCallMinutes": 5}
    session = the_session()
    assert (session.customer, session.tier) == (None, tier)
    assert {check["check"]: check["passed"] for check in session.trace if "limit" in check} == {
        "concurrent_sessions": None,
        "call_minutes_day": None,
    }
    assert all("do not apply" in check["note"] for check in session.trace if "limit" in check)
    assert not Customer.objects.exists()

    livetok.end(phoneNumber=number)
    assert not DailyUsage.objects.exists()


def test_callers_without_a_number_may_be_denied(livetok: LiveTok):
    set_policy(callers_without_number="deny", callers_without_number_tier=None)

    assert livetok.begin(phoneNumber="")["context"]["denied_reason"] == "no_number"
    assert livetok.begin(sessionId="124")["allowed"]


# One id, several callers


def test_the_same_id_from_another_caller_is_another_session_decided_afresh(livetok: LiveTok):
    make_customer(make_tier("gold", context={"secret": "of Ada"}), ADA, name="Ada")
    make_customer(make_tier("iron"), BOB, name="Bob", status="blocked")

    for_ada = livetok.begin(phoneNumber=ADA)
    for_bob = livetok.begin(phoneNumber=BOB)

    assert for_ada["context"]["secret"] == "of Ada"
    assert for_bob["context"]["denied_reason"] == "customer_blocked"
    assert "secret" not in for_bob["context"]
    assert [session.flags for session in sessions()] == ["", "session_id_reused"]
    assert livetok.begin(phoneNumber=ADA) == for_ada
    assert livetok.begin(phoneNumber=BOB) == for_bob
    assert len(sessions()) == 2


def test_a_begin_that_names_no_caller_is_a_caller_of_its_own(livetok: LiveTok):
    make_customer(make_tier("gold", context={"secret": "of Ada"}), ADA, name="Ada")
    livetok.begin(phoneNumber=ADA)

    nobody = livetok.begin(phoneNumber="")
    again = livetok.begin(phoneNumber="")

    assert "secret" not in nobody["context"]
    assert again == nobody
    assert [session.flags for session in sessions()] == ["", "session_id_reused"]
    assert "secret" in livetok.begin(phoneNumber=ADA)["context"]
    assert len(sessions()) == 2


def test_a_named_begin_after_a_nameless_one_is_another_session(livetok: LiveTok):
    livetok.begin(phoneNumber="")
    livetok.begin(phoneNumber=ADA)

    assert [session.caller.identity for session in sessions()] == [None, ("number", ADA)]


def test_each_caller_of_one_id_gets_the_own_end(livetok: LiveTok):
    livetok.begin(phoneNumber=ADA)
    livetok.begin(phoneNumber=BOB)

    livetok.end(phoneNumber=ADA, duration=111)
    livetok.end(phoneNumber=BOB, duration=222)

    assert [session.duration_seconds for session in sessions()] == [111, 222]
    assert [session.flags for session in sessions()] == ["duration_differs", "duration_differs session_id_reused"]


@pytest.mark.parametrize("livemode", [True, False])
def test_test_and_live_events_never_meet(livetok: LiveTok, livemode):
    livetok.begin(livemode=livemode)
    livetok.end(livemode=not livemode)
    livetok.begin(livemode=not livemode, kind="telephony")

    first, second = the_session(is_test=not livemode), the_session(is_test=livemode)
    assert (first.has_begin, first.has_end) == (True, False)
    assert (second.has_begin, second.has_end) == (True, True)
    assert "session_id_reused" not in first.flags + second.flags


def test_test_traffic_is_decided_answered_and_kept_and_counts_nothing(livetok: LiveTok):
    customer = make_customer(make_tier("premium", limit("sessions", 1), limit("concurrent_sessions", 1)))

    answer = livetok.begin(livemode=False)
    assert answer["allowed"]
    assert answer["context"]["customer_tier"] == "premium"
    assert livetok.begin(livemode=False) == answer
    assert livetok.begin(livemode=False, sessionId="124")["allowed"]
    livetok.end(livemode=False)

    session = the_session(is_test=True)
    assert (session.flags, session.customer, session.duration_seconds) == ("test", customer, 300)
    assert not DailyUsage.objects.exists()
    assert livetok.begin(sessionId="125")["allowed"]
    assert livetok.begin(livemode=False, sessionId="126")["context"]["denied_reason"] == "concurrent_sessions"
    assert set(WebhookEvent.objects.filter(session_id="123").values_list("is_test", flat=True)) == {True}


@pytest.mark.parametrize("body", [begin_body(livemode=False), end_body(livemode=False)])
def test_test_traffic_makes_no_customer(livetok: LiveTok, body):
    sent(livetok, body)

    assert not Customer.objects.exists()
    assert the_session(is_test=True).customer is None


# Ends that fit nowhere


def test_an_end_of_no_caller_goes_to_the_last_stored_session_of_its_id(livetok: LiveTok):
    livetok.begin(phoneNumber=ADA)
    livetok.begin(phoneNumber=BOB)

    livetok.end(phoneNumber="")

    assert [session.has_end for session in sessions()] == [False, True]
    assert "caller_differs" not in sessions()[1].flags


def test_an_end_of_no_caller_does_not_look_for_a_session_of_nobody(livetok: LiveTok):
    livetok.begin(phoneNumber="")
    livetok.begin(phoneNumber=ADA)

    livetok.end(phoneNumber="")

    assert [session.has_end for session in sessions()] == [False, True]


def test_an_end_of_another_caller_goes_to_the_last_stored_session_flagged(livetok: LiveTok):
    livetok.begin(phoneNumber=ADA)
    livetok.begin(phoneNumber=BOB)

    livetok.end(phoneNumber="+4915133333333")

    assert [session.has_end for session in sessions()] == [False, True]
    assert sessions()[1].flag_list == ["caller_differs", "session_id_reused"]
    assert sessions()[1].phone_key == BOB
    assert Customer.objects.filter(numbers__key="+4915133333333").count() == 0


def test_an_end_of_another_caller_goes_to_the_only_session_flagged(livetok: LiveTok):
    livetok.begin(phoneNumber=ADA)
    livetok.end(phoneNumber=BOB)

    assert (the_session().has_end, the_session().flags, the_session().phone_key) == (True, "caller_differs", ADA)


def test_an_end_that_names_a_caller_for_a_session_that_names_none_is_not_flagged(livetok: LiveTok):
    livetok.begin(phoneNumber="")
    livetok.end(phoneNumber=ADA)

    session = the_session()
    assert (session.has_end, session.flags, session.caller.identity, session.customer) == (True, "", None, None)


def test_an_end_that_one_of_them_holds_already_is_a_redelivery_of_it(livetok: LiveTok):
    first, second = end_body(phoneNumber="", duration=290), end_body(phoneNumber="", duration=300)
    livetok.begin(phoneNumber=ADA)
    sent(livetok, first, second)
    livetok.begin(phoneNumber=BOB)

    sent(livetok, first, second)

    assert [session.has_end for session in sessions()] == [True, False]
    assert [event.verdict for event in WebhookEvent.objects.order_by("pk")][-2:] == ["redelivered", "redelivered"]


def test_an_end_of_another_caller_is_still_the_redelivery_once_that_caller_has_a_session(livetok: LiveTok):
    end = end_body(phoneNumber=BOB)
    livetok.begin(phoneNumber=ADA)
    sent(livetok, end)
    livetok.begin(phoneNumber=BOB)

    sent(livetok, end)

    assert [session.has_end for session in sessions()] == [True, False]


# Ends that come first


@pytest.mark.parametrize(("end_number", "begin_number"), [(ADA, ADA), ("", ADA), (ADA, ""), ("", "")])
def test_a_begin_takes_over_the_session_whose_end_came_first(livetok: LiveTok, end_number, begin_number):
    """Its own, else the one that has no begin yet, where either names no caller."""
    livetok.end(phoneNumber=end_number)
    livetok.begin(phoneNumber=begin_number)

    session = the_session()
    assert len(sessions()) == 1
    assert session.caller.identity == (("number", begin_number) if begin_number else None)
    assert session.number_received == begin_number
    assert (session.customer is not None) == bool(begin_number)
    assert session.flags == ""
    assert_usage_is_sound()


def test_a_begin_of_another_caller_does_not_take_over_a_named_end(livetok: LiveTok):
    livetok.end(phoneNumber=ADA)
    livetok.begin(phoneNumber=BOB)

    assert [session.has_begin for session in sessions()] == [False, True]
    assert [session.flags for session in sessions()] == ["no_begin", "session_id_reused"]


def test_a_begin_takes_its_own_before_one_that_leaves_the_caller_open(livetok: LiveTok):
    livetok.begin(phoneNumber=ADA)
    livetok.end(phoneNumber=ADA)
    livetok.end(sessionId="124", phoneNumber="")

    livetok.begin(sessionId="124", phoneNumber=BOB)
    livetok.begin(sessionId="124", phoneNumber="")

    assert [session.caller.identity for session in sessions()] == [("number", ADA), ("number", BOB), None]


def test_a_nameless_session_is_named_by_the_first_end_that_names_its_caller(livetok: LiveTok):
    ada = make_customer(make_tier(), ADA, time_zone="Asia/Tokyo")
    livetok.end(phoneNumber="")
    livetok.end(phoneNumber=ADA)

    session = the_session()
    assert (session.customer, session.tier, session.time_zone) == (ada, ada.tier, "Asia/Tokyo")
    assert session.flag_list == ["ends_differ", "no_begin"]
    assert_usage_is_sound()


def test_who_where_and_which_tier_are_the_begins_once_there_is_one(livetok: LiveTok):
    ada = make_customer(make_tier("gold"), ADA, time_zone="Asia/Tokyo")
    begin = begin_body(phoneNumber=ADA, kind="telephony", agentId=1)
    end = end_body(phoneNumber="", kind="web", agentId="2")

    for session_id, order in (("1", [begin, end]), ("2", [end, begin])):
        sent(livetok, *({**body, "sessionId": session_id} for body in order))
        session = the_session(session_id)
        assert (session.phone_key, session.customer, session.tier, session.time_zone) == (
            ADA,
            ada,
            ada.tier,
            "Asia/Tokyo",
        )
        assert (session.channel_id, session.agent_id, session.agent_is_number) == ("telephony", "1", True)
    assert_usage_is_sound()


def test_a_session_that_has_only_its_end_is_its_ends(livetok: LiveTok):
    livetok.end(kind="Telephony", agentId="7", agentName="Eve")

    session = the_session()
    assert (session.channel_id, session.agent_id, session.agent.name) == ("telephony", "7", "Eve")
    assert (session.agent_is_number, session.tier.slug, session.time_zone) == (False, "standard", "UTC")


@pytest.mark.parametrize("numbers", [(ADA, ADA, ADA), (ADA, "", ADA), ("", ADA, ADA), (ADA, "", ""), ("", "", ADA)])
def test_every_order_of_a_begin_and_two_ends_gives_the_same(livetok: LiveTok, numbers):
    """Of one caller or none, as promised; the stateful proof is elsewhere."""
    begin_number, *end_numbers = numbers
    events = [
        begin_body(phoneNumber=begin_number, kind="telephony"),
        end_body(phoneNumber=end_numbers[0], duration=200, kind="telephony"),
        end_body(phoneNumber=end_numbers[1], duration=250, kind="web", timestamp="2024-03-15T10:34:10Z"),
    ]
    seen = set()
    for number, order in enumerate(itertools.permutations(events)):
        sent(livetok, *({**body, "sessionId": str(number)} for body in order), {**order[0], "sessionId": str(number)})
        session = the_session(str(number))
        seen.add(
            (
                session.phone_key,
                session.channel_id,
                session.agent_id,
                session.state_at(timezone.now()),
                session.started_at,
                session.ended_at,
                session.duration_seconds,
                session.flags,
            )
        )
        assert Session.objects.filter(session_id=str(number)).count() == 1
    assert len(seen) == 1
    assert_usage_is_sound()


# Begins that differ


def test_of_two_begins_that_differ_the_first_decided_stays_flagged(livetok: LiveTok):
    answer = livetok.begin(kind="telephony")

    assert livetok.begin(kind="web", agentId=2, timestamp="2024-03-15T10:31:00Z") == answer
    session = the_session()
    assert (session.flags, session.channel_id, session.agent_id) == ("begins_differ", "telephony", "1")
    assert session.started_at.minute == 30
    livetok.end()
    assert the_session().flags == "begins_differ"


# What a new installation and LiveTok bring


def test_first_run_makes_the_tier_standard_without_limits_and_serves_everybody_on_it(db):
    make_defaults()
    make_defaults()

    tier, policy = Tier.objects.get(), Policy.objects.get()
    assert (tier.slug, tier.limits.count(), tier.call_hold_minutes) == ("standard", 0, 1)
    assert (policy.unknown_callers, policy.unknown_callers_tier) == ("serve", tier)
    assert (policy.callers_without_number, policy.callers_without_number_tier) == ("serve", tier)
    assert (policy.limits_in_answer, policy.emergency) == ("day_total", "normal")


def test_first_run_leaves_what_staff_have_changed(livetok: LiveTok):
    set_policy(unknown_callers="deny", unknown_callers_tier=None)
    Tier.objects.filter(slug="standard").update(name="Basic")
    make_defaults()

    assert Policy.objects.get().unknown_callers == "deny"
    assert Tier.objects.get(slug="standard").name == "Basic"

    Tier.objects.update(slug="basic")
    make_defaults()
    assert [tier.slug for tier in Tier.objects.all()] == ["basic"]


def test_the_policy_makes_itself_where_set_up_has_not_run(db):
    make_defaults()
    Policy.objects.all().delete()
    Tier.objects.all().delete()

    assert make_livetok().begin()["allowed"]


def test_an_inactive_tier_still_serves_those_on_it(livetok: LiveTok):
    make_customer(make_tier("old", limit("call_minutes", 5), is_active=False))

    answer = livetok.begin()

    assert (answer["context"]["customer_tier"], answer["limits"]) == ("old", {"dailyCallMinutes": 5})


@pytest.mark.parametrize(
    ("kind", "counts", "longest_minutes"),
    [
        *((kind, False, 1440) for kind in ("chat", "sms", "text", "email", "messaging")),
        *((kind, True, 240) for kind in ("telephony", "phone", "voice", "call")),
        *((kind, True, 1440) for kind in ("whatsapp", "web", "anything")),
    ],
)
def test_a_channel_makes_itself_on_first_sight(livetok: LiveTok, kind, counts, longest_minutes):
    Channel.objects.all().delete()  # some are there before their first session
    livetok.begin(kind=kind.upper())

    channel = Channel.objects.get()
    assert (channel.slug, channel.counts_toward_call_minutes) == (kind, counts)
    assert channel.longest_session_minutes == longest_minutes
    session = the_session()
    assert session.counts_toward_call_minutes is counts
    assert (session.open_until - session.started_at).total_seconds() == longest_minutes * 60


def test_a_channel_that_staff_changed_stays_as_they_left_it(livetok: LiveTok):
    make_channel("whatsapp", counts_toward_call_minutes=False, longest_session_minutes=10)
    livetok.begin()

    assert Channel.objects.get(slug="whatsapp").longest_session_minutes == 10
    assert not the_session().counts_toward_call_minutes


def test_a_session_without_a_channel_counts_and_may_last_a_day(livetok: LiveTok):
    livetok.begin(kind=...)
    livetok.end(kind=..., agentId=...)

    session = the_session()
    assert (session.channel, session.counts_toward_call_minutes) == (None, True)
    assert (session.open_until - session.started_at).total_seconds() == 24 * 3600
    assert DailyUsage.objects.get().channel == ""
    assert_usage_is_sound()


def test_an_agent_makes_itself_and_takes_the_newest_name(livetok: LiveTok):
    livetok.begin(agentId=7, agentName="Eve")
    livetok.begin(sessionId="124", agentId="7", agentName="Eva")
    livetok.begin(sessionId="125", agentId="7", agentName=...)

    assert [(agent.livetok_id, agent.name) for agent in Agent.objects.all()] == [("7", "Eva")]


def test_an_ends_redelivery_and_an_ignored_event_are_answered_with_an_empty_object(livetok: LiveTok):
    livetok.begin()

    assert sent(livetok, end_body(), end_body(), {"event": "other"}) == [b"{}"] * 3
    assert [event.verdict for event in WebhookEvent.objects.order_by("pk")] == [
        "accepted",
        "accepted",
        "redelivered",
        "ignored",
    ]


def test_bodies_and_answers_are_kept_as_the_bytes_that_came_and_went(livetok: LiveTok):
    begin = b' {"event":"session_begin",\r\n"sessionId":"123" , "phoneNumber":"+1234567890", "x":"\\u0000\xc3\xa9"}\n'
    broken = b'{"event":"session_begin","sessionId":"124","agentName":"\xff\x00"}'

    answered = livetok.send(begin).content
    livetok.send(broken)

    session = the_session()
    assert (bytes(session.begin_body), bytes(session.answer)) == (begin, answered)
    assert [bytes(event.body) for event in WebhookEvent.objects.order_by("pk")] == [begin, broken]
