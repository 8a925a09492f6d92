"""LiveTok names channels and agents, and whoever has a key could name any number: some make themselves, no more."""

import json
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from customers.first_sight import MOST_AGENTS, MOST_CHANNELS, OTHER
from customers.models import Agent, Channel
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.payloads import read_event
from sessions_app.models import Session
from sessions_app.recording.by_reading import decide_by_reading
from sessions_app.webhook.preview import preview
from tests.api import Api
from tests.builders import (
    LiveTok,
    assert_usage_is_sound,
    begin_body,
    limit,
    make_channel,
    make_customer,
    make_tier,
    the_session,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def full(livetok: LiveTok) -> LiveTok:
    """LiveTok, where as many channels and agents are there as make themselves."""
    Channel.objects.all().delete()
    Channel.objects.bulk_create(Channel(slug=f"c{number}") for number in range(MOST_CHANNELS))
    Agent.objects.bulk_create(Agent(livetok_id=f"a{number}", name="Old") for number in range(MOST_AGENTS))
    return livetok


def test_livetoks_own_channels_are_there_before_the_first_session_and_stay_as_staff_set_them(db):
    known = {"telephony": 4 * 60, "web": 24 * 60, "whatsapp": 24 * 60}
    assert dict(Channel.objects.values_list("slug", "longest_session_minutes")) == known
    Channel.objects.get(slug="web").delete()
    Channel.objects.filter(slug="telephony").update(label="Phone", longest_session_minutes=5)

    import_module("customers.migrations.0008_known_channels").add(apps, connection.schema_editor())

    assert dict(Channel.objects.values_list("slug", "longest_session_minutes")) == known | {"telephony": 5}
    assert str(Channel.objects.get(slug="telephony")) == "Phone"


def test_the_last_one_that_there_is_room_for_is_made(full: LiveTok):
    Channel.objects.get(slug="c0").delete()
    Agent.objects.get(livetok_id="a0").delete()

    full.begin(sessionId="last", kind="new", agentId=7, agentName="New")
    full.begin(sessionId="next", kind="newer", agentId=8, agentName="Newer")

    assert (the_session("last").channel_id, the_session("last").agent_id) == ("new", "7")
    assert (the_session("next").channel_id, the_session("next").agent_id) == (OTHER, OTHER)


def test_what_is_new_beyond_is_other_and_the_body_keeps_what_livetok_said(full: LiveTok):
    for number in range(3):
        assert full.begin(sessionId=f"s{number}", kind=f"new{number}", agentId=number, agentName="Eve")["allowed"]
        full.end(sessionId=f"s{number}", kind=f"new{number}", agentId=number, agentName="Eve")
        full.end(sessionId=f"only end {number}", kind=f"newer{number}", agentId=f"b{number}", agentName="Eve")

    assert Channel.objects.count() == MOST_CHANNELS + 1
    assert Agent.objects.count() == MOST_AGENTS + 1
    assert Agent.objects.get(livetok_id=OTHER).name == ""
    assert {(row.channel_id, row.agent_id) for row in Session.objects.all()} == {(OTHER, OTHER)}
    assert json.loads(bytes(the_session("s2").begin_body))["kind"] == "new2"
    assert {row["agent_id"] for row in Api("read").get("/api/v1/sessions/")["results"]} == {OTHER}
    assert_usage_is_sound()


def test_those_that_are_there_go_on_being_used(full: LiveTok):
    make_channel("by staff")

    full.begin(kind="c99", agentId="a999", agentName="Newest")
    full.begin(sessionId="124", kind="by staff", agentId="a0", agentName="Old")
    full.end(sessionId="125", kind="by staff", agentId="a1", agentName="Old")

    found = [(row.channel_id, row.agent_id) for row in Session.objects.order_by("pk")]
    assert found == [("c99", "a999"), ("by staff", "a0"), ("by staff", "a1")]
    assert Agent.objects.get(livetok_id="a999").name == "Newest"


def test_the_api_makes_any_and_livetok_uses_it(full: LiveTok):
    rows = [{"metric": "sessions", "period": "day", "amount": 5, "channel": "signal", "agent": "night"}]
    Api("manage").put("/api/v1/tiers/gold/", {"name": "Gold", "allowed_channels": ["matrix"], "limits": rows}, 201)

    full.begin(kind="signal", agentId="night")
    full.begin(sessionId="124", kind="matrix")

    assert (the_session().channel_id, the_session().agent_id) == ("signal", "night")
    assert the_session("124").channel_id == "matrix"


def test_a_tiers_channels_go_by_what_livetok_said(full: LiveTok):
    tier = make_tier()
    tier.allowed_channels.set([make_channel(OTHER)])
    make_customer(tier)

    full.begin(kind="new")
    full.begin(sessionId="124", kind=OTHER)

    assert (the_session().reason, the_session().channel_id) == ("channel_not_allowed", OTHER)
    assert (the_session("124").reason, the_session("124").channel_id) == ("allowed", OTHER)


def test_call_minutes_and_longest_session_are_those_of_other_however_it_is_decided(full: LiveTok):
    make_channel(OTHER, counts_toward_call_minutes=False, longest_session_minutes=7)
    make_customer(make_tier("premium", limit("call_minutes", 0)))
    now = timezone.now()
    body = begin_body(kind="new", timestamp=now.isoformat())
    event = read_event(json.dumps(body).encode(), route="", received_at=now, phone_region="")
    channels = Channel.objects.count()

    assert preview(json.dumps(body).encode(), now).answer["allowed"] is True
    given = decide_by_reading(event, Delivery())
    assert given.reason.admits
    assert given.decision.counts_toward_call_minutes is False
    assert given.decision.longest_session_seconds == 7 * 60
    assert Channel.objects.count() == channels

    assert full.begin(kind="new", timestamp=now.isoformat())["allowed"] is True
    session = the_session()
    assert session.counts_toward_call_minutes is False
    assert session.open_until == session.started_at + timedelta(minutes=7)


def test_looking_ahead_makes_no_other(full: LiveTok):
    body = json.dumps(begin_body(kind="chat")).encode()
    make_customer(make_tier("premium", limit("call_minutes", 0)))

    assert preview(body, timezone.now()).answer["allowed"] is False  # as `other` will count, and `chat` would not
    event = read_event(body, route="", received_at=timezone.now(), phone_region="")
    assert decide_by_reading(event, Delivery()).decision.counts_toward_call_minutes is True
    assert not Channel.objects.filter(slug=OTHER).exists()
    assert full.begin(kind="chat")["allowed"] is False


def test_a_corrected_end_on_another_channel_that_is_other_too_counts_as_it_did(full: LiveTok):
    full.end(kind="new", duration=60)
    Channel.objects.filter(slug=OTHER).update(counts_toward_call_minutes=False)

    full.end(kind="newer", duration=120)

    session = the_session()
    assert (session.channel_id, session.duration_seconds) == (OTHER, 120)
    assert session.counts_toward_call_minutes is True
    assert_usage_is_sound()
