"""Open, ended, denied, missing its end: states, durations, ends that differ, and what is flagged."""

import itertools
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from customers.models import Channel, Customer
from sessions_app.models import DailyUsage, Session, SupersededEnd, WebhookEvent
from sessions_app.recording.by_staff import declare_missing
from tests.builders import (
    LiveTok,
    assert_usage_is_sound,
    begin_body,
    end_body,
    limit,
    make_channel,
    make_customer,
    make_tier,
    moment,
    the_session,
)

BEGIN = moment("2024-03-15T10:30:00Z")
STATES = ["open", "ended", "denied", "missing_end"]


def at(seconds: float) -> str:
    """A timestamp so many seconds after the sample begin."""
    return (BEGIN + timedelta(seconds=seconds)).isoformat()


def state(session_id: str = "123", after: timedelta = timedelta(0)) -> str:
    return the_session(session_id).state_at(timezone.now() + after)


def counted() -> tuple[int, int]:
    """Sessions and seconds that are counted, of all customers and days; every sum as its recount says."""
    assert_usage_is_sound()
    rows = list(DailyUsage.objects.all())
    return sum(row.sessions for row in rows), sum(row.seconds for row in rows)


def sent_bytes(changes: dict) -> bytes:
    return json.dumps(end_body(**changes)).encode()


def deny_everybody() -> None:
    make_customer(status="paused")


# The ways between states


def test_a_session_is_open_and_then_ended(livetok: LiveTok):
    livetok.begin()
    session = the_session()
    assert (state(), session.ended_at, session.duration_seconds, session.allowed) == ("open", None, None, True)
    assert counted() == (1, 0)

    livetok.end()
    session = the_session()
    assert (state(), session.started_at, session.ended_at) == ("ended", BEGIN, moment(at(300)))
    assert (session.duration_seconds, session.flags) == (300, "")
    assert counted() == (1, 300)


def test_a_missing_end_counts_as_a_session_and_charges_no_minutes_and_a_true_end_still_wins(livetok: LiveTok):
    livetok.begin()
    assert state(after=timedelta(hours=24)) == "missing_end"
    assert counted() == (1, 0)

    livetok.end()
    assert state(after=timedelta(hours=24)) == "ended"
    assert counted() == (1, 300)


@pytest.mark.parametrize(("kind", "longest"), [("telephony", timedelta(hours=4)), ("web", timedelta(hours=24))])
def test_pages_call_it_missing_when_we_received_it_longer_ago_than_the_channels_longest_session(
    livetok: LiveTok, kind, longest
):
    """By our clock, whenever LiveTok says that it began."""
    livetok.begin(kind=kind, timestamp="2020-01-01T00:00:00Z")
    received = the_session().begin_received_at

    assert the_session().state_at(received + longest - timedelta(microseconds=1)) == "open"
    assert the_session().state_at(received + longest) == "missing_end"


def test_the_longest_session_is_stored_at_the_decision(livetok: LiveTok):
    livetok.begin(kind="telephony")
    Channel.objects.update(longest_session_minutes=1)
    livetok.begin(sessionId="124", kind="telephony")

    assert state(after=timedelta(minutes=2)) == "open"
    assert state("124", after=timedelta(minutes=2)) == "missing_end"


def test_staff_can_declare_an_end_missing_at_once(livetok: LiveTok):
    user = User.objects.create(username="eve")
    make_customer(make_tier("premium", limit("concurrent_sessions", 1)))
    livetok.begin()
    assert livetok.begin(sessionId="124")["allowed"] is False

    assert declare_missing(Session.objects.values_list("pk", flat=True), user) == 1
    assert declare_missing(Session.objects.values_list("pk", flat=True), user) == 0

    session = the_session()
    assert (state(), session.declared_missing_by) == ("missing_end", user)
    assert abs(timezone.now() - session.declared_missing_at) < timedelta(minutes=1)
    assert (state("124"), the_session("124").declared_missing_at) == ("denied", None)
    assert livetok.begin(sessionId="125")["allowed"]
    livetok.end()
    assert state() == "ended"
    assert counted() == (2, 300)


