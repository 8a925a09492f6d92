"""LiveTok's JSON, both envelopes, brought to our events; and the way back, for those who play LiveTok. The only module
that knows LiveTok's field names.

Sources: LiveTok's developer overview ("the contract") and its page on webhooks ("the second envelope": `type`, `data`).
Pure: no database, clock or settings. Whatever does not have to be understood is read leniently and flagged.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from customers.phones import phone_key
from sessions_app.livetok.events import Caller, SessionBegin, SessionEnd

BEGIN, END = "session_begin", "session_end"
EVENT_NAMES = {"session_begin": BEGIN, "session.begin": BEGIN, "session_end": END, "session.end": END}
ROUTE_EVENTS = {"begin": BEGIN, "end": END}
LONGEST_TEXT = 255
LONGEST_CHANNEL = 64
DEEPEST_NESTING = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Below it, Unix time is in seconds: until the year 5138.
UNIX_MILLISECONDS_FROM = 10**11
# Behind the last time that we read there is room for its month, its session and any offset in Python's years.
AFTER_LAST_TIME = datetime(9999, 11, 1, tzinfo=UTC)
_UNIX_TIME = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class IgnoredEvent:
    """An event that is none of ours: kept, answered 200 and left alone."""

    name: str
    session_id: str


class Refused(Exception):
    """A body that cannot be understood. `field` is LiveTok's name of what is at fault, `problem` a sentence."""

    def __init__(self, field: str, problem: str, event: str = "", session_id: str = "") -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem
        self.event = event
        self.session_id = session_id


def read_event(
    body: bytes, *, route: str, received_at: datetime, phone_region: str = ""
) -> SessionBegin | SessionEnd | IgnoredEvent:
    """Read one delivery. `route` is "begin", "end" or "": which address it came to fills in a missing event name.

    Raises Refused for a body that is no JSON object, has no event name, or is a begin or end without a session id.
    """
    document = _json_object(body)
    name = _event_name(document, route)
    event = EVENT_NAMES.get(name.strip().lower())
    # No error, whatever LiveTok may send one day: what is not answered 200 it sends again.
    if event is None:
        return IgnoredEvent(_storable(name)[:LONGEST_CHANNEL], _session_id(document) or "")
    return _read(document, event, body, route, received_at, phone_region)


_SESSION_ID = ("sessionId", "data.session_id")
_BEGIN_TIMES = ("timestamp", "data.started_at", "created_at")
_END_TIMES = ("timestamp", "data.ended_at", "created_at")
_DURATIONS = ("duration", "data.duration", "data.duration_seconds")

# All that LiveTok's documentation says it sends, by path.
KNOWN_FIELDS = frozenset(
    {
        "event", "type", "id", "livemode", "kind", "agentId", "agentName", "phoneNumber",
        "data", "data.channel", "data.conversation_id", "data.agent_type", "data.metadata",
        "data.customer", "data.customer.id", "data.customer.name", "data.customer.phone", "data.customer.email",
        *_SESSION_ID, *_BEGIN_TIMES, *_END_TIMES, *_DURATIONS,
    }
)  # fmt: skip
_HOLD_OTHERS = ("data", "data.customer")


def unknown_fields(body: bytes) -> list[str]:
    """Paths of fields in a body that LiveTok was not known to send; none of a body that is no JSON object."""
    try:
        document = _json_object(body)
    except Refused:
        return []
    found = [name for name in document if name not in KNOWN_FIELDS]
    for path in _HOLD_OTHERS:
        held = _at(document, path)
        inside = (f"{path}.{name}" for name in held) if isinstance(held, dict) else ()
        found += [name for name in inside if name not in KNOWN_FIELDS]
    return [_storable(name)[:LONGEST_CHANNEL] for name in found]


class _Fields:
    """LiveTok's fields by path. Whatever cannot be read counts as missing, and `flags` say so."""

    def __init__(self, document: dict[str, Any], prefix: str) -> None:
        self.document = document
        self.prefix = prefix
        self.flags: set[str] = set()

    def read(self, subject: str, reader: Callable[[Any], Any], *paths: str) -> Any:
        """The first value at `paths` that `reader` can read; None where there is none."""
        for path in paths:
            value = _at(self.document, path)
            if value is not None:
                try:
                    return reader(value)
                except ValueError:
                    self.flags.add(f"{self.prefix}_{subject}_unreadable")
        return None

    def text(self, path: str, longest: int = LONGEST_TEXT) -> str:
        value = _at(self.document, path)
        return _storable(value)[:longest] if isinstance(value, str) else ""


