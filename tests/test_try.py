"""The page Try: what would be decided and answered, as if, and played. What is only tried leaves nothing behind."""

import json
import re
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone

from customers.models import Agent, Channel, Customer, Tier, TopUp
from sessions_app.models import DailyUsage, Session, WebhookEvent
from sessions_app.reports.webhook.channels import Heard, newest_of_all
from sessions_app.reports.webhook.silence import silence_at
from tests.builders import (
    LiveTok,
    assert_usage_is_sound,
    begin_body,
    limit,
    make_customer,
    make_override,
    make_tier,
    moment,
    set_policy,
    the_session,
)
from tests.staff import staff, text_of

# A Friday.
NOW = moment("2024-03-15T10:30:00+00:00")
NUMBER = "+1234567890"
ALLOWED, DENIED = "Would be let in", "Would be denied"


@pytest.fixture(autouse=True)
def _now():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ana(db) -> Client:
    return staff("administrators")


@pytest.fixture
def ada(ana) -> Customer:
    return make_customer(make_tier("free", limit("call_minutes", 20)), name="Ada", external_id="crm-1")


def tried(client: Client, **given: object):
    response = client.get("/reports/try/", {"number": NUMBER, **given})
    assert response.status_code == 200, text_of(response)
    return response


def outcome(response) -> tuple[str, str]:
    """Whether it would be let in, and why."""
    found = response.context["tried"]
    return (ALLOWED if found.reason.admits else DENIED), found.reason.value


def used_of(response, check: str = "call_minutes_day") -> list[float]:
    return [line["used"] for line in response.context["tried"].trace if line["check"] == check]


def sent_as_text(response) -> str:
    (text,) = re.findall(r"<pre tabindex=\"0\"><code>(.*?)</code>", response.content.decode(), re.DOTALL)
    return unescape(text)


def use(livetok: LiveTok, minutes: int, **changes: str) -> None:
    body = {"sessionId": f"used {minutes}", "kind": "telephony", "timestamp": "2024-03-15T08:00:00Z", **changes}
    livetok.begin(**body)
    livetok.end(**body, duration=minutes * 60)


def test_the_page_says_what_livetok_then_gets_to_the_byte(ana, ada, livetok: LiveTok):
    use(livetok, 5)
    page = tried(ana, channel="whatsapp", number="(+1) 234 567-890")
    sent = livetok.send(begin_body(kind="whatsapp", phoneNumber=NUMBER, agentId=..., timestamp=NOW.isoformat()))

    assert outcome(page) == (ALLOWED, "allowed")
    assert sent_as_text(page).encode() == sent.content
    assert f'data-copy="{sent.content.decode().replace(chr(34), "&quot;")}"' in page.content.decode()
    assert f"As it goes out, {len(sent.content)} bytes" in text_of(page)
    text = text_of(page)
    assert "Caller Ada" in text
    assert "Call minutes of the day Passed 20 min tier, hard 5 min 15 min" in text


def test_an_agent_counts_as_with_livetok(ana, ada):
    Agent.objects.create(livetok_id="7", name="Sales")
    Agent.objects.create(livetok_id="x/9", name="Support")
    make_override(ada, limit("call_minutes", 0, agent="x/9"))

    assert outcome(tried(ana)) == outcome(tried(ana, agent="7")) == (ALLOWED, "allowed")
    denied = tried(ana, agent="x/9")
    assert outcome(denied) == (DENIED, "call_minutes_day")
    assert "with agent Support" in text_of(denied)


def test_what_is_tried_leaves_nothing_behind(ana, ada, livetok: LiveTok):
    use(livetok, 5)
    models = (Session, WebhookEvent, DailyUsage, Customer, Agent, Channel, Tier)
    premium = make_tier("premium")
    before = [list(model.objects.order_by("pk").values()) for model in models]

    tried(ana, tier=premium.slug, used_call_minutes_day="19", used_sessions_month="3", used_concurrent_sessions="2")
    tried(ana, number="+15550009999")
    tried(ana, number="", tier=premium.slug)

    assert [list(model.objects.order_by("pk").values()) for model in models] == before


def test_as_if_the_tier_were_another_its_limits_channels_and_context_count_and_overrides_stay(ana, ada):
    chat = make_tier("chat", limit("call_minutes", 60), context={"hello": "world"}, call_hold_minutes=7)
    chat.allowed_channels.add(Channel.objects.get_or_create(slug="chat")[0])
    vip = make_tier("vip", limit("call_minutes", 60), context={"hello": "world"})

    assert outcome(tried(ana, tier="chat")) == (DENIED, "channel_not_allowed")
    page = tried(ana, tier="vip")
    answer = json.loads(sent_as_text(page))
    assert (answer["context"]["customer_tier"], answer["context"]["hello"]) == ("vip", "world")
    assert answer["limits"]["dailyCallMinutes"] == 60
    assert "Tier Vip as if" in text_of(page)
    make_override(ada, limit("call_minutes", 90))
    assert json.loads(sent_as_text(tried(ana, tier="vip")))["limits"]["dailyCallMinutes"] == 90
    assert vip.slug == "vip"


