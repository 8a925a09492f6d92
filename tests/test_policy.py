"""The decision's corners: emergency switch, customers' status and validity, channels, context and messages."""

import json
import logging
import time
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from customers.access import Access
from customers.models import Customer, DenialMessage, Policy
from sessions_app.database.patience import AFTERWARDS_SECONDS, OTHERS_SECONDS, Patience
from sessions_app.decision.answer import AnswerGiven, Missing, Provided
from sessions_app.decision.rules import DENIAL_MESSAGES, Reason
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionBegin
from sessions_app.livetok.payloads import read_event
from sessions_app.models import CustomerTurn
from sessions_app.recording.by_reading import decide_by_reading
from sessions_app.recording.hooks import brought_for
from sessions_app.recording.reading import read_begin
from sessions_app.webhook.reception import receive
from tests.builders import (
    LiveTok,
    begin_body,
    limit,
    make_channel,
    make_customer,
    make_tier,
    moment,
    set_policy,
    the_session,
)


def reason(livetok: LiveTok, session_id: str = "123", **changes) -> str:
    livetok.begin(sessionId=session_id, **changes)
    return the_session(session_id).reason


# The emergency switch


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"status": "paused"},
        {"valid_from": moment("2030-01-01T00:00:00Z")},
        {"valid_until": moment("2020-01-01T00:00:00Z")},
    ],
)
def test_allow_all_lets_in_every_customer_but_blocked_ones(livetok: LiveTok, fields):
    tier = make_tier("premium", limit("sessions", 0), limit("concurrent_sessions", 0))
    tier.allowed_channels.add(make_channel("web"))
    make_customer(tier, **fields)
    set_policy(emergency="allow_all")
    assert reason(livetok) == "emergency_allow"
    assert the_session().allowed

    Customer.objects.update(status="blocked")
    assert reason(livetok, "124") == "customer_blocked"


def test_allow_all_lets_in_an_unknown_caller_whom_the_policy_denies_without_limits_and_makes_no_customer(
    livetok: LiveTok,
):
    set_policy(unknown_callers="deny", unknown_callers_tier=make_tier("guests", limit("call_minutes", 1)))
    set_policy(emergency="allow_all")

    answer = livetok.begin()

    assert (answer["allowed"], answer["limits"]) == (True, {})
    assert "customer_tier" not in answer["context"]
    assert not Customer.objects.exists()
    assert (the_session().reason, the_session().customer, the_session().tier) == ("emergency_allow", None, None)
    livetok.end()
    assert not Customer.objects.exists()


def test_allow_all_lets_in_a_caller_without_a_number_whom_the_policy_denies(livetok: LiveTok):
    set_policy(callers_without_number="deny", emergency="allow_all")

    assert reason(livetok, phoneNumber="") == "emergency_allow"


def test_allow_all_makes_a_customer_of_an_unknown_caller_whom_the_policy_serves(livetok: LiveTok):
    set_policy(emergency="allow_all")

    assert reason(livetok) == "emergency_allow"
    assert Customer.objects.get().source == "first_contact"


def test_deny_all_keeps_everybody_out(livetok: LiveTok):
    make_customer(make_tier("premium"))
    set_policy(emergency="deny_all")

    assert reason(livetok) == "emergency_deny"
    assert reason(livetok, "124", phoneNumber="+4915111111111") == "emergency_deny"
    assert reason(livetok, "125", phoneNumber="") == "emergency_deny"
    Customer.objects.update(status="blocked")
    assert reason(livetok, "126") == "emergency_deny"


@pytest.mark.parametrize("stated", ["2020-01-01T00:00:00Z", "2150-01-01T00:00:00Z"])
@pytest.mark.parametrize(("hours", "expected"), [(1, "emergency_deny"), (-1, "allowed")])
def test_the_emergency_ends_by_our_clock(livetok: LiveTok, stated, hours, expected):
    until = timezone.now() + timedelta(hours=hours)
    set_policy(emergency="deny_all", emergency_until=until)

    assert reason(livetok, timestamp=stated) == expected


def test_the_emergency_is_over_at_its_end():
    policy = Policy(emergency="deny_all", emergency_until=moment("2024-03-15T10:30:00Z"))

    assert policy.emergency_at(moment("2024-03-15T10:29:59.999999Z")) == "deny_all"
    assert policy.emergency_at(moment("2024-03-15T10:30:00Z")) == "normal"
    assert Policy(emergency="allow_all").emergency_at(moment("2024-03-15T10:30:00Z")) == "allow_all"


# Status, validity, channels


@pytest.mark.parametrize(
    ("status", "expected"), [("active", "allowed"), ("paused", "customer_paused"), ("blocked", "customer_blocked")]
)
def test_a_customers_status_decides(livetok: LiveTok, status, expected):
    make_customer(status=status)
    answer = livetok.begin()

    assert the_session().reason == expected
    assert answer["context"]["account_status"] == status
    assert answer["allowed"] is (status == "active")


