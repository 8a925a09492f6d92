"""Make a database as this version leaves one behind: `python -m tests.releases.make NAME`, once for each release.

The files are kept for ever and never made again: `tests/test_upgrade.py` upgrades each of them.
"""

import gzip
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.servers import DATABASES, database_server
from tests.databases import server_binaries
from tests.live import ROOT, LiveServer, manage, running_server
from tests.releases import PASSWORD, WEBHOOK_KEY_LINE, folder

DEMO = ("demo", "--days", "21", "--customers", "12", "--until", "2026-03-15T10:30:00Z")
AT = datetime(2026, 3, 14, 12, tzinfo=UTC)
ADA, BOB = "+441632970001", "+441632970002"
# A second begin meets the first of each.
TIGHT = [
    {"metric": "concurrent_sessions", "amount": 1},
    *({"metric": "sessions", "period": period, "amount": 1} for period in ("day", "week", "month")),
    *({"metric": "call_minutes", "period": period, "amount": 1} for period in ("day", "week", "month")),
]
STATUSES = [
    {"status": "blocked"},
    {"status": "paused"},
    {"valid_from": "2027-01-01T00:00:00Z"},
    {"valid_until": "2026-01-01T00:00:00Z"},
]


def main(name: str) -> None:
    for database in DATABASES:
        with database_server(database), running_server(database, ADMIN_PASSWORD=PASSWORD) as server:
            manage(server.env, *DEMO)
            play_every_kind(Sender(server))
            server.stop()
            text = f"{WEBHOOK_KEY_LINE}{server.webhook_key}\n{dumped(database, server.database_url)}"
        with gzip.GzipFile(folder / f"{name}.{database}.sql.gz", "wb", mtime=0) as file:
            file.write(text.encode())


class Sender:
    """LiveTok and a CRM, before a running server."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.manage_key = manage(server.env, "create_api_key", "--name", "CRM", "--scope", "manage").strip()
        self.numbers = count(441632980000)

    def request(self, method: str, path: str, body: Any, key: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", int(self.server.env["PORT"]), timeout=30)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, {"X-API-Key": key, "Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def api(self, path: str, body: dict[str, Any]) -> None:
        status, content = self.request("PUT", f"/api/v1/{path}", body, self.manage_key)
        assert status in (200, 201), content

    def send(self, *bodies: dict[str, Any] | bytes, status: int = 200) -> None:
        for body in bodies:
            got, content = self.request("POST", "/webhooks/livetok", body, self.server.webhook_key)
            assert got == status, (got, content)

    def customer(self, tier: str, **fields: Any) -> str:
        """A new customer's number."""
        number = f"+{next(self.numbers)}"
        self.api(f"customers/by-external-id/{number[1:]}/", {"tier": tier, "numbers": [number], **fields})
        return number


def play_every_kind(sender: Sender) -> None:
    """What the demo leaves out, or has only in a longer one: every reason, and ids, ends and begins gone astray."""
    sender.api("tiers/free/", {"name": "Free", "limits": []})
    for fields in STATUSES:
        number = sender.customer("free", **fields)
        sender.send(begin(f"status-{number}", number))
    for index, row in enumerate(TIGHT):
        slug = f"tight-{index}"
        sender.api(f"tiers/{slug}/", {"name": slug, "limits": [row]})
        number = sender.customer(slug)
        sender.send(begin(f"{slug}-0", number))
        if row["metric"] == "call_minutes":
            sender.send(end(f"{slug}-0", number, 60))
        denied = begin(f"{slug}-1", number)
        sender.send(denied, denied)
    override = {"metric": "sessions", "period": "day", "amount": None, "note": "a good customer"}
    number = sender.customer("tight-1", overrides=[override])
    sender.send(begin("override-0", number), begin("override-1", number))
    play_astray(sender)


def play_astray(sender: Sender) -> None:
    sender.send(begin("reused", ADA), begin("reused", BOB), begin("reused", None), end("reused", BOB, 30))
    sender.send(begin("begins-differ", ADA), begin("begins-differ", ADA, kind="web"))
    sender.send(begin("ends-differ", ADA), end("ends-differ", ADA, 30), end("ends-differ", ADA, 90))
    sender.send(end("no-begin", ADA, 60), end("late-begin", ADA, 60), begin("late-begin", ADA))
    sender.send(begin("caller-differs", ADA), end("caller-differs", BOB, 60))
    sender.send(begin("tight-1-0", "+441632980004"), begin("tight-1-1-again", "+441632980005"))
    sender.send(end("tight-1-1", "+441632980005", 45))
    sender.send(begin("midnight", ADA, timestamp="2026-03-14T23:59:00Z"))
    sender.send(end("midnight", ADA, 120, timestamp="2026-03-15T00:01:00Z"))
    sender.send(begin("unreadable", "+34 600 ?", timestamp="tomorrow", kind=7), end("unreadable", "+34 600 ?", -5))
    sender.send(end("unreadable-end", ADA, "long", timestamp="never", agentId="Agent 7"))
    sender.send(begin("nameless", "anonymous", kind="web"), begin("sip", "sip:Front@Desk.example", kind="call"))
    sender.send({"event": "agent_updated", "agentId": 2})
    sender.send(b"\xff\x00{", {"event": "session_begin"}, status=400)


def begin(session_id: str, number: str | None, **changes: Any) -> dict[str, Any]:
    said = {"sessionId": session_id, "phoneNumber": number, "kind": "telephony", "timestamp": AT.isoformat()}
    return {**sample("session_begin"), **said, **changes}


def end(session_id: str, number: str, duration: Any, **changes: Any) -> dict[str, Any]:
    ended_at = AT + timedelta(seconds=duration if isinstance(duration, int) else 0)
    said = {"sessionId": session_id, "phoneNumber": number, "kind": "telephony", "timestamp": ended_at.isoformat()}
    return {**sample("session_end"), **said, "duration": duration, **changes}


def sample(name: str) -> dict[str, Any]:
    return json.loads((ROOT / f"tests/payloads/{name}.json").read_text())


def dumped(database: str, url: str) -> str:
    """The whole database as SQL that the database's Python module takes in one go."""
    if database == "sqlite":
        return dumped_sqlite(Path(url.removeprefix("sqlite:///")))
    options = ["--inserts", "--rows-per-insert=50", "--no-owner", "--no-privileges"]
    command = [str(server_binaries() / "pg_dump"), *options, url]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines(keepends=True)
    # Without what psql alone takes, and settings that other versions may not know.
    return "".join(line for line in lines if not line.startswith(("\\", "SET ")))


def dumped_sqlite(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        return "\n".join(connection.iterdump()) + "\n"


if __name__ == "__main__":
    main(sys.argv[1])