def test_as_if_the_tier_were_another_its_hold_counts(ana, ada, livetok: LiveTok):
    make_tier("holding", limit("call_minutes", 60), call_hold_minutes=30)
    livetok.begin(sessionId="open", kind="telephony", timestamp="2024-03-15T10:29:00Z")

    assert used_of(tried(ana)) != [30]
    assert used_of(tried(ana, tier="holding")) == [30]


def test_a_caller_who_is_no_customer_is_served_on_the_supposed_tier(ana, ada):
    set_policy(unknown_callers="deny", unknown_callers_tier=None)

    assert outcome(tried(ana, number="+15550009999")) == (DENIED, "unknown_caller")
    page = tried(ana, number="+15550009999", tier="free")
    assert outcome(page) == (ALLOWED, "allowed")
    assert "a new customer, whom the first call makes" in text_of(page)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (ALLOWED, "allowed")),
        ({"used_call_minutes_day": "19.9"}, (ALLOWED, "allowed")),
        ({"used_call_minutes_day": "20"}, (DENIED, "call_minutes_day")),
        ({"used_call_minutes_month": "50"}, (DENIED, "call_minutes_month")),
        ({"used_sessions_week": "2"}, (ALLOWED, "allowed")),
        ({"used_sessions_week": "3"}, (DENIED, "sessions_week")),
        ({"used_concurrent_sessions": "2"}, (DENIED, "concurrent_sessions")),
        # In place of what is used, not beside it: really, 5 minutes are used and one session is open.
        ({"used_call_minutes_day": "0", "used_concurrent_sessions": "1"}, (ALLOWED, "allowed")),
    ],
)
def test_as_if_so_much_were_used(ana, livetok: LiveTok, given, expected):
    tier = make_tier(
        "free",
        *(limit("call_minutes", 20), limit("call_minutes", 50, "month")),
        *(limit("sessions", 3, "week"), limit("concurrent_sessions", 2)),
    )
    make_customer(tier)
    use(livetok, 5)
    livetok.begin(sessionId="open", kind="telephony", timestamp="2024-03-15T10:20:00Z")

    assert outcome(tried(ana, **given)) == expected


def test_what_is_supposed_is_told_beside_the_outcome(ana, ada):
    page = tried(ana, used_call_minutes_day="20", used_sessions_month="0", channel="telephony")
    assert "As if used Call minutes today 20, Sessions this month 0 Decided as at" in text_of(page)
    assert "As if used" not in text_of(tried(ana))


def test_a_top_up_lifts_what_is_supposed_to_be_used_up(ana, ada):
    assert outcome(tried(ana, used_call_minutes_day="20")) == (DENIED, "call_minutes_day")
    TopUp.objects.create(customer=ada, metric="call_minutes", amount=30)
    assert outcome(tried(ana, used_call_minutes_day="20")) == (ALLOWED, "allowed")


def test_what_is_supposed_counts_on_the_channel_and_in_place_of_what_is_held(ana, livetok: LiveTok):
    tier = make_tier("free", limit("call_minutes", 60), limit("call_minutes", 30, channel="telephony"))
    make_customer(tier)
    livetok.begin(sessionId="open", kind="whatsapp", timestamp="2024-03-15T10:00:00Z")

    assert used_of(tried(ana)) == [30, 0]
    page = tried(ana, used_call_minutes_day="40")
    assert used_of(page) == [40, 40]
    assert outcome(page) == (DENIED, "call_minutes_day")
    assert outcome(tried(ana, channel="whatsapp", used_call_minutes_day="40")) == (ALLOWED, "allowed")


