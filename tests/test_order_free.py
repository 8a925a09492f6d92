"""Promise 2: whatever order and number of deliveries, the same events give the same sessions and the same usage.

Promised for one begin, however often delivered, and any ends of a session id, naming the same caller or none, where no
limit is in play. Every run is also recounted (promise 9).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from customers.defaults import make_defaults
from customers.models import Customer
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionEvent
from sessions_app.livetok.payloads import read_event
from sessions_app.models import DailyUsage, Session
from sessions_app.webhook.reception import receive
from tests.builders import assert_usage_is_sound, make_channel, make_customer, make_tier, set_policy
from tests.examples import examples

NOW = datetime(2024, 4, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Caller:
    """Whom events name: by any of several spellings of one number, or by LiveTok's customer id."""

    spellings: tuple[str, ...] = ()
    external_id: str | None = None


MADRID = Caller(("+34600000001", "+34 600 000-001", "whatsapp:+34600000001"))
AUCKLAND = Caller(("+64210000002", "0064 21 000 0002"), "crm-2")
COMPANYS_ZONE = Caller((), "crm-3")
PAUSED = Caller(("+34600000004",))
CHAT_ONLY = Caller(("+34600000005",))
STRANGER = Caller(("+15550000006", "tel:+1 555 000 0006"), "new-6")
STRANGER_BY_ID = Caller((), "new-7")
SIP = Caller(("sip:Front@Desk.example", "SIP:front@desk.example"))
NOBODY = Caller(("anonymous", "", "Withheld"))
KNOWN = (MADRID, AUCKLAND, COMPANYS_ZONE, PAUSED, CHAT_ONLY, NOBODY)
STRANGERS = (STRANGER, STRANGER_BY_ID, SIP)
# Test traffic makes no customer, but finds one whom live traffic has made: its strangers are others.
TEST_STRANGERS = (Caller(("+15550000008",)), Caller((), "new-9"))


@pytest.fixture
def customers(db):
    """Customers in three zones, two who are denied, and a policy that serves everybody else."""
    make_defaults()
    plain = make_tier("plain")
    make_customer(plain, MADRID.spellings[0], time_zone="Europe/Madrid")
    make_customer(plain, AUCKLAND.spellings[0], time_zone="Pacific/Auckland")
    Customer.objects.create(tier=plain, external_id=COMPANYS_ZONE.external_id)
    make_customer(plain, PAUSED.spellings[0], status="paused", time_zone="America/New_York")
    chat_only = make_tier("chat-only")
    chat_only.allowed_channels.add(make_channel("chat"))
    make_customer(chat_only, CHAT_ONLY.spellings[0])


@dataclass(frozen=True)
class Event:
    """What LiveTok delivers, however often. Our clock is fixed with it, since it may be all the time there is."""

    body: bytes
    route: str
    received_at: datetime

    def deliver(self) -> bytes:
        reply = receive(self.body, route=self.route, received_at=self.received_at, delivery=Delivery())
        assert reply.status == 200, reply.content
        return reply.content


# Around a change of the clock in Madrid and a month's end; midnights of Madrid, Auckland, New York and UTC.
BEGINS = [
    datetime(2024, 3, 31, 0, 59, 30, tzinfo=UTC),
    datetime(2024, 3, 30, 22, 58, tzinfo=UTC),
    datetime(2024, 3, 30, 10, 59, 59, tzinfo=UTC),
    datetime(2024, 3, 31, 23, 55, tzinfo=UTC),
    datetime(2024, 3, 31, 3, 50, tzinfo=UTC),
]
DURATIONS = [..., ..., None, 0, 1, 300, 300, 300.5, "300", 7200, 86_400, -5, 90_000, "soon", [], True]
END_OFFSETS = [..., 0, 300, 300, 310, 7200, 90_000, -600]


