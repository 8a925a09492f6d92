"""What is sent: whose sessions they are, which limits their tiers have, and LiveTok's two bodies as bytes. Pure."""

import json
from datetime import datetime, timedelta
from typing import Any

TIERS = ("basic", "premium", "business")
# The rows that tiers ordinarily have; more than a bench ever uses, so that nobody is denied.
AMOUNTS = {
    ("messages", "day"): 100,
    ("call_minutes", "day"): 1_000_000,
    ("call_minutes", "month"): 10_000_000,
    ("sessions", "month"): 10_000_000,
    ("concurrent_sessions", ""): 50,
}
DURATION_SECONDS = 30
SESSION_DIGITS = 10


def number_of(index: int) -> str:
    """The phone number of a customer, by the order in which they were made."""
    return f"+4420{index:08d}"


def begin_template(path: str, key: str, prefix: str, at: datetime) -> bytes:
    """A begin's request, to be completed by `template % (session, customer)`. `prefix` makes session ids unique."""
    return _request(path, key, begin_said(*_places(prefix), at))


def end_template(path: str, key: str, prefix: str, at: datetime) -> bytes:
    """The end of a session that began `at`."""
    return _request(path, key, end_said(*_places(prefix), at + timedelta(seconds=DURATION_SECONDS)))


def begin_said(session_id: str, number: str, at: datetime) -> dict[str, Any]:
    """A begin's body, before it is written as JSON."""
    return {"event": "session_begin", **_said(session_id, number), "timestamp": _written(at)}


def end_said(session_id: str, number: str, ended_at: datetime) -> dict[str, Any]:
    said = {**_said(session_id, number), "duration": DURATION_SECONDS, "timestamp": _written(ended_at)}
    return {"event": "session_end", **said}


def _places(prefix: str) -> tuple[str, str]:
    """Session id and number, to be completed by a template's two numbers."""
    return f"{prefix}%0{SESSION_DIGITS}d", "+4420%08d"


def _said(session_id: str, number: str) -> dict[str, Any]:
    return {
        "sessionId": session_id,
        "kind": "telephony",
        "agentId": 1,
        "agentName": "My Agent",
        "phoneNumber": number,
    }


def _request(path: str, key: str, body: dict[str, Any]) -> bytes:
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(text % (0, 0)) + text


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