def test_a_moment_is_livetoks_clock_and_what_is_stored_of_its_day_is_used(ana, ada, livetok: LiveTok):
    make_override(ada, limit("call_minutes", 0), valid_from="2024-03-16T00:00:00Z")
    use(livetok, 7, timestamp="2024-03-14T08:00:00Z")
    use(livetok, 8, timestamp="2024-03-14T15:00:00Z")

    yesterday = tried(ana, moment="2024-03-14T11:00")
    assert (outcome(yesterday), used_of(yesterday)) == ((ALLOWED, "allowed"), [15])
    assert "Decided as at Thu 14 Mar 2024, 11:00" in text_of(yesterday)
    assert outcome(tried(ana, moment="2024-03-16T11:00")) == (DENIED, "call_minutes_day")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"moment": "soon"}, "Give a time such as"),
        ({"moment": "9998-01-01T00:00"}, "Give a time between 1970 and 2199."),
        ({"channel": "fax"}, "There is no channel “fax”."),
        ({"agent": "nobody"}, "There is no agent “nobody”."),
        ({"tier": "gold"}, "There is no such tier any more."),
        ({"used_call_minutes_day": "-1"}, "Give 0 or more."),
        ({"used_call_minutes_day": "nan"}, "Give a number such as 19.5."),
        ({"used_sessions_day": "1.5"}, "Give a whole number such as 3."),
        ({"used_sessions_day": "9" * 30}, "Give 2,147,483,647 at most."),
        ({"session": "9" * 30}, "The address names no session. Clear all."),
    ],
)
def test_what_cannot_be_tried_is_said_at_its_field(ana, ada, given, words):
    page = ana.get("/reports/try/", {"number": NUMBER, **given})

    assert page.status_code == 400
    assert words in text_of(page)
    assert "tried" not in page.context


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("2023-10-29T02:30", "Sun 29 Oct 2023, 02:30, for the first time"),
        ("2023-10-29T02:30:00+02:00", "Sun 29 Oct 2023, 02:30, for the first time"),
        ("2023-10-29T02:30:00+01:00", "Sun 29 Oct 2023, 02:30, for the second time"),
        ("2023-03-26T02:30", "Sun 26 Mar 2023, 03:30"),
        ("2023-10-29T03:30", "Sun 29 Oct 2023, 03:30"),
    ],
)
def test_an_hour_that_comes_twice_or_never_is_one_of_those_that_docs_say(ana, ada, settings, given, words):
    settings.TIME_ZONE = "Europe/Berlin"
    assert f"Decided as at {words} " in text_of(tried(ana, moment=given)).replace("days are", " days are")


def test_a_number_that_cannot_be_read_is_said(ana, ada):
    # One character that is read as eighteen.
    page = tried(ana, number="\ufdfa" * 200)

    assert "The begin's number could not be read: taken as missing." in text_of(page)
    assert "Caller withheld" in text_of(page)


def test_a_session_is_tried_again_with_todays_settings_and_what_was_used_then(ana, ada, livetok: LiveTok):
    use(livetok, 20, timestamp="2024-03-14T08:00:00Z")
    assert livetok.begin(sessionId="denied", kind="telephony", timestamp="2024-03-14T11:00:00Z")["allowed"] is False
    make_override(ada, limit("call_minutes", 25))
    use(livetok, 24, timestamp="2024-03-14T15:00:00Z")
    denied = the_session("denied")

    page = ana.get(f"/reports/sessions/{denied.pk}/")
    (address,) = re.findall(r'href="([^"]+)">Try again with today', page.content.decode())
    again = ana.get(unescape(address))

    assert outcome(again) == (ALLOWED, "allowed")
    assert used_of(again) == [20]
    assert "25 min customer's override, hard 20 min 5 min" in text_of(again)
    assert 'value="2024-03-14T11:00:00"' in again.content.decode()


def test_a_session_that_is_tried_again_does_not_count_itself(ana, livetok: LiveTok):
    make_customer(make_tier("free", limit("sessions", 1, channel="telephony"), limit("sessions", 9)))
    use(livetok, 5)
    page = ana.get(f"/reports/sessions/{the_session('used 5').pk}/")
    (address,) = re.findall(r'href="([^"]+)">Try again with today', page.content.decode())

    again = ana.get(unescape(address))

    assert outcome(again) == (ALLOWED, "allowed")
    assert used_of(again, "sessions_day") == [0, 0]
    assert outcome(tried(ana, moment="2024-03-15T08:00")) == (DENIED, "sessions_day")


def test_a_customers_page_leads_to_the_number_or_the_id_filled_in(ana, ada):
    def link(client: Client) -> list[str]:
        page = client.get(f"/reports/customers/{ada.pk}/").content.decode()
        return re.findall(r'href="([^"]+)">Try a call', page)

    masked = staff("viewers", "vic")
    assert link(ana) == ["/reports/try/?number=%2B1234567890"]
    # An address with the number would tell it.
    assert link(masked) == ["/reports/try/?customer_id=crm-1"]
    assert "Caller Ada" in text_of(ana.get(link(ana)[0]))
    assert "Caller Ada" in text_of(masked.get(link(masked)[0]))
    Customer.objects.update(external_id=None)
    assert link(masked) == []


