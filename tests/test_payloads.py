"""Reading LiveTok's bodies: both envelopes, what is refused, and what is read leniently and flagged."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessions_app.livetok.events import Caller, SessionBegin, SessionEnd, SessionEvent
from sessions_app.livetok.payloads import DEEPEST_NESTING, IgnoredEvent, Refused, read_event
from tests.builders import begin_body, end_body, moment, payload

RECEIVED = moment("2024-03-15T10:30:02Z")


def read(body, route: str = "", region: str = ""):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_event(content, route=route, received_at=RECEIVED, phone_region=region)


def refused(body, route: str = "") -> Refused:
    with pytest.raises(Refused) as caught:
        read(body, route)
    return caught.value


def envelope(kind: str, **data) -> dict:
    """The second envelope: of `session.begin` or `session.end`, with changes to its `data`."""
    document = json.loads(payload(f"envelope_{kind}"))
    document["data"] = {name: value for name, value in {**document["data"], **data}.items() if value is not ...}
    return document


# The two envelopes


def test_the_contracts_begin_is_read():
    assert read(payload("session_begin")) == SessionBegin(
        session_id="123",
        caller=Caller(number_received="+1234567890", phone_key="+1234567890"),
        received_at=RECEIVED,
        body=payload("session_begin"),
        channel="whatsapp",
        agent="1",
        agent_is_number=True,
        agent_name="My Agent",
        stated_at=moment("2024-03-15T10:30:00Z"),
    )


def test_the_contracts_end_is_read():
    assert read(payload("session_end"), "end") == SessionEnd(
        session_id="123",
        caller=Caller(number_received="+1234567890", phone_key="+1234567890"),
        received_at=RECEIVED,
        body=payload("session_end"),
        route="end",
        channel="whatsapp",
        agent="1",
        agent_is_number=True,
        agent_name="My Agent",
        stated_at=moment("2024-03-15T10:35:00Z"),
        duration_seconds=300,
    )


def test_the_second_envelopes_begin_is_read():
    assert read(payload("envelope_begin")) == SessionBegin(
        session_id="123",
        caller=Caller("+1234567890", "+1234567890", external_id="crm-1", name="Ada", email="ada@example.com"),
        received_at=RECEIVED,
        body=payload("envelope_begin"),
        channel="whatsapp",
        stated_at=moment("2024-03-15T10:30:00Z"),
    )


def test_the_second_envelopes_end_is_read():
    assert read(payload("envelope_end")) == SessionEnd(
        session_id="123",
        caller=Caller("+1234567890", "+1234567890", external_id="crm-1"),
        received_at=RECEIVED,
        body=payload("envelope_end"),
        channel="whatsapp",
        stated_at=moment("2024-03-15T10:35:00Z"),
        duration_seconds=300,
    )


def test_the_second_envelopes_times_are_the_sessions_else_the_events():
    created = moment("2024-03-15T10:30:01Z")

    assert read(envelope("begin", started_at=...)).stated_at == created
    assert read(envelope("begin", started_at=None)).stated_at == created
    assert read(envelope("begin", ended_at="2024-03-15T11:00:00Z", started_at=...)).stated_at == created
    assert read(envelope("end", ended_at=...)).stated_at == moment("2024-03-15T10:35:01Z")
    assert read(envelope("end", started_at="2024-03-15T10:00:00Z")).stated_at == moment("2024-03-15T10:35:00Z")


def test_the_second_envelopes_duration_has_two_names():
    assert read(envelope("end", duration=..., duration_seconds=42)).duration_seconds == 42
    assert read(envelope("end", duration=41, duration_seconds=42)).duration_seconds == 41
    assert read(envelope("end", duration=...)).duration_seconds is None


def test_a_number_comes_before_livetoks_customer_id():
    both = read(envelope("begin")).caller
    only_id = read(envelope("begin", customer={"id": 77})).caller

    assert both.identity == ("number", "+1234567890")
    assert only_id.identity == ("id", "77")
    assert read(envelope("begin", customer={"name": "Ada"})).caller.identity is None


@pytest.mark.parametrize(
    ("livemode", "is_test"), [(False, True), (True, False), (None, False), (0, False), ("false", False)]
)
def test_livemode_false_is_test_traffic(livemode, is_test):
    assert read(begin_body(livemode=livemode)).is_test is is_test
    assert read({**envelope("end"), "livemode": livemode}).is_test is is_test


# Which event it is


@pytest.mark.parametrize("name", ["session_begin", "session.begin", " Session_Begin ", "SESSION.BEGIN"])
@pytest.mark.parametrize("field", ["event", "type"])
def test_a_begin_has_two_names_in_two_fields(field, name):
    assert isinstance(read({field: name, "sessionId": "1"}), SessionBegin)


@pytest.mark.parametrize("name", ["session_end", "session.end"])
def test_an_end_has_two_names(name):
    assert isinstance(read({"event": name, "sessionId": "1"}), SessionEnd)


@pytest.mark.parametrize("missing", [..., None, "", "  ", 7, ["session_end"]])
def test_the_address_fills_in_a_missing_event(missing):
    assert isinstance(read(begin_body(event=missing), "begin"), SessionBegin)
    assert isinstance(read(begin_body(event=missing), "end"), SessionEnd)
    assert refused(begin_body(event=missing)).field == "event"


def test_a_contradicting_body_wins_over_its_address():
    assert isinstance(read(payload("session_end"), "begin"), SessionEnd)
    assert isinstance(read(payload("envelope_begin"), "end"), SessionBegin)
    assert isinstance(read({"event": "session_paused", "sessionId": "1"}, "begin"), IgnoredEvent)


def test_an_unknown_event_is_ignored_with_what_can_be_stored_of_its_name():
    assert read({"event": "session_paused", "sessionId": 5}) == IgnoredEvent("session_paused", "5")
    assert read({"event": "a\x00b\ud800" + "c" * 99}) == IgnoredEvent("ab" + "c" * 62, "")


# What is refused


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"[]", b"null", b"1", b'"a"', b"\xff\xfe\x00", b'{"a": "\xff"}', b'{"a": "\x00"}', b"{}{}"],
)
def test_a_body_that_is_no_json_object_is_refused(body):
    assert refused(body, "begin").field == "body"


def test_a_refusal_names_the_field_and_what_to_do():
    no_id = refused(begin_body(sessionId=...))
    no_event = refused({"sessionId": "5"})

    assert str(no_id) == "sessionId: give the session's id, a text or whole number of 1 to 255 characters"
    assert (no_id.event, no_id.session_id) == ("session_begin", "")
    assert str(no_event) == "event: give the event's name, such as session_begin"
    assert (no_event.event, no_event.session_id) == ("", "5")
    assert refused({"sessionId": []}).session_id == ""


@pytest.mark.parametrize("session_id", ["1", "x" * 255, "ü" * 255, 0, 123, -5, 10**254, " ", "\U0001f600"])
def test_a_session_id_is_a_text_or_whole_number_kept_as_text(session_id):
    assert read(begin_body(sessionId=session_id)).session_id == str(session_id)
    assert read(envelope("begin", session_id=session_id)).session_id == str(session_id)


@pytest.mark.parametrize(
    "session_id", [..., None, "", True, False, 1.5, [], {}, ["1"], "x" * 256, 10**255, "a\x00", "\ud800"]
)
@pytest.mark.parametrize("event", ["session_begin", "session_end"])
def test_without_a_session_id_that_can_be_stored_a_begin_or_end_is_refused(session_id, event):
    assert refused(begin_body(event=event, sessionId=session_id)).field == "sessionId"


def test_a_session_id_of_either_envelope_is_taken():
    assert read({**envelope("begin"), "sessionId": ""}).session_id == "123"
    assert read({**envelope("begin"), "sessionId": "9"}).session_id == "9"


def test_nesting_is_judged_by_a_depth_of_our_own():
    def nested(depth: int) -> bytes:
        lists = b"[" * (depth - 2) + b"1" + b"]" * (depth - 2)
        return b'{"event":"session_begin","sessionId":"1","x":' + lists + b"}"

    assert read(nested(DEEPEST_NESTING)).session_id == "1"
    assert "100 levels" in refused(nested(DEEPEST_NESTING + 1)).problem
    assert "100 levels" in refused(b'{"a":' * 101 + b"{}" + b"}" * 101).problem
    assert "100 levels" in refused(nested(30_000)).problem


# Leniency


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("2024-03-15T10:30:00Z", "2024-03-15T10:30:00Z"),
        ("2024-03-15T10:30:00", "2024-03-15T10:30:00Z"),
        ("2024-03-15 10:30", "2024-03-15T10:30:00Z"),
        ("2024-03-15", "2024-03-15T00:00:00Z"),
        ("2024-03-15t10:30:00z", "2024-03-15T10:30:00Z"),
        (" 2024-03-15T10:30:00Z ", "2024-03-15T10:30:00Z"),
        ("2024-03-15T12:30:00+02:00", "2024-03-15T10:30:00Z"),
        ("2024-03-15T05:00:00-05:30", "2024-03-15T10:30:00Z"),
        ("2024-03-15T10:30:00.123456Z", "2024-03-15T10:30:00.123456Z"),
        ("2024-03-15T10:30:00.123456789Z", "2024-03-15T10:30:00.123456Z"),
        ("20240315T103000Z", "2024-03-15T10:30:00Z"),
        ("20240315", "2024-03-15T00:00:00Z"),
    ],
)
def test_a_timestamp_without_an_offset_is_utc(text, stated):
    event = read(begin_body(timestamp=text))

    assert event.stated_at == event.at == moment(stated)
    assert event.stated_at.tzinfo is UTC
    assert event.flags == frozenset()


@pytest.mark.parametrize(
    "timestamp",
    [
        *["", "soon", True, [], {}, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "\ud800", "9" * 400],
        *[-1, -0.5, "-1", "1710498600s", "1,710,498,600", "1.7e9", 10**15, "1710498600000000", "9" * 5000, 10**400],
        *[float("nan"), float("inf"), -(10**12), "1710498600."],
    ],
)
def test_an_unreadable_timestamp_counts_as_missing(timestamp):
    begin, end = read(begin_body(timestamp=timestamp)), read(end_body(timestamp=timestamp))

    assert (begin.stated_at, begin.at, begin.flags) == (None, RECEIVED, {"begin_time_unreadable"})
    assert (end.stated_at, end.at, end.flags) == (None, RECEIVED, {"end_time_unreadable"})


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ("1969-12-31T23:59:59Z", False),
        ("1970-01-01T00:00:00Z", True),
        ("1970-01-01T00:30:00+01:00", False),
        ("9999-10-31T23:59:59Z", True),
        ("9999-11-01T00:00:00Z", False),
        ("9999-11-01T00:00:00+01:00", True),
    ],
)
def test_a_timestamp_of_another_era_is_unreadable(text, is_read):
    assert (read(begin_body(timestamp=text)).stated_at is not None) is is_read


@pytest.mark.parametrize(
    ("number", "stated"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1710498600, "2024-03-15T10:30:00Z"),
        (1710498600.25, "2024-03-15T10:30:00.250Z"),
        (1710498600.123, "2024-03-15T10:30:00.123Z"),
        (1.7104986e9, "2024-03-15T10:30:00Z"),
        (1710498600123, "2024-03-15T10:30:00.123Z"),
        (1710498600000.0, "2024-03-15T10:30:00Z"),
        (1711011200, "2024-03-21T08:53:20Z"),  # 1 January 1711, 20:00, to Python
        (10**11 - 1, "5138-11-16T09:46:39Z"),
        (10**11, "1973-03-03T09:46:40Z"),
        (253397030399999, "9999-10-31T23:59:59.999Z"),
    ],
)
def test_a_timestamp_may_be_unix_time_as_a_number_or_its_digits(number, stated):
    digits = f"{number:.3f}" if isinstance(number, float) else str(number)

    for timestamp in (number, digits, f" {digits} "):
        event = read(begin_body(timestamp=timestamp))
        assert (event.stated_at, event.flags) == (moment(stated), frozenset())
        assert event.stated_at.tzinfo is UTC
    assert read(envelope("end", ended_at=number)).stated_at == moment(stated)


@pytest.mark.parametrize(
    ("digits", "stated"),
    [("99999999", "1973-03-03T09:46:39Z"), ("20240230", "1970-08-23T06:17:10Z"), ("0", "1970-01-01T00:00:00Z")],
)
def test_eight_digits_are_unix_time_only_where_they_are_no_date(digits, stated):
    assert read(begin_body(timestamp=digits)).stated_at == moment(stated)


@pytest.mark.parametrize("timestamp", [..., None])
def test_without_a_timestamp_our_clock_counts_and_nothing_is_flagged(timestamp):
    event = read(begin_body(timestamp=timestamp))

    assert (event.stated_at, event.at, event.flags) == (None, RECEIVED, frozenset())


def test_after_an_unreadable_time_the_next_one_is_taken():
    event = read({**envelope("begin"), "timestamp": "soon"})

    assert event.stated_at == moment("2024-03-15T10:30:00Z")
    assert event.flags == {"begin_time_unreadable"}


@pytest.mark.parametrize(
    ("duration", "seconds", "is_usable"),
    [
        (300, 300, True),
        (0, 0, True),
        ("300", 300, True),
        (299.5, 300, True),
        (299.4, 299, True),
        (0.2, 1, True),
        (-0.2, -1, False),
        (-0.0, 0, True),
        (-5, -5, False),
        (86400, 86400, True),
        (86401, 86401, False),
        (2**31 - 2, 2**31 - 2, False),
    ],
)
def test_a_duration_is_kept_as_stated(duration, seconds, is_usable):
    end = read(end_body(duration=duration))

    assert (end.duration_seconds, end.is_usable, end.flags) == (seconds, is_usable, frozenset())


@pytest.mark.parametrize(
    "duration", ["", "five", True, False, [], {}, float("nan"), float("inf"), 2**31 - 1, -(2**40), 10**400, "9" * 400]
)
def test_an_unreadable_duration_is_flagged_and_no_duration(duration):
    end = read(end_body(duration=duration))

    assert (end.duration_seconds, end.is_usable, end.flags) == (None, False, {"end_duration_unreadable"})


def test_integers_of_any_length_are_read():
    digits = b"9" * 60_000

    end = read(b'{"event":"session_end","sessionId":"1","other":' + digits + b',"duration":-' + digits + b"}")
    assert end.flags == {"end_duration_unreadable"}
    assert refused(b'{"event":"session_end","sessionId":' + digits + b"}").field == "sessionId"


@pytest.mark.parametrize("duration", [..., None])
def test_a_missing_duration_is_not_flagged(duration):
    end = read(end_body(duration=duration))

    assert (end.duration_seconds, end.flags) == (None, frozenset())


@pytest.mark.parametrize(
    ("kind", "channel"), [("whatsapp", "whatsapp"), (" WhatsApp ", "whatsapp"), (7, "7"), ("x" * 64, "x" * 64)]
)
def test_any_kind_is_a_channel_in_lower_case(kind, channel):
    assert read(begin_body(kind=kind)).channel == channel


@pytest.mark.parametrize(
    ("field", "subject"),
    [("kind", "channel"), ("agentId", "agent"), ("phoneNumber", "number")],
)
@pytest.mark.parametrize("value", [True, 1.5, [], {}, "x" * 256, "a\x00", "\ud800"])
def test_an_unreadable_kind_agent_or_number_counts_as_missing(field, subject, value):
    begin = read(begin_body(**{field: value}))
    end = read(end_body(**{field: value}))

    missing = {"kind": begin.channel, "agentId": begin.agent, "phoneNumber": begin.caller.identity}
    assert missing[field] is None
    assert len([each for each in missing.values() if each is None]) == 1
    assert (begin.flags, end.flags) == ({f"begin_{subject}_unreadable"}, {f"end_{subject}_unreadable"})


@pytest.mark.parametrize("kind", ["", "  ", "x" * 65])
def test_a_kind_that_is_no_name_counts_as_missing(kind):
    assert read(begin_body(kind=kind)).channel is None


@pytest.mark.parametrize("field", ["kind", "agentId", "agentName", "phoneNumber", "timestamp"])
@pytest.mark.parametrize("value", [..., None])
def test_what_is_missing_is_not_flagged(field, value):
    assert read(begin_body(**{field: value})).flags == frozenset()


@pytest.mark.parametrize(("agent", "is_number"), [(1, True), ("1", False)])
def test_an_agents_id_is_kept_as_text_and_remembered_as_a_number(agent, is_number):
    event = read(begin_body(agentId=agent))

    assert (event.agent, event.agent_is_number) == ("1", is_number)


def test_an_agents_name_is_kept_as_far_as_it_can_be_stored():
    assert read(begin_body(agentName="A\x00d\ud800a" + "!" * 300)).agent_name == "Ada" + "!" * 252
    assert read(begin_body(agentName=7)).agent_name == ""


def test_an_agents_id_that_is_no_id_is_no_number_either():
    assert read(begin_body(agentId=True)).agent_is_number is False


def test_a_customers_name_and_address_are_kept_as_far_as_they_can_be_stored():
    caller = read(envelope("begin", customer={"id": 7, "name": "A" * 300, "email": "a" * 300})).caller

    assert (len(caller.name), len(caller.email)) == (200, 254)
    assert read(envelope("begin", customer={"id": 7, "name": 5, "email": []})).caller == Caller(external_id="7")


@pytest.mark.parametrize("number", [..., None, "", "  ", "anonymous", "Unknown"])
def test_a_caller_may_withhold_the_number(number):
    event = read(begin_body(phoneNumber=number))

    assert (event.caller.identity, event.caller.phone_key) == (None, "")
    assert event.flags == frozenset()


def test_a_number_is_kept_as_received_beside_its_key():
    caller = read(begin_body(phoneNumber="whatsapp:+1 234 567-890")).caller

    assert (caller.number_received, caller.phone_key) == ("whatsapp:+1 234 567-890", "+1234567890")


def test_a_number_may_be_a_json_number():
    assert read(begin_body(phoneNumber=1234567890)).caller.phone_key == "+1234567890"


def test_bare_digits_are_read_in_the_companys_region():
    begin = begin_body(kind="telephony", phoneNumber="020 7946 0958")
    assert read(begin, region="GB").caller.phone_key == "+442079460958"


@pytest.mark.parametrize("said", [{"kind": "whatsapp"}, {"kind": " WhatsApp "}, {"kind": "whatsapp_voice"}])
def test_what_comes_by_whatsapp_is_international_whatever_the_region(said):
    # Both are numbers of the region too.
    assert read(begin_body(phoneNumber="6592345678", **said), region="US").caller.phone_key == "+6592345678"
    assert read(end_body(phoneNumber="6592345678", **said), region="US").caller.phone_key == "+6592345678"
    assert read(begin_body(kind="voice", phoneNumber="6592345678"), region="US").caller.phone_key == "+16592345678"


def test_a_number_longer_than_can_be_stored_is_flagged_and_counts_as_missing():
    begin = read(begin_body(phoneNumber="." * 60_000 + "x"))

    assert begin.caller.identity is None
    assert begin.flags == {"begin_number_unreadable"}


def test_an_unreadable_customer_id_counts_as_missing():
    event = read(envelope("begin", customer={"id": ["crm-1"]}))

    assert event.caller.identity is None
    assert event.flags == {"begin_customer_unreadable"}


def test_the_last_of_duplicate_keys_counts():
    assert read(b'{"event":"session_begin","sessionId":"1","sessionId":"2"}').session_id == "2"


# Any JSON


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda children: st.one_of(st.lists(children), st.dictionaries(st.text(), children)),
    max_leaves=20,
)
NAMES = [
    "type",
    "timestamp",
    "created_at",
    "livemode",
    "kind",
    "agentId",
    "agentName",
    "phoneNumber",
    "duration",
    "data",
]
DATA_NAMES = ["session_id", "channel", "started_at", "ended_at", "duration", "duration_seconds", "customer"]
data_objects = st.dictionaries(st.sampled_from(DATA_NAMES), json_values)
documents = st.one_of(
    json_values,
    st.fixed_dictionaries(
        {"event": st.sampled_from(["session_begin", "session_end", "other"]), "sessionId": st.text(max_size=300)},
        optional=dict.fromkeys(NAMES, json_values),
    ),
    st.fixed_dictionaries({"type": st.just("session.end"), "data": data_objects}),
)


def read_or_refuse(content: bytes, route: str, region: str = "") -> SessionEvent | IgnoredEvent | None:
    try:
        return read(content, route, region)
    except Refused as refusal:
        is_named = refusal.field in ("body", "event", "sessionId")
    assert is_named
    return None


@given(documents, st.sampled_from(["", "begin", "end"]), st.sampled_from(["", "GB"]))
@example({"event": "session_end", "sessionId": "1", "duration": 10**400}, "", "")
@example({"event": "session_begin", "sessionId": "1", "phoneNumber": "+" * 255}, "", "GB")
def test_any_json_is_read_or_refused(document, route, region):
    event = read_or_refuse(json.dumps(document).encode(), route, region)
    if not isinstance(event, SessionEvent):
        return
    assert 1 <= len(event.session_id) <= 255
    texts = [event.session_id, event.channel, event.agent, event.agent_name, *vars(event.caller).values()]
    assert not any("\0" in text for text in texts if text)
    assert all(len(text.encode()) for text in texts if text)
    assert event.at.utcoffset() is not None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    read_or_refuse(content, "begin")


def test_what_is_refused_is_only_what_the_rules_refuse():
    """Every other field may be anything."""
    strange = {"kind": [], "agentId": {}, "agentName": 5, "phoneNumber": 1.5, "timestamp": "?", "duration": "?"}

    assert read(begin_body(**strange)).session_id == "123"
    assert read(end_body(**strange)).session_id == "123"
    assert read({"type": "session.begin", "sessionId": "1", "data": "?", "livemode": "?"}).session_id == "1"


def test_our_clock_is_the_one_that_was_given():
    assert read(payload("session_begin")).received_at == RECEIVED == datetime(2024, 3, 15, 10, 30, 2, tzinfo=UTC)