# What ids begin with that `manage.py livetok` makes up.
PLAYED = "play_"


@dataclass(frozen=True)
class Conversation:
    """What LiveTok says of a session in its begin and its end alike. `number` is None where it is withheld.

    LiveTok says the agent in the contract's envelope alone, and `customer_id` and `is_test` in the second alone. Those
    who play it may say all three in the contract's: they are read in either.
    """

    session_id: str
    channel: str
    number: str | None = None
    agent: str | int | None = None
    agent_name: str = ""
    customer_id: str = ""
    is_test: bool = False
    second_envelope: bool = False


def begin_document(talk: Conversation, at: datetime) -> dict[str, Any]:
    """LiveTok's JSON for a begin: the opposite of reading it."""
    if talk.second_envelope:
        return _enveloped(talk, "session.begin", at, {"started_at": _written(at)})
    return {"event": BEGIN, **_said(talk), "timestamp": _written(at)}


def end_document(talk: Conversation, at: datetime, duration_seconds: int | None) -> dict[str, Any]:
    """LiveTok's JSON for an end; without a duration where that is None."""
    duration = {} if duration_seconds is None else {"duration": duration_seconds}
    if talk.second_envelope:
        return _enveloped(talk, "session.end", at, {"ended_at": _written(at), **duration})
    return {"event": END, **_said(talk), **duration, "timestamp": _written(at)}


def _said(talk: Conversation) -> dict[str, Any]:
    agent = {} if talk.agent is None else {"agentId": talk.agent, "agentName": talk.agent_name}
    said: dict[str, Any] = {"sessionId": talk.session_id, "kind": talk.channel, **agent, "phoneNumber": talk.number}
    said |= {"data": {"customer": {"id": talk.customer_id}}} if talk.customer_id else {}
    return said | ({"livemode": False} if talk.is_test else {})


def _enveloped(talk: Conversation, name: str, at: datetime, said: dict[str, Any]) -> dict[str, Any]:
    customer = {"id": talk.customer_id or None, "phone": talk.number}
    return {
        "id": f"evt_{talk.session_id}_{name.rpartition('.')[2]}",
        "type": name,
        "created_at": _written(at),
        "livemode": not talk.is_test,
        "data": {"session_id": talk.session_id, "channel": talk.channel, "customer": customer, **said},
    }


def _written(moment: datetime) -> str:
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _read(
    document: dict[str, Any], event: str, body: bytes, route: str, received_at: datetime, region: str
) -> SessionBegin | SessionEnd:
    session_id = _session_id(document)
    if session_id is None:
        problem = f"give the session's id, a text or whole number of 1 to {LONGEST_TEXT} characters"
        raise Refused("sessionId", problem, event=event)
    is_begin = event == BEGIN
    fields = _Fields(document, "begin" if is_begin else "end")
    agent = _at(document, "agentId")
    # Nobody outside LiveTok knows all its kinds: below, any that names WhatsApp is taken for it.
    channel = fields.read("channel", _channel, "kind", "data.channel")
    common: dict[str, Any] = {
        "session_id": session_id,
        "caller": _caller(fields, region, is_whatsapp="whatsapp" in (channel or "")),
        "received_at": received_at,
        "body": body,
        "route": route,
        # Only a plain false: the contract's envelope has no such field, and is live traffic.
        "is_test": _at(document, "livemode") is False,
        "channel": channel,
        "agent": fields.read("agent", _identifier, "agentId"),
        "agent_is_number": isinstance(agent, int) and not isinstance(agent, bool),
        "agent_name": fields.text("agentName"),
        "stated_at": fields.read("time", _moment, *(_BEGIN_TIMES if is_begin else _END_TIMES)),
    }
    if is_begin:
        return SessionBegin(**common, flags=frozenset(fields.flags))
    seconds = fields.read("duration", _whole_seconds, *_DURATIONS)
    return SessionEnd(**common, duration_seconds=seconds, flags=frozenset(fields.flags))


