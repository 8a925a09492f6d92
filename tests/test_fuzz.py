"""Whatever is sent to the webhook: no 5xx, and nothing is stored but a rejected or ignored event.

A body that is a begin or an end all the same, however odd its other fields, is one session.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import schemathesis
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from customers.models import Customer
from sessions_app.livetok.events import SessionBegin, SessionEnd
from sessions_app.livetok.payloads import IgnoredEvent, Refused, read_event
from sessions_app.models import Session, WebhookEvent
from sessions_app.webhook.reception import LARGEST_BODY
from tests.builders import LiveTok, assert_usage_is_sound, payload

PATHS = st.sampled_from(["/webhooks/livetok", "/webhooks/livetok/begin", "/webhooks/livetok/end"])
SAMPLES = [payload(name) for name in ("session_begin", "session_end", "envelope_begin", "envelope_end")]

ODD_TEXTS = st.sampled_from(
    ["", " ", "\0", "a\0b", "\ud800", "\udfff\ud800", "x" * 256, "9" * 400, "NaN", "-0", "٣٤٥", "\u202e1", "null", "{}"]
)
ODD_NUMBERS = st.sampled_from(
    [0, -1, 2**31, 2**63, 2**64, -(2**70), 10**400, 1e308, -1e308, 0.1, float("nan"), float("inf"), float("-inf")]
)
ODD_TIMES = st.sampled_from(
    [
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2024-02-30T00:00:00Z",
        "2024-W11-5",
        "10:30",
        1710498600,
    ]
)
# Characters of every kind, lone surrogates included: `json.dumps` writes them as escapes.
TEXTS = st.text(st.characters(), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | ODD_TEXTS | ODD_NUMBERS | ODD_TIMES
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


def _paths(value: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where every field of a sample is, objects included."""
    found = [above] if above else []
    if isinstance(value, dict):
        for name, inner in value.items():
            found += _paths(inner, (*above, name))
    return found


@st.composite
def wrong_fields(draw: st.DrawFn) -> bytes:
    """A sample with some of its fields replaced by anything, or taken out."""
    document = json.loads(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        *above, name = draw(st.sampled_from(_paths(document)))
        holder = document
        for step in above:
            holder = holder[step]
        if draw(st.booleans()):
            holder[name] = draw(VALUES)
        elif len(document) > 1:
            del holder[name]
    return json.dumps(document).encode()


@st.composite
def damaged_samples(draw: st.DrawFn) -> bytes:
    """A sample with bytes lost, doubled or replaced on the way."""
    body = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        start, length = draw(st.integers(0, len(body))), draw(st.integers(0, 12))
        kept = draw(st.sampled_from([b"", body[start : start + length] * 2])) or draw(st.binary(max_size=6))
        body = body[:start] + kept + body[start + length :]
    return body


@st.composite
def odd_json(draw: st.DrawFn) -> bytes:
    """Names given twice, deep nesting and numbers of thousands of digits, in what is otherwise a begin or an end."""
    depth = draw(st.sampled_from([0, 1, 50, 500, 5000]))
    opening, closing = draw(st.sampled_from([("[", "]"), ('{"a":', "}")]))
    nested = (
        opening * depth + draw(st.sampled_from(["1", "null", "9" * 5000, "-" + "8" * 4000, "1e9999"])) + closing * depth
    )
    event = draw(st.sampled_from(['"session_begin"', '"session_end"', '"session.begin"', nested]))
    names = [
        "event",
        "type",
        "sessionId",
        "data",
        "phoneNumber",
        "timestamp",
        "duration",
        "kind",
        "agentId",
        "livemode",
    ]
    pairs = draw(st.lists(st.tuples(st.sampled_from(names), SCALARS.map(json.dumps) | st.just(nested)), max_size=8))
    pairs.insert(draw(st.integers(0, len(pairs))), ("event", event))
    return ("{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}").encode()


TEXT_OR_NUMBER = {"oneOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"type": "integer"}]}
LIVETOKS_SCHEMA = {
    "openapi": "3.0.3",
    "info": {"title": "LiveTok's webhook", "version": "1"},
    "paths": {
        "/webhooks/livetok": {
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["event", "sessionId"],
                                "properties": {
                                    "event": {"enum": ["session_begin", "session_end"]},
                                    "sessionId": TEXT_OR_NUMBER,
                                    "kind": {"type": "string"},
                                    "agentId": TEXT_OR_NUMBER,
                                    "agentName": {"type": "string"},
                                    "phoneNumber": {"type": "string", "nullable": True},
                                    "duration": {"type": "integer", "minimum": 0},
                                    "timestamp": {"type": "string", "format": "date-time"},
                                },
                            }
                        }
                    },
                },
                "responses": {"200": {"description": "taken"}, "400": {"description": "not understood"}},
            }
        }
    },
}
WEBHOOK = schemathesis.openapi.from_dict(LIVETOKS_SCHEMA)["/webhooks/livetok"]["POST"]