@pytest.mark.parametrize(
    ("field", "stamp", "expected", "account_status"),
    [
        ("valid_from", "2024-03-15T10:30:00Z", "allowed", "active"),
        ("valid_from", "2024-03-15T10:30:00.000001Z", "customer_not_yet_valid", "not_yet_valid"),
        ("valid_until", "2024-03-15T10:30:00Z", "customer_expired", "expired"),
        ("valid_until", "2024-03-15T10:30:00.000001Z", "allowed", "active"),
    ],
)
def test_validity_is_judged_by_the_decisions_now_and_until_is_exclusive(
    livetok: LiveTok, field, stamp, expected, account_status
):
    make_customer(**{field: moment(stamp)})
    answer = livetok.begin()

    assert the_session().reason == expected
    assert answer["context"]["account_status"] == account_status


def test_a_paused_customer_who_has_expired_is_told_to_be_paused(livetok: LiveTok):
    make_customer(status="paused", valid_until=moment("2020-01-01T00:00:00Z"))

    assert livetok.begin()["context"]["account_status"] == "paused"


def test_a_tier_may_allow_some_channels_only(livetok: LiveTok):
    tier = make_tier("premium")
    make_customer(tier)
    assert reason(livetok, "1", kind="never seen before") == "allowed"

    tier.allowed_channels.add(make_channel("web"), make_channel("telephony"))
    assert reason(livetok, "2", kind="WEB") == "allowed"
    assert reason(livetok, "3", kind="whatsapp") == "channel_not_allowed"
    assert reason(livetok, "4", kind=...) == "channel_not_allowed"


def test_the_policys_tier_may_allow_some_channels_only(livetok: LiveTok):
    tier = make_tier("guests")
    tier.allowed_channels.add(make_channel("web"))
    set_policy(unknown_callers_tier=tier, callers_without_number_tier=tier)

    assert reason(livetok, "1") == "channel_not_allowed"
    assert reason(livetok, "2", phoneNumber="") == "channel_not_allowed"
    assert Customer.objects.count() == 1


# What the answer says


def test_a_denial_says_why_with_the_sentence_that_staff_wrote(livetok: LiveTok):
    make_customer(status="paused")
    DenialMessage.objects.update_or_create(reason="customer_paused", defaults={"message": "Call Ada."})

    context = livetok.begin()["context"]

    assert (context["denied_reason"], context["denied_message"]) == ("customer_paused", "Call Ada.")


def test_a_denial_has_a_sentence_also_where_staff_wrote_none(livetok: LiveTok):
    DenialMessage.objects.all().delete()
    make_customer(status="blocked")

    assert livetok.begin()["context"]["denied_message"] == DENIAL_MESSAGES[Reason.CUSTOMER_BLOCKED]


def test_the_customers_context_wins_over_the_tiers_over_frontdesks(livetok: LiveTok):
    tier = make_tier("premium", context={"customer_tier": "hidden", "a": "tier", "b": "tier"})
    make_customer(tier, context={"b": "customer", "customer_name": "Lady Lovelace"})

    context = livetok.begin()["context"]

    assert (context["customer_tier"], context["a"], context["b"]) == ("hidden", "tier", "customer")
    assert context["customer_name"] == "Lady Lovelace"
    assert context["account_status"] == "active"


def test_denied_reason_and_message_are_set_last(livetok: LiveTok):
    own = {"denied_reason": "x", "denied_message": "y"}
    make_customer(make_tier("premium", context=own), context=own, status="paused")

    context = livetok.begin()["context"]

    assert context["denied_reason"] == "customer_paused"
    assert context["denied_message"] == DENIAL_MESSAGES[Reason.CUSTOMER_PAUSED]


def test_what_frontdesk_knows_of_a_customer_is_in_the_context(livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 60)), time_zone="Europe/Berlin")

    assert livetok.begin()["context"] == {
        "customer_tier": "premium",
        "customer_name": "Ada",
        "account_status": "active",
        "call_minutes_used_today": 0,
        "call_minutes_left_today": 60,
        "limits_reset_at": "2024-03-16T00:00:00+01:00",
    }


def test_what_frontdesk_knows_of_nobody_is_in_the_context(livetok: LiveTok):
    assert livetok.begin(phoneNumber="")["context"] == {
        "customer_tier": "standard",
        "account_status": "unknown",
        "limits_reset_at": "2024-03-16T00:00:00+00:00",
    }


# What is stored with the decision


def test_the_facts_of_a_decision_are_stored_beside_its_trace(livetok: LiveTok):
    make_customer(make_tier("premium", call_hold_minutes=3), time_zone="Europe/Berlin")
    livetok.begin(timestamp="2024-03-15T11:30:00+01:00")

    assert the_session().facts == {
        "now": "2024-03-15T10:30:00+00:00",
        "caller": "customer",
        "status": "active",
        "emergency": "normal",
        "policy_serves": True,
        "time_zone": "Europe/Berlin",
        "call_hold_minutes": 3,
        "limits_in_answer": "day_total",
    }


def test_a_soft_limit_that_would_have_denied_is_stored(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 0, "week", hard=False), limit("sessions", 0)))
    livetok.begin()

    assert (the_session().reason, the_session().would_deny) == ("sessions_day", ["sessions_week"])


# Hooks