def test_who_may_not_see_numbers_sees_none_of_an_answer(ana, ada, livetok: LiveTok):
    Tier.objects.update(context={"call": "+44 20 7946 0000"})
    livetok.begin(sessionId="one", kind="telephony", timestamp=NOW.isoformat())
    masked = staff("viewers", "vic")

    assert "7946" in tried(ana).content.decode()
    assert "7946" not in tried(masked).content.decode()
    page = masked.get(f"/reports/sessions/{the_session('one').pk}/").content.decode()
    assert "Try again" not in page


def test_whoever_may_see_sessions_may_try_and_whoever_may_change_them_may_play(ana, ada):
    viewer, manager, nobody = staff("viewers", "vic"), staff("managers", "max"), staff(None, "nobody")

    assert nobody.get("/reports/try/").status_code == 403
    assert "Play it" not in text_of(tried(viewer))
    assert viewer.post("/reports/try/play/", {"number": NUMBER, "minutes": "5"}).status_code == 403
    assert not Session.objects.exists()
    assert "Play it" in text_of(tried(manager))
    assert manager.get("/reports/try/play/").status_code == 302
    assert not Session.objects.exists()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(manager.user)
    assert strict.post("/reports/try/play/", {"number": NUMBER, "minutes": "5"}).status_code == 403
    assert not Session.objects.exists()
    assert manager.post("/reports/try/play/", {"number": NUMBER, "minutes": "5"}).status_code == 302
    assert Session.objects.exists()


def test_what_is_played_goes_the_webhooks_way_and_counts_nothing(ana, ada):
    Agent.objects.create(livetok_id="7", name="Sales")
    sent = {"number": NUMBER, "channel": "whatsapp", "agent": "7", "tier": "free", "used_call_minutes_day": "99"}
    played = ana.post("/reports/try/play/", {**sent, "minutes": "2.5"})

    session = Session.objects.get()
    assert (played.status_code, played.headers["Location"]) == (302, f"/reports/sessions/{session.pk}/")
    assert [str(message) for message in get_messages(played.wsgi_request)] == [
        "Played as test traffic: let in, and ended. It uses and counts nothing."
    ]
    # "As if" is not for what is played.
    assert (session.is_test, session.allowed, session.customer, session.duration_seconds) == (True, True, ada, 150)
    assert (session.started_at, session.ended_at) == (NOW - timedelta(seconds=150), NOW)
    assert (session.channel_id, session.agent_id, session.flags) == ("whatsapp", "7", "test")
    assert Agent.objects.get().name == "Sales"
    assert list(WebhookEvent.objects.values_list("event", "verdict", "status", "key", "is_test").order_by("pk")) == [
        ("session_begin", "accepted", 200, "Played by ana", True),
        ("session_end", "accepted", 200, "Played by ana", True),
    ]
    assert not DailyUsage.objects.exists()
    assert_usage_is_sound()
    page = ana.get(f"/reports/sessions/{session.pk}/")
    assert "Played by ana" in text_of(page)


def test_what_is_played_and_denied_gets_no_end_and_an_unknown_caller_stays_unknown(ana, ada):
    make_override(ada, limit("call_minutes", 0))
    ana.post("/reports/try/play/", {"number": NUMBER, "minutes": "5"})
    assert (the_session(Session.objects.get().session_id, is_test=True).state_at(NOW), Session.objects.count()) == (
        Session.State.DENIED,
        1,
    )

    ana.post("/reports/try/play/", {"number": "+15550009999", "minutes": "5"})
    assert Customer.objects.count() == 1
    ana.post("/reports/try/play/", {"customer_id": "crm-1", "minutes": "5"})
    assert Session.objects.filter(customer=ada).count() == 2


def test_a_length_that_is_none_is_said_and_nothing_is_played(ana, ada):
    page = ana.post("/reports/try/play/", {"number": NUMBER, "minutes": "long"})

    assert page.status_code == 400
    assert "Give a number of minutes, such as 5." in text_of(page)
    assert not Session.objects.exists()


def test_what_is_played_is_not_livetoks_first_begin(ana, ada):
    ana.post("/reports/try/play/", {"number": NUMBER, "minutes": "5"})

    assert newest_of_all() == Heard()
    steps = ana.get("/admin/").context["steps"]
    assert [step.is_done for step in steps if step.name in ("Tell LiveTok", "First begin")] == [False, False]


def test_what_is_played_is_no_sign_of_livetoks(ana, ada, livetok: LiveTok):
    with time_machine.travel(NOW - timedelta(hours=2), tick=False):
        livetok.begin()

    ana.post("/reports/try/play/", {"number": NUMBER, "minutes": "5"})

    assert silence_at(timezone.now()).minutes == 120