def test_an_ended_session_is_not_declared_missing(livetok: LiveTok):
    livetok.begin()
    livetok.end()

    assert declare_missing([the_session().pk], User.objects.create(username="eve")) == 0
    assert the_session().declared_missing_at is None


def test_every_session_is_in_exactly_one_state_and_the_database_agrees(livetok: LiveTok):
    """The queries that pages filter by are the same rule as the row's own."""
    allowed, denied = make_customer(), make_customer(Customer.objects.get().tier, "+4915111111111", status="paused")
    numbers = [allowed.numbers.get().key, denied.numbers.get().key]
    durations = [..., None, "?", -5, 0, 1, 86400, 86401]
    for index, (number, duration) in enumerate(itertools.product(numbers, durations)):
        livetok.begin(sessionId=str(index), phoneNumber=number)
        livetok.end(sessionId=str(index), phoneNumber=number, duration=duration)
        livetok.end(sessionId=f"only-{index}", phoneNumber=number, duration=duration)
    livetok.begin(sessionId="open", kind="telephony")
    livetok.begin(sessionId="later", kind="web")
    livetok.begin(sessionId="denied", phoneNumber=numbers[1])
    livetok.begin(sessionId="declared")
    declare_missing([the_session("declared").pk], User.objects.create(username="eve"))
    received = the_session("open").begin_received_at

    seen = set()
    for passed in (timedelta(0), timedelta(hours=4), timedelta(hours=4, microseconds=-1), timedelta(hours=25)):
        our_now = received + passed
        by_query = {name: set(Session.objects.in_state(name, our_now)) for name in STATES}
        by_row = {name: {each for each in Session.objects.all() if each.state_at(our_now) == name} for name in STATES}
        assert by_query == by_row
        assert sum(len(each) for each in by_query.values()) == Session.objects.count()
        seen |= {name for name in STATES if by_row[name]}
    assert seen == set(STATES)


@pytest.mark.only("sqlite")
def test_open_sessions_are_looked_for_among_those_without_an_end_alone(db):
    now = timezone.now()

    everybodys = Session.objects.in_state("open", now).explain()
    of_one = Session.objects.filter(customer=1).in_state("open", now).explain()

    assert "session_without_end_by_missing (missing_from>?)" in everybodys
    assert "session_without_end (customer_id=? AND open_until>?)" in of_one


# Denied


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (1, "ended"),
        (300, "ended"),
        (86400, "ended"),
        (0.3, "ended"),
        (0, "denied"),
        (..., "denied"),
        (None, "denied"),
        ("?", "denied"),
        (-5, "denied"),
        (86401, "denied"),
    ],
)
@pytest.mark.parametrize("first", ["begin", "end"])
def test_a_denied_session_with_a_stated_usable_duration_did_take_place(livetok: LiveTok, duration, expected, first):
    """The same whichever came first."""
    deny_everybody()
    events = [begin_body(), end_body(duration=duration)]
    for body in events if first == "begin" else events[::-1]:
        assert livetok.send(body).status_code == 200

    session = the_session()
    assert (state(), state(after=timedelta(days=9))) == (expected, expected)
    assert (session.allowed, session.reason) == (False, "customer_paused")
    assert ("denied_but_took_place" in session.flag_list) is (expected == "ended")
    assert "duration_derived" not in session.flag_list
    assert counted() == ((1, session.duration_seconds) if expected == "ended" else (0, 0))


def test_a_denied_session_is_never_open_or_missing_its_end(livetok: LiveTok):
    deny_everybody()
    livetok.begin()

    assert state() == state(after=timedelta(days=9)) == "denied"
    assert counted() == (0, 0)


def test_a_late_begin_that_denies_turns_ended_to_denied(livetok: LiveTok):
    deny_everybody()
    livetok.end(duration=...)
    assert state() == "ended"
    assert counted() == (1, 0)

    livetok.begin()
    assert state() == "denied"
    assert the_session().flags == ""
    assert counted() == (0, 0)