asked: list[str] = []


def bring_context(event: SessionBegin, access: Access) -> Provided:
    asked.append(event.session_id)
    name = access.customer.name if access.customer else None
    return Provided({"order": "first", "number": event.caller.phone_key, "customer_tier": "provided", "who": name})


def bring_more(event: SessionBegin, access: Access) -> Provided:
    return Provided({"order": "second", "a": "provided"}, (Missing("Shop", "no answer within 300 ms"),))


def fail(event: SessionBegin, access: Access) -> Provided:
    raise RuntimeError("the CRM is away")


def test_context_providers_bring_context_below_the_tiers_and_a_failing_one_keeps_nobody_out(
    livetok: LiveTok, settings, caplog
):
    settings.CONTEXT_PROVIDERS = [f"{__name__}.{name}" for name in ("bring_context", "fail", "bring_more")]
    make_customer(make_tier("premium", context={"a": "tier"}))

    with caplog.at_level(logging.ERROR):
        context = livetok.begin()["context"]

    assert (context["order"], context["number"], context["a"]) == ("second", "+1234567890", "tier")
    assert context["customer_tier"] == "provided"
    assert context["who"] == "Ada"
    assert "context provider failed" in caplog.text


def test_what_providers_did_not_bring_stands_on_the_session_and_its_page(livetok: LiveTok, viewer, settings):
    settings.CONTEXT_PROVIDERS = [f"{__name__}.bring_more", f"{__name__}.fail"]
    make_customer()
    livetok.begin()
    page = viewer.get(reverse("reports:session", args=[the_session().pk])).content.decode()

    assert the_session().facts["context_missing"][0] == {"source": "Shop", "why": "no answer within 300 ms"}
    assert "Shop: no answer within 300 ms" in page
    assert f"{__name__}.fail: it failed" in page


def test_providers_are_asked_once_and_not_for_redelivered_denied_or_spooled_begins(livetok: LiveTok, settings):
    settings.CONTEXT_PROVIDERS = [f"{__name__}.bring_context"]
    asked.clear()
    make_customer(make_tier("premium", limit("sessions", 1)))
    livetok.begin()
    livetok.begin()  # again
    livetok.begin(sessionId="one too many")
    livetok.begin(sessionId="first contact", phoneNumber="+4915112345678")
    given = AnswerGiven(Reason.FALLBACK_ALLOW, b'{"allowed":true}')
    body = json.dumps(begin_body(sessionId="spooled", phoneNumber="+4915112345679")).encode()
    receive(body, route="", received_at=timezone.now(), delivery=Delivery(), given=given)

    assert asked == ["123", "first contact"]
    assert json.loads(the_session("first contact").answer)["context"]["order"] == "first"


def test_a_begin_that_is_decided_again_has_asked_already(livetok: LiveTok, settings):
    """The provider makes another begin of the customer at the moment that counts, each time it is asked."""
    settings.CONTEXT_PROVIDERS = [f"{__name__}.begin_meanwhile"]
    asked.clear()
    make_customer()
    livetok.begin()

    assert asked == ["123"]
    assert json.loads(the_session().answer)["context"]["order"] == "asked"


def begin_meanwhile(event: SessionBegin, access: Access) -> Provided:
    asked.append(event.session_id)
    CustomerTurn.objects.update_or_create(customer=access.customer, defaults={"begins": 100 + len(asked)})
    return Provided({"order": "asked"})


def test_a_begin_that_is_decided_by_reading_asks_nothing_and_uses_what_was_brought(livetok: LiveTok, settings):
    settings.CONTEXT_PROVIDERS = [f"{__name__}.bring_context"]
    asked.clear()
    make_customer()
    event = read_event(json.dumps(begin_body()).encode(), route="", received_at=timezone.now(), phone_region="")
    before, after = Delivery(), Delivery()
    brought_for(after).ask(event, read_begin(event).access)

    contexts = [json.loads(decide_by_reading(event, delivery).content)["context"] for delivery in (before, after)]
    assert [context.get("order") for context in contexts] == [None, "first"]
    assert asked == ["123"]


def test_what_was_brought_for_another_customer_is_not_told(livetok: LiveTok, settings):
    settings.CONTEXT_PROVIDERS = [f"{__name__}.bring_context"]
    ada = make_customer()
    event = read_event(json.dumps(begin_body()).encode(), route="", received_at=timezone.now(), phone_region="")
    brought = brought_for(Delivery())
    brought.ask(event, read_begin(event).access)
    ada.numbers.all().delete()
    make_customer(make_tier("other"))
    told = brought.so_far(read_begin(event).access)

    assert told.context == {}
    assert told.missing[0].why == "the number came to another customer meanwhile"


def test_time_spent_on_others_leaves_a_moment_for_storing_within_the_second():
    patience = Patience()
    patience.started -= 0.5  # half a second passed, in asking
    patience.spend_on_others(0.5)
    assert patience.started + patience.seconds == pytest.approx(time.monotonic() + AFTERWARDS_SECONDS, abs=0.1)
    late = Patience()
    late.started -= OTHERS_SECONDS
    assert late.seconds_for_others <= 0
