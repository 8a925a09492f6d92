"""What is packed comes back byte for byte; what stood there before anything was packed comes back as it is."""

import json

import pytest
from django.db import connection
from hypothesis import example, given
from hypothesis import strategies as st

from sessions_app.livetok.delivery import Delivery
from sessions_app.models import Session, WebhookEvent
from sessions_app.packing import LONGEST, Damaged, pack, unpack
from sessions_app.webhook.reception import receive
from tests.api import Api
from tests.builders import begin_body, end_body, limit, make_customer, make_tier

HEAD = pack(b"x" * 100)[:6]
# What the first dictionary packed. Both must stay readable as long as anybody has it stored.
STORED = bytes.fromhex("48a8bb59c94923b2c82ed635c45942a314b7b50030b619a6")
PLAIN = b'{"event": "session_end", "sessionId": "s-1", "kind": "telephony", "duration": 30}'


@pytest.mark.pure
@given(st.binary(max_size=5000))
@example(b"")
@example(HEAD)
@example(HEAD + b"{}")
@example(pack(PLAIN))
@example(HEAD + b"x" * 5000)
def test_bytes_come_back_as_they_were_and_take_hardly_more(plain):
    packed = pack(plain)

    assert unpack(packed) == plain
    assert len(packed) <= len(plain) + (20 if plain.startswith(HEAD) else 0)


@pytest.mark.pure
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_json_that_was_never_packed_is_read_as_it_is(value):
    plain = json.dumps(value).encode()

    assert unpack(plain) == plain


@pytest.mark.pure
def test_who_sends_much_leaves_much():
    assert len(pack(b"x" * LONGEST)) < 100
    assert pack(b"x" * (LONGEST + 1)) == b"x" * (LONGEST + 1)
    assert unpack(pack(HEAD + b"x" * LONGEST)) == HEAD + b"x" * LONGEST


@pytest.mark.pure
def test_what_is_stored_already_stays_readable():
    assert unpack(STORED) == PLAIN


@pytest.mark.pure
@pytest.mark.parametrize("harm", [lambda packed: packed[:-1], lambda packed: packed + b"x", lambda packed: packed[:9]])
def test_what_is_damaged_is_told(harm):
    with pytest.raises(Damaged):
        unpack(harm(pack(PLAIN)))


@pytest.mark.pure
def test_one_bit_that_turned_is_told():
    packed = pack(PLAIN)
    for place in range(6, len(packed)):
        with pytest.raises(Damaged):
            unpack(packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :])


@pytest.fixture
def session(livetok):
    make_customer(make_tier("premium", limit("call_minutes", 60), limit("concurrent_sessions", 100)))
    livetok.begin(sessionId="s")
    livetok.end(sessionId="s")
    return Session.objects.get()


def columns(pk):
    with connection.cursor() as cursor:
        names = "packed_facts, packed_trace, answer, begin_body, end_body"
        cursor.execute(f"SELECT {names} FROM sessions_app_session WHERE id = %s", [pk])
        return [bytes(value) for value in cursor.fetchone()]


def logged():
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM sessions_app_webhookevent ORDER BY id")
        return [bytes(body) for (body,) in cursor.fetchall()]


def test_a_session_is_stored_packed_and_read_as_it_was(livetok, session):
    assert [json.loads(unpack(value)) for value in columns(session.pk)[:2]] == [session.facts, session.trace]
    assert [unpack(value) for value in columns(session.pk)[2:]] == [
        session.answer,
        session.begin_body,
        session.end_body,
    ]
    assert session.begin_body == json.dumps(begin_body(sessionId="s")).encode()
    assert session.end_body == json.dumps(end_body(sessionId="s")).encode()
    assert livetok.send(begin_body(sessionId="s")).content == session.answer
    assert all(len(value) < len(unpack(value)) for value in columns(session.pk))
    assert sum(map(len, columns(session.pk)[:2])) < 150
    assert [unpack(value) for value in logged()] == [session.begin_body, session.end_body, session.begin_body]
    assert all(len(value) < len(unpack(value)) for value in logged())


def test_a_session_that_came_before_anything_was_packed_reads_the_same(livetok, session):
    api = Api("read")
    before = api.ok("GET", f"/api/v1/sessions/{session.pk}/")
    as_it_was = [
        json.dumps(session.facts),
        json.dumps(session.trace),
        session.answer,
        session.begin_body,
        session.end_body,
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE sessions_app_session SET packed_facts = NULL, packed_trace = NULL, facts = %s, trace = %s,
answer = %s, begin_body = %s, end_body = %s WHERE id = %s""",
            [*as_it_was, session.pk],
        )
        cursor.execute("UPDATE sessions_app_webhookevent SET body = %s WHERE event = 'session_end'", [session.end_body])

    assert api.ok("GET", f"/api/v1/sessions/{session.pk}/") == before
    assert livetok.send(begin_body(sessionId="s")).content == session.answer
    livetok.end(sessionId="s")
    log = WebhookEvent.objects.order_by("pk")
    for event in log.filter(verdict="accepted"):  # what is brought to the database once more is logged once
        again = Delivery(key=event.key, is_again=True)
        receive(bytes(event.body), route=event.route, received_at=event.received_at, delivery=again)
    assert [event.verdict for event in WebhookEvent.objects.order_by("pk")] == [
        "accepted", "accepted", "redelivered", "redelivered"
    ]  # fmt: skip
    assert {bytes(event.body) for event in WebhookEvent.objects.filter(event="session_end")} == {session.end_body}