def _caller(fields: _Fields, region: str, *, is_whatsapp: bool) -> Caller:
    received, key = fields.read(
        "number", lambda value: _number(value, region, is_whatsapp), "phoneNumber", "data.customer.phone"
    ) or ("", "")
    return Caller(
        number_received=received,
        phone_key=key,
        external_id=fields.read("customer", _identifier, "data.customer.id") or "",
        name=fields.text("data.customer.name", 200),
        email=fields.text("data.customer.email", 254),
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        # Lone surrogates, which no database takes, are left out of each text where it is read (`_storable`).
        document = _decoder.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
        is_too_deep = _is_nested_below(DEEPEST_NESTING, document)
    except RecursionError:
        is_too_deep = True
    except UnicodeDecodeError:
        raise Refused("body", "send the JSON object in UTF-8; this is another character set, or no text") from None
    except ValueError:
        raise Refused("body", "send a JSON object in UTF-8") from None
    if is_too_deep:
        raise Refused("body", f"the JSON is nested more than {DEEPEST_NESTING} levels deep")
    if not isinstance(document, dict):
        raise Refused("body", "send a JSON object, not a list or a bare value")
    return document


def _integer(digits: str) -> int | float:
    """Python reads no integer of more than 4,300 digits; to us such a one is no number that can be stored."""
    try:
        return int(digits)
    except ValueError:
        return math.inf


# Made once: `json.loads` would make one for each body.
_decoder = json.JSONDecoder(parse_int=_integer)


def _is_nested_below(depth: int, document: Any) -> bool:
    """Judged by a fixed depth: the parser's own depends on its caller, and a stored body must always be readable."""
    level = [document]
    for _ in range(depth):
        if not level:
            return False
        level = [
            child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        ]
    return bool(level)


def _event_name(document: dict[str, Any], route: str) -> str:
    # The body wins over the address that it came to.
    for field in ("event", "type"):
        name = document.get(field)
        if isinstance(name, str) and name.strip():
            return name
    if route:
        return ROUTE_EVENTS[route]
    raise Refused("event", "give the event's name, such as session_begin", session_id=_session_id(document) or "")


def _session_id(document: dict[str, Any]) -> str | None:
    for path in _SESSION_ID:
        try:
            return _identifier(_at(document, path))
        except ValueError:
            continue
    return None


def _at(document: dict[str, Any], path: str) -> Any:
    value: Any = document
    for name in _names(path):
        value = value.get(name) if isinstance(value, dict) else None
    return value


@cache
def _names(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _storable(text: str) -> str:
    """The text without what no database takes: NUL characters and lone surrogates."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


def _identifier(value: Any) -> str:
    """A text or whole number as text. Raises ValueError for anything else, and for what cannot be stored."""
    # To Python, True is a whole number.
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError("neither a text nor a whole number")
    text = str(value)
    if not 1 <= len(text) <= LONGEST_TEXT or _storable(text) != text:
        raise ValueError("empty, too long or not storable")
    return text


def _number(value: Any, region: str, is_whatsapp: bool) -> tuple[str, str]:
    """The number as received and its key; the key is blank where the caller withholds the number."""
    if value == "":
        return "", ""
    received = _identifier(value)
    return received, phone_key(received, region, is_whatsapp) or ""


def _channel(value: Any) -> str:
    text = _identifier(value).strip().lower()
    if not 1 <= len(text) <= LONGEST_CHANNEL:
        raise ValueError("no channel's name")
    return text


def _moment(value: Any) -> datetime:
    """An ISO 8601 time, UTC where it has no offset; or Unix time, as a number or its digits as text."""
    if isinstance(value, str):
        moment = _written_moment(value.strip().upper())
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        moment = _unix_moment(value)
    else:
        raise ValueError("neither a text nor a number")
    if not EPOCH <= moment < AFTER_LAST_TIME:
        raise ValueError("no time of this era")
    return moment.astimezone(UTC)


def _written_moment(text: str) -> datetime:
    # Eight digits are a date: as Unix time they ended in 1973. Of more, Python would read a date with an hour.
    if _UNIX_TIME.fullmatch(text) and not _is_date(text):
        return _unix_moment(float(text) if "." in text else _integer(text))
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_date(text: str) -> bool:
    try:
        return len(text) == len("YYYYMMDD") and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _unix_moment(number: int | float) -> datetime:
    is_in_seconds = abs(number) < UNIX_MILLISECONDS_FROM
    try:
        return EPOCH + (timedelta(seconds=number) if is_in_seconds else timedelta(milliseconds=number))
    except OverflowError:
        raise ValueError("no time of this era") from None


def _whole_seconds(value: Any) -> int:
    """Seconds rounded half up; what is not zero stays so, since a duration above 0 says that the session took place."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("no number")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    # So written, it refuses NaN too.
    if not abs(seconds) < 2**31 - 1:
        raise ValueError("no number of seconds that can be stored")
    whole = math.floor(seconds + 0.5)
    if whole == 0 and seconds != 0:
        return 1 if seconds > 0 else -1
    return whole