def test_a_corrected_end_of_0_turns_ended_to_denied(livetok: LiveTok):
    deny_everybody()
    livetok.begin()
    livetok.end(duration=300)
    assert state() == "ended"

    livetok.end(duration=0, timestamp=at(301))
    assert state() == "denied"
    assert the_session().flag_list == ["duration_differs", "ends_differ"]
    assert counted() == (0, 0)


# An end without a begin


def test_an_end_without_a_begin_is_an_ended_session_that_counts(livetok: LiveTok):
    livetok.end(duration=300)

    session = the_session()
    assert (state(), session.flags, session.allowed, session.reason) == ("ended", "no_begin", None, None)
    assert (session.started_at, session.ended_at) == (BEGIN, moment(at(300)))
    assert counted() == (1, 300)


def test_the_late_begin_fills_in_and_clears_the_flag(livetok: LiveTok):
    livetok.end(duration=300)
    answer = livetok.begin(timestamp=at(-20))

    session = the_session()
    assert answer["allowed"]
    assert (state(), session.flags, session.allowed, session.reason) == ("ended", "", True, "allowed")
    assert (session.started_at, session.duration_seconds) == (moment(at(-20)), 300)
    assert counted() == (1, 300)


@pytest.mark.parametrize("duration", [..., -5, 86401, "?"])
def test_an_end_without_a_begin_and_without_a_usable_duration_takes_no_time(livetok: LiveTok, duration):
    livetok.end(duration=duration)

    assert the_session().started_at == the_session().ended_at == moment(at(300))
    assert counted() == (1, 0)


# Durations


def test_a_call_occupies_begin_plus_duration_and_ended_at_is_the_ends_timestamp(livetok: LiveTok):
    livetok.begin()
    livetok.end(timestamp=at(330), duration=290)

    session = the_session()
    assert (session.started_at, session.ended_at, session.duration_seconds) == (BEGIN, moment(at(330)), 290)
    assert counted() == (1, 290)


@pytest.mark.parametrize("duration", [..., None])
def test_a_missing_duration_is_end_minus_begin(livetok: LiveTok, duration):
    livetok.begin()
    livetok.end(duration=duration, timestamp=at(123))

    assert (the_session().duration_seconds, the_session().flags) == (123, "duration_derived")
    assert counted() == (1, 123)


def test_a_derived_duration_that_is_negative_is_shown_and_not_counted(livetok: LiveTok):
    livetok.begin()
    livetok.end(duration=..., timestamp=at(-5))

    assert the_session().duration_seconds == -5
    assert the_session().flag_list == ["duration_derived", "duration_invalid"]
    assert counted() == (1, 0)


def test_an_unreadable_duration_is_not_derived_and_not_counted(livetok: LiveTok):
    livetok.begin()
    livetok.end(duration="five minutes")

    assert (the_session().duration_seconds, the_session().flags) == (None, "end_duration_unreadable")
    assert state() == "ended"
    assert counted() == (1, 0)


@pytest.mark.parametrize(("duration", "is_counted"), [(-1, False), (0, True), (86400, True), (86401, False)])
def test_a_duration_that_is_negative_or_over_24_hours_is_shown_flagged_and_not_counted(
    livetok: LiveTok, duration, is_counted
):
    livetok.begin()
    livetok.end(duration=duration, timestamp=at(max(duration, 0)))

    session = the_session()
    assert session.duration_seconds == duration
    assert session.flags == ("" if is_counted else "duration_invalid")
    assert counted() == (1, duration if is_counted else 0)


@pytest.mark.parametrize(
    ("seconds_apart", "is_flagged"), [(300, False), (360, False), (240, False), (360.5, True), (239.5, True)]
)
def test_a_duration_more_than_60_s_off_the_timestamps_is_flagged_and_counted_as_livetok_says(
    livetok: LiveTok, seconds_apart, is_flagged
):
    livetok.begin()
    livetok.end(duration=300, timestamp=at(seconds_apart))

    assert the_session().flags == ("duration_differs" if is_flagged else "")
    assert counted() == (1, 300)


@pytest.mark.parametrize(("begin_at", "end_at"), [(..., at(999)), (at(0), ...), (..., ...)])
def test_a_duration_is_compared_only_with_two_stated_timestamps(livetok: LiveTok, begin_at, end_at):
    livetok.begin(timestamp=begin_at)
    livetok.end(timestamp=end_at, duration=300)

    assert the_session().flags == ""