def _body_of(case: schemathesis.Case) -> bytes:
    return case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()


# How many different bodies of each kind at least.
BODIES = {
    "random bytes": 1100,
    "any JSON": 900,
    "wrong fields": 700,
    "damaged samples": 1400,
    "odd JSON": 700,
    "against the schema": 250,
}
KINDS = {
    "random bytes": st.binary(max_size=200),
    "any JSON": VALUES.map(lambda value: json.dumps(value).encode()),
    "wrong fields": wrong_fields(),
    "damaged samples": damaged_samples(),
    "odd JSON": odd_json().filter(lambda body: len(body) <= LARGEST_BODY),
    "against the schema": WEBHOOK.as_strategy(generation_mode=GenerationMode.NEGATIVE).map(_body_of),
}


# Of each kind over HTTP, of those that are read: what follows the reading does not depend on a body's oddities.
SENT = 10


def test_5000_bodies_are_read_in_all_and_500_sent():
    assert sum(BODIES.values()) >= 5000
    assert sum(BODIES.values()) // SENT >= 500


def different_bodies(kind: str, least: int, check: Callable[[bytes, str], None]) -> None:
    """Check at least so many; more are tried, since some turn out alike."""
    tried = set()

    tries = least * 2 if kind == "against the schema" else least * 3 // 2

    @settings(max_examples=tries, suppress_health_check=list(HealthCheck))
    @given(KINDS[kind], PATHS)
    def check_one(body: bytes, path: str) -> None:
        tried.add(body)
        check(body, path)

    check_one()
    assert len(tried) >= least


@pytest.mark.only("sqlite")  # no database plays a part
@pytest.mark.parametrize("kind", KINDS)
def test_malformed_bodies_are_read_or_refused_by_name(kind):
    different_bodies(kind, BODIES[kind], assert_read_or_refused)


@pytest.mark.parametrize("kind", KINDS)
def test_malformed_bodies_are_never_an_error_of_ours(livetok: LiveTok, kind):
    def check(body: bytes, path: str) -> None:
        with transaction.atomic():
            assert_taken_well(livetok, body, path)
            transaction.set_rollback(True)

    different_bodies(kind, BODIES[kind] // SENT, check)


def assert_read_or_refused(body: bytes, path: str) -> None:
    route = path.removeprefix("/webhooks/livetok").strip("/")
    received_at = datetime(2024, 3, 15, 10, tzinfo=UTC)

    def read() -> object:
        try:
            return read_event(body, route=route, received_at=received_at, phone_region="")
        except Refused as refused:
            return refused.field, str(refused)

    event = read()

    assert event == read()
    if isinstance(event, SessionBegin | SessionEnd):
        assert 1 <= len(event.session_id) <= 255
        assert event.session_id in _session_ids(json.loads(body, parse_int=str))
        assert event.at.tzinfo is not None
        event.session_id.encode()
    elif not isinstance(event, IgnoredEvent):
        field, said = event
        assert field in ("body", "event", "sessionId")
        assert said


def assert_taken_well(livetok: LiveTok, body: bytes, path: str) -> None:
    response = livetok.send(body, path)

    event = WebhookEvent.objects.get()
    assert (response.status_code, bytes(event.body)) == (event.status, body)
    if response.status_code == 400:
        error = response.json()["error"]
        assert event.verdict == "rejected"
        assert error["field"] in ("body", "event", "sessionId")
        assert event.error == f"{error['field']}: {error['message']}"
    else:
        assert response.status_code == 200
    if event.verdict == "accepted":
        session = Session.objects.get()
        assert session.session_id in _session_ids(json.loads(body, parse_int=str))
        assert_usage_is_sound()
    else:
        assert event.verdict in ("rejected", "ignored")
        assert not Session.objects.exists()
        assert not Customer.objects.exists()


def _session_ids(document: Any) -> list[str]:
    data = document.get("data")
    found = [document.get("sessionId"), data.get("session_id") if isinstance(data, dict) else None]
    return [str(one) for one in found]
