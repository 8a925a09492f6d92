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
    return _request(path, key, {"event": "session_begin", **_said(prefix), "timestamp": _written(at)})


def end_template(path: str, key: str, prefix: str, at: datetime) -> bytes:
    """The end of a session that began `at`."""
    ended_at = _written(at + timedelta(seconds=DURATION_SECONDS))
    said = {"event": "session_end", **_said(prefix), "duration": DURATION_SECONDS, "timestamp": ended_at}
    return _request(path, key, said)


def _said(prefix: str) -> dict[str, Any]:
    return {
        "sessionId": f"{prefix}%0{SESSION_DIGITS}d",
        "kind": "telephony",
        "agentId": 1,
        "agentName": "My Agent",
        "phoneNumber": "+4420%08d",
    }


def _request(path: str, key: str, body: dict[str, Any]) -> bytes:
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(text % (0, 0)) + text


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