def test_without_a_timestamp_our_clock_counts(livetok: LiveTok):
    livetok.begin(timestamp=...)
    livetok.end(timestamp="soon", duration=...)

    session = the_session()
    assert session.started_at == session.begin_received_at
    assert session.ended_at == session.end_received_at
    assert session.flag_list == ["duration_derived", "end_time_unreadable"]
    assert 0 <= session.duration_seconds < 60


def test_flags_are_judged_anew_when_the_begin_or_the_end_changes(livetok: LiveTok):
    livetok.end(duration=86401, timestamp=at(100), kind=[])
    assert the_session().flag_list == ["duration_invalid", "end_channel_unreadable", "no_begin"]

    livetok.end(duration=20, timestamp=at(100), agentId=[])
    assert the_session().flag_list == ["end_agent_unreadable", "ends_differ", "no_begin"]

    livetok.begin(kind=[])
    assert the_session().flag_list == [
        "begin_channel_unreadable",
        "duration_differs",
        "end_agent_unreadable",
        "ends_differ",
    ]

    livetok.end(duration=110, timestamp=at(110))
    assert the_session().flag_list == ["begin_channel_unreadable", "ends_differ"]


def test_how_far_the_clocks_are_apart_is_shown_and_not_punished(livetok: LiveTok):
    livetok.begin(timestamp=(timezone.now() + timedelta(hours=2)).isoformat())
    livetok.begin(sessionId="124", timestamp=...)

    session = the_session()
    assert session.allowed
    assert session.skew < timedelta(hours=-1, minutes=-59)
    assert (session.flags, the_session("124").skew) == ("", None)


# Ends that differ: (the one that counts, the other)
ENDS_THAT_DIFFER = {
    "a usable duration beats none": ({"duration": 10, "timestamp": at(1)}, {"duration": ..., "timestamp": at(99)}),
    "a usable duration beats an unreadable one": ({"duration": 0, "timestamp": at(1)}, {"duration": "?"}),
    "a usable duration beats a negative one": ({"duration": 0, "timestamp": at(1)}, {"duration": -9}),
    "a usable duration beats one over 24 hours": ({"duration": 10, "timestamp": at(1)}, {"duration": 99999}),
    "then the later": ({"duration": 10, "timestamp": at(400)}, {"duration": 300, "timestamp": at(399)}),
    "then the later, of two without a usable one": (
        {"duration": ..., "timestamp": at(400)},
        {"duration": -1, "timestamp": at(399)},
    ),
    "then the longer, at the same time": ({"duration": 301}, {"duration": 300}),
    "then the longer, where one states no time": ({"duration": 301, "timestamp": ...}, {"duration": 300}),
    "then the longer, where the other states no time": ({"duration": 301}, {"duration": 300, "timestamp": "?"}),
    "then the longer, of two that cannot be counted": ({"duration": -1}, {"duration": -2}),
    "then a stated one, of two that cannot be counted": ({"duration": -1}, {"duration": ...}),
    "then the greater body": ({"agentName": "b"}, {"agentName": "a"}),
}


@pytest.mark.parametrize("rule", ENDS_THAT_DIFFER)
@pytest.mark.parametrize("has_begin", [True, False])
@pytest.mark.parametrize("winner_is_first", [True, False])
def test_of_two_ends_that_differ_a_fixed_rule_picks_the_one_that_counts(
    livetok: LiveTok, rule, has_begin, winner_is_first
):
    winner, loser = ENDS_THAT_DIFFER[rule]
    if has_begin:
        livetok.begin()
    for changes in (winner, loser) if winner_is_first else (loser, winner):
        livetok.end(**changes)

    session = the_session()
    assert "ends_differ" in session.flag_list
    assert bytes(session.end_body) == sent_bytes(winner)
    kept = SupersededEnd.objects.get()
    assert (kept.session, bytes(kept.body)) == (session, sent_bytes(loser))
    assert [event.verdict for event in WebhookEvent.objects.order_by("pk")][-2:] == ["accepted", "corrected"]
    assert counted()[0] == 1