@st.composite
def session_plans(draw: st.DrawFn, session_id: str, is_test: bool = False) -> list[Event]:
    """The different events of one session id: at most one begin, and ends that may differ. Of each some that say the
    same and came at the same time, in envelopes of their own.
    """
    caller = draw(st.sampled_from(KNOWN + (TEST_STRANGERS if is_test else STRANGERS)))
    began_at = draw(st.sampled_from(BEGINS))
    ends = draw(st.integers(0, 3))
    has_begin = ends == 0 or draw(st.sampled_from([True, True, True, False]))
    names = draw(st.lists(st.sampled_from([True, True, False]), min_size=ends + 1, max_size=ends + 1))
    events: dict[bytes, Event] = {}
    first_to_say: dict[str, Event] = {}
    for index in range(0 if has_begin else 1, ends + 1):
        stated = began_at if index == 0 else _after(began_at, draw(st.sampled_from(END_OFFSETS)))
        if index == 0 and draw(st.sampled_from([False, False, True])):
            stated = None
        kind, is_second = "begin" if index == 0 else "end", draw(st.booleans())
        body = _body(
            kind,
            session_id=session_id,
            caller=caller if names[index] else NOBODY,
            spelling=draw(st.integers(0, 2)),
            stated=stated,
            duration=... if index == 0 else draw(st.sampled_from(DURATIONS)),
            channel=draw(st.sampled_from(["telephony", "telephony", "whatsapp", "chat", None])),
            agent=draw(st.sampled_from([1, 1, "7", None])),
            is_test=is_test,
            second_envelope=is_second,
        )
        received_at = began_at + timedelta(minutes=draw(st.integers(0, 20)) if index == 0 else 7 * index)
        event = Event(body, draw(st.sampled_from(["", kind])), received_at)
        first = first_to_say.setdefault(_said(body, received_at), event)
        for envelope in draw(ENVELOPES):
            enveloped = _in_envelope(body, envelope, stated)
            events[enveloped] = replace(first, body=enveloped)
    return list(events.values())


# The numbers of envelopes that an event is sent in. Their ids decide which body is the greater.
ENVELOPES = st.sampled_from([(None,), (None,), (1,), (None, 2), (3, 1)])


def _in_envelope(body: bytes, number: int | None, stated: datetime | None) -> bytes:
    """The body with an id, and a sending time where that is not the only time that it states."""
    if number is None:
        return body
    sent = {} if stated is None else {"created_at": (NOW + timedelta(minutes=number)).isoformat()}
    return json.dumps({"id": f"evt_{number}", **sent, **json.loads(body)}).encode()


def _said(body: bytes, received_at: datetime) -> str:
    event = read_event(body, route="", received_at=received_at)
    assert isinstance(event, SessionEvent)
    return event.said


def _after(began_at: datetime, offset: Any) -> datetime | None:
    return None if offset is ... else began_at + timedelta(seconds=offset)


def _body(
    kind: str,
    *,
    session_id: str,
    caller: Caller,
    spelling: int,
    stated: datetime | None,
    duration: Any,
    channel: str | None,
    agent: Any,
    is_test: bool,
    second_envelope: bool,
) -> bytes:
    number = caller.spellings[spelling % len(caller.spellings)] if caller.spellings else ...
    at = ... if stated is None else stated.isoformat()
    livemode = False if is_test else ...
    if second_envelope or (number is ... and caller.external_id):
        customer = {"phone": number, "id": caller.external_id or ...}
        time_name = "started_at" if kind == "begin" else "ended_at"
        data = {"session_id": session_id, "channel": channel, time_name: at, "duration": duration}
        data["customer"] = _without_blanks(customer)
        return _as_bytes({"type": f"session.{kind}", "livemode": livemode, "data": _without_blanks(data)})
    document = {"event": f"session_{kind}", "sessionId": session_id, "kind": channel, "agentId": agent}
    document |= {"phoneNumber": number, "timestamp": at, "duration": duration, "livemode": livemode}
    return _as_bytes(document)


def _without_blanks(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not ...}


def _as_bytes(document: dict[str, Any]) -> bytes:
    return json.dumps(_without_blanks(document)).encode()


# Test and live traffic share ids on purpose: they never meet.
SESSIONS = st.tuples(st.sampled_from(["a", "b", "7"]), st.sampled_from([False, False, True]))


