"""Erasing on a real server: nothing of the person is left in any file of the data folder."""

import json
import sqlite3
import time
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.live import running_server
from tests.personal import EMAIL, EXTERNAL_ID, NAME, NUMBER, SPELLED, found_in

# The files of PostgreSQL are its own; what its tables hold is looked through in `test_erasing`.
pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]
PATIENCE_SECONDS = 60


def send(server, key, method, path, body=None):
    request = urllib.request.Request(f"{server.url}{path}", method=method, data=body and json.dumps(body).encode())
    request.add_header("X-API-Key", key)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def found_in_files(folder):
    """By file, what of the person is in its bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {str(path.relative_to(folder)): found_in(path.read_bytes()) for path in files}
    return {name: traces for name, traces in found.items() if traces}


def test_nothing_is_left_in_any_file_of_the_data_folder(database_name):
    with running_server(database_name) as server:
        manager = server.manage("create_api_key", "--name", "CRM", "--scope", "manage").split()[-1]
        body = {"name": NAME, "tier": "standard", "email": EMAIL, "numbers": [SPELLED], "notes": f"{NAME} " * 300}
        customer = send(server, manager, "PUT", f"/api/v1/customers/by-external-id/{EXTERNAL_ID}/", body)["id"]
        for number in range(25):
            at = (datetime.now(UTC) + timedelta(seconds=number)).isoformat()
            begun = {"event": "session_begin", "sessionId": f"s{number}", "phoneNumber": NUMBER, "timestamp": at}
            send(server, server.webhook_key, "POST", "/webhooks/livetok", begun | {"customerName": NAME})
            ended = {"event": "session_end", "sessionId": f"s{number}", "phoneNumber": SPELLED, "duration": 5}
            send(server, server.webhook_key, "POST", "/webhooks/livetok", ended)
        (server.folder / "uploads").mkdir(exist_ok=True)
        (server.folder / "uploads" / ("b" * 32)).write_text(f"{NAME},{NUMBER}")
        assert {name.partition("-")[0] for name in found_in_files(server.folder)} >= {"frontdesk.sqlite3"}

        send(server, manager, "POST", f"/api/v1/customers/{customer}/erase/")
        an_hour_passes(server)
        wait_until_erased(server, manager, customer)

        assert found_in_files(server.folder) == {}
        server.stop()
        assert found_in_files(server.folder) == {}


def an_hour_passes(server):
    """As if all had come two hours ago; nobody can set a server's clock."""
    with closing(sqlite3.connect(server.folder / "frontdesk.sqlite3", timeout=30)) as database, database:
        database.execute("PRAGMA secure_delete = ON")
        for table, columns in {
            "sessions_app_session": ("begin_received_at", "end_received_at"),
            "customers_erasure": ("requested_at",),
        }.items():
            changes = ", ".join(f"{name} = datetime({name}, '-2 hours')" for name in columns)
            database.execute(f"UPDATE {table} SET {changes}")


def wait_until_erased(server, key, customer):
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while send(server, key, "GET", f"/api/v1/customers/{customer}/erase/")["finished_at"] is None:
        assert time.monotonic() < give_up_at, server.log
        time.sleep(0.2)