def test_the_correction_counts_instead_of_what_it_corrects(livetok: LiveTok):
    livetok.begin()
    livetok.end(duration=300)
    livetok.end(duration=200, timestamp=at(310))

    session = the_session()
    assert (session.duration_seconds, session.ended_at) == (200, moment(at(310)))
    assert counted() == (1, 200)
    kept = SupersededEnd.objects.get()
    assert (kept.stated_seconds, kept.route) == (300, "")
    assert kept.received_at < kept.recorded_at


def test_a_superseded_end_keeps_when_it_came(livetok: LiveTok):
    livetok.begin()
    livetok.end(duration=300)
    received = the_session().end_received_at
    livetok.end(duration=200, timestamp=at(310))

    assert SupersededEnd.objects.get().received_at == received
    assert the_session().end_received_at > received


def test_the_same_end_is_a_redelivery_whether_it_counts_or_not(livetok: LiveTok):
    livetok.begin()
    for duration in (300, 200, 300, 200):
        livetok.end(duration=duration)

    assert (the_session().duration_seconds, SupersededEnd.objects.count()) == (300, 1)
    assert [event.verdict for event in WebhookEvent.objects.order_by("pk")] == [
        "accepted",
        "accepted",
        "corrected",
        "redelivered",
        "redelivered",
    ]
    assert counted() == (1, 300)


def test_every_order_of_three_ends_gives_the_same(livetok: LiveTok):
    """Compared pair by pair these three would beat each other in a circle."""
    ends = [
        end_body(duration=100, timestamp=at(400)),
        end_body(duration=200, timestamp=...),
        end_body(duration=300, timestamp=at(300)),
    ]
    results = set()
    for number, order in enumerate(itertools.permutations([*ends, begin_body()])):
        for body in order:
            assert livetok.send({**body, "sessionId": str(number)}).status_code == 200
        session = the_session(str(number))
        results.add((session.duration_seconds, session.stated_seconds, session.flags))
        assert session.superseded_ends.count() == 2
    assert len(results) == 1
    assert_usage_is_sound()


def test_ends_that_differ_come_by_both_addresses(livetok: LiveTok):
    """A stored end that named no event is read again as what it was."""
    bodies = [end_body(event=..., duration=seconds) for seconds in (100, 200, 300)]
    for body in (bodies[1], bodies[2], bodies[0]):
        assert livetok.send(body, "/webhooks/livetok/end").status_code == 200

    assert (the_session().duration_seconds, the_session().end_route) == (300, "end")
    assert sorted(row.stated_seconds for row in SupersededEnd.objects.all()) == [100, 200]


@pytest.mark.parametrize("depth", [97, 98, 500, 900, 3000])
def test_an_end_that_was_taken_can_be_compared_with_the_next(livetok: LiveTok, depth):
    """However deep its JSON is nested: whatever is stored can be read again."""
    nested = b'{"event":"session_end","sessionId":"123","x":' + b"[" * depth + b"]" * depth + b',"duration":%d}'
    statuses = {livetok.send(nested % seconds).status_code for seconds in (10, 20, 15)}

    assert statuses == ({200} if depth < 99 else {400})


def test_a_changed_channel_makes_no_difference_to_a_session_that_has_only_its_end(livetok: LiveTok):
    """What counts toward call minutes is stored; a correction is judged by that."""
    livetok.end(duration=200)
    make_channel("whatsapp", counts_toward_call_minutes=False)
    livetok.end(duration=300)

    assert the_session().counts_toward_call_minutes
    assert DailyUsage.objects.get().call_seconds == 300


def test_a_session_that_has_only_its_end_follows_a_correction_to_another_channel(livetok: LiveTok):
    livetok.end(duration=200)
    livetok.end(duration=300, kind="chat", agentId=2)

    session = the_session()
    assert (session.channel_id, session.agent_id, session.counts_toward_call_minutes) == ("chat", "2", False)
    assert [(row.channel, row.seconds, row.call_seconds) for row in DailyUsage.objects.filter(sessions=1)] == [
        ("chat", 300, 0)
    ]
    assert_usage_is_sound()