@st.composite
def traffic(draw: st.DrawFn) -> list[Event]:
    """The different events of a few sessions."""
    sessions = draw(st.lists(SESSIONS, min_size=1, max_size=4, unique=True))
    return [event for session_id, is_test in sessions for event in draw(session_plans(session_id, is_test))]


@st.composite
def deliveries(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    """The events in any order, each at least once."""
    again = draw(st.lists(st.sampled_from(events), max_size=len(events)))
    return list(draw(st.permutations(events + again)))


@dataclass(frozen=True)
class World:
    """What events have left behind, without ids of ours and without what is said to depend on the order."""

    sessions: dict[tuple[str, bool, int], dict[str, Any]]
    usage: dict[tuple[Any, ...], tuple[int, int, int]]


# Ours alone, or an answer: a decision is made once, with what is known then. Of bodies that say the same, the first.
UNCOMPARED = {"id", "answer", "customer", "channel", "agent", "tier", "begin_body", "end_body"}


def the_world() -> World:
    sessions = {
        (session.session_id, session.is_test, session.number): _row(session)
        for session in Session.objects.select_related("customer", "tier").order_by("pk")
    }
    usage = {
        (_customer_key(row.customer), row.day, row.channel, row.agent): (row.sessions, row.seconds, row.call_seconds)
        for row in DailyUsage.objects.select_related("customer")
        if (row.sessions, row.seconds, row.call_seconds) != (0, 0, 0)
    }
    return World(sessions, usage)


def _row(session: Session) -> dict[str, Any]:
    columns = {
        field.attname: getattr(session, field.attname)
        for field in Session._meta.concrete_fields
        if field.name not in UNCOMPARED
    }
    return {
        **columns,
        "answer": _answer(session),
        "customer": _customer_key(session.customer),
        "tier": session.tier and session.tier.slug,
        "channel": session.channel_id,
        "agent": session.agent_id,
        "begin_said": session.begin_body and _said(bytes(session.begin_body), NOW),
        "end_said": session.end_body and _said(bytes(session.end_body), NOW),
        "state": session.state_at(NOW),
        "counted_seconds": session.counted_seconds,
        "other_ends": sorted(
            (_said(bytes(end.body), NOW), end.route, end.received_at, end.stated_seconds)
            for end in session.superseded_ends.all()
        ),
    }


def _answer(session: Session) -> Any:
    if session.answer is None:
        return None
    answer = json.loads(bytes(session.answer))
    del answer["context"]["limits_reset_at"]
    answer["context"].pop("call_minutes_used_today", None)
    return answer


def _customer_key(customer: Customer | None) -> Any:
    if customer is None:
        return None
    return tuple(customer.numbers.values_list("key", flat=True)), customer.external_id, customer.source


def play(events: Iterable[Event]) -> World:
    """Deliver the events to an empty Frontdesk; nothing is left of them afterwards."""
    with transaction.atomic():
        for event in events:
            event.deliver()
        assert_usage_is_sound()
        world = the_world()
        transaction.set_rollback(True)
    return world


def assert_same(one: World, other: World) -> None:
    assert _told_apart(one.sessions, other.sessions) == []
    assert one.usage == other.usage


def _told_apart(ones: dict[Any, dict[str, Any]], others: dict[Any, dict[str, Any]]) -> list[Any]:
    """Which columns of which sessions differ, so that a failure can be read."""
    return [
        (key, name, ones.get(key, {}).get(name), others.get(key, {}).get(name))
        for key in ones.keys() | others.keys()
        for name in ones.get(key, {}).keys() | others.get(key, {}).keys()
        if ones.get(key, {}).get(name) != others.get(key, {}).get(name)
    ]


def once(events: Iterable[Event]) -> list[Event]:
    """Those of the events that say what none before them says."""
    return list({_said(event.body, NOW): event for event in reversed(list(events))}.values())


def ends_first(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (b"begin" in event.body, event.body))


@pytest.mark.property
def test_any_order_and_any_duplication_give_the_same_sessions_and_usage(customers):
    @settings(max_examples=examples(0.4))
    @given(data=st.data(), unknown_callers=st.sampled_from(["serve", "deny"]))
    def check(data: st.DataObject, unknown_callers: str) -> None:
        set_policy(unknown_callers=unknown_callers)
        events = data.draw(traffic())
        shuffled = data.draw(deliveries(events))
        assert_same(play(shuffled), play(once(events)))

    check()


@pytest.mark.property
def test_every_order_of_one_sessions_events_gives_the_same(customers):
    @settings(max_examples=examples(0.15))
    @given(session_plans("a") | session_plans("a", is_test=True))
    def check(events: list[Event]) -> None:
        expected = play(once(events))
        for number in range(len(events)):
            turned = events[number:] + events[:number]
            assert_same(play(turned), expected)
            assert_same(play(reversed(turned)), expected)

    check()


def test_three_ends_that_beat_each_other_in_a_circle_are_ranked_alike_in_every_order(customers):
    """The late one beats the early one, which is longer than the one without a time, which is longer than the late."""

    def event(name: str, **values: Any) -> Event:
        document = {"event": f"session_{name}", "sessionId": "circle", "phoneNumber": MADRID.spellings[0], **values}
        return Event(_as_bytes(document), "", BEGINS[0])

    begin = event("begin", timestamp=BEGINS[0].isoformat())
    late = event("end", timestamp="2024-03-31T02:00:00Z", duration=10)
    early = event("end", timestamp="2024-03-31T01:00:00Z", duration=30)
    without_time = event("end", duration=20)

    worlds = [play(order) for order in permutations([begin, late, early, without_time])]

    assert {row["stated_seconds"] for world in worlds for row in world.sessions.values()} == {20}
    for world in worlds:
        assert_same(world, worlds[0])


def test_which_of_the_bodies_that_say_the_same_came_first_does_not_show(customers):
    """Of two ends alike in time and duration, one comes in two envelopes: as a lesser and as a greater body."""

    def event(number: int, **values: Any) -> Event:
        document = {"type": "session.end", "sessionId": "same", "timestamp": BEGINS[0].isoformat(), "duration": 300}
        return Event(_in_envelope(_as_bytes(document | values), number, BEGINS[0]), "", BEGINS[1])

    worlds = [play(order) for order in permutations([event(1), event(2, kind="chat"), event(3)])]

    for world in worlds:
        assert_same(world, worlds[0])
        assert [len(row["other_ends"]) for row in world.sessions.values()] == [1]


class Traffic(RuleBasedStateMachine):
    """Sessions begin and end while others are under way, and everything may be delivered again at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Event] = []
        self.delivered: dict[Event, bytes] = {}

    @initialize()
    def open_transaction(self) -> None:
        self.transaction = transaction.atomic()
        self.transaction.__enter__()

    @precondition(lambda self: len(self.waiting) < 12)
    @rule(data=st.data())
    def plan_a_session(self, data: st.DataObject) -> None:
        planned = len(self.delivered) + len(self.waiting)
        self.waiting += data.draw(session_plans(f"session {planned}", data.draw(st.sampled_from([False, False, True]))))

    @precondition(lambda self: self.waiting)
    @rule(place=st.integers(0, 11))
    def deliver(self, place: int) -> None:
        event = self.waiting.pop(place % len(self.waiting))
        self.delivered[event] = event.deliver()

    @precondition(lambda self: self.delivered)
    @rule(place=st.integers(0, 49))
    def deliver_again(self, place: int) -> None:
        event = list(self.delivered)[place % len(self.delivered)]
        assert event.deliver() == self.delivered[event]

    def teardown(self) -> None:
        if not hasattr(self, "transaction"):
            return
        assert_usage_is_sound()
        world = the_world()
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)
        assert_same(world, play(ends_first(self.delivered)))
        assert_same(world, play(reversed(ends_first(self.delivered))))


@pytest.mark.property
def test_interleaved_sessions_of_several_callers_end_up_the_same(customers):
    run_state_machine_as_test(Traffic, settings=settings(max_examples=examples(0.15), stateful_step_count=30))
