"""Promise 6 where processes die: a short form of `make torture`, with the worker deleting all the while."""

import json
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from benchmarks.followed import Followed
from benchmarks.load import Load, measure
from benchmarks.old_events import add_old_events, old_events
from benchmarks.sql import rows
from benchmarks.stored import Findings
from benchmarks.torture import torture
from benchmarks.traffic import begin_said, end_said, number_of
from config.children import start_child, stop_child
from sessions_app.spool.files import Spool, SpooledRequest, spool_files
from tests.databases import SERVER_URL, start_postgres
from tests.live import ROOT, manage, new_environment, start_server, wait_until_ready

pytestmark = pytest.mark.serial

OLD_EVENTS = 50_000
# Of two hundred: what all of them set off takes a minute to send.
FOLLOWED_CUSTOMERS = 20

# A killed `serve` takes the worker with it, and costs as long a start: one of them on each database.
ORDERS = {
    "sqlite": ["web process", "serve"],
    "postgresql": ["database connection", "web process", "database server", "worker"],
}


@pytest.fixture
def postgres(database_name, monkeypatch):
    """A server of its own to kill, which commits to disk; None on SQLite."""
    if database_name == "sqlite":
        yield None
        return
    server = start_postgres({})
    monkeypatch.setenv(SERVER_URL, server.url)
    try:
        yield server
    finally:
        server.stop()


def test_what_was_answered_200_is_stored_once_and_what_follows_arrives_whatever_was_killed(database_name, postgres):
    outcome = torture(
        database_name, postgres, ORDERS[database_name], Random(7), connections=2, followed_customers=FOLLOWED_CUSTOMERS
    )

    assert outcome.changed == []
    assert outcome.stored == Findings(lost=0, twice=0, answers_changed=0, not_logged=0, logged_too_often=0)
    assert outcome.followed == Followed(not_arrived=0, of_nothing=0, of_other_keys=0, of_other_bytes=0)
    assert (outcome.unexpected, outcome.answered_otherwise, outcome.complaint) == ([], 0, "")
    assert outcome.acknowledged > 100
    assert outcome.failed > 0, "nothing was sent while a process was dead"


def test_a_worker_that_is_killed_while_it_feeds_loses_nothing_and_takes_nothing_twice(database_name, settings):
    sessions = 400
    with new_environment(database_name, is_set_up=True) as env:
        settings.DATA_DIR = Path(env["DATA_DIR"])
        put_on_disk(sessions)
        for target in (100, 400):
            with running_worker(env) as worker:
                wait_until(lambda target=target: count_of(env, "webhookevent") > target)
                worker.kill()
        assert spool_files()
        with running_worker(env):
            wait_until(lambda: not spool_files())

        assert count_of(env, "webhookevent") == 2 * sessions
        assert count_of(env, "session") == sessions
        ended = "SELECT count(*) FROM sessions_app_session WHERE reason = 'fallback_allow' AND duration_seconds = 30"
        assert rows(env["DATABASE_URL"], ended) == [(sessions,)]
        assert "Every sum equals its recount." in manage(env, "verify_usage")


def put_on_disk(sessions: int) -> None:
    spool, now = Spool(), datetime.now(UTC) - timedelta(minutes=1)
    for number in range(sessions):
        of_session = f"fed-{number}", number_of(number % 50)
        begin, end = begin_said(*of_session, now), end_said(*of_session, now + timedelta(seconds=30))
        for said, answer in ((begin, {"reason": "fallback_allow", "answer": b'{"allowed":true}'}), (end, {})):
            now += timedelta(milliseconds=1)
            kept = {"received_at": now, "route": "", "status": 200, "key": "", "address": "", "took_ms": 1.0}
            spool.append(SpooledRequest(body=json.dumps(said).encode(), **kept, **answer))


@contextmanager
def running_worker(env: dict[str, str]):
    command = [sys.executable, "manage.py", "worker", "--skip-checks"]
    with Path(env["DATA_DIR"], "worker.log").open("ab") as log:
        worker = start_child(command, env=env, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield worker
    finally:
        stop_child(worker, patience_seconds=10)


def count_of(env: dict[str, str], table: str) -> int:
    [(count,)] = rows(env["DATABASE_URL"], f"SELECT count(*) FROM sessions_app_{table}")
    return count


def wait_until(holds) -> None:
    give_up_at = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


@pytest.mark.only("sqlite")
def test_no_request_finds_sqlite_locked_while_the_worker_deletes(database_name):
    for _ in range(3):  # a busy machine may look only when all is deleted: then it has to begin anew
        if loaded_while_the_worker_deletes(database_name):
            return
    pytest.fail("the worker deleted nothing meanwhile")


def loaded_while_the_worker_deletes(database_name: str) -> bool:
    """Whether there was anything left to delete when the load began."""
    with new_environment(database_name, is_set_up=True, WEBHOOK_SECRET="secret-of-the-test") as env:
        add_old_events(env["DATABASE_URL"], OLD_EVENTS)
        server = start_server(env)
        try:
            wait_until_ready(server)
            wait_until(lambda: old_events(env["DATABASE_URL"]) < OLD_EVENTS)  # a busy machine starts the worker late
            before = old_events(env["DATABASE_URL"])
            paths = "/webhooks/livetok/begin", "/webhooks/livetok/end"
            load = Load(int(env["PORT"]), *paths, env["WEBHOOK_SECRET"], seconds=3, customers=50, connections=16)
            assert measure(load).sessions > 10  # raises for any answer but 200
            deleted = before - old_events(env["DATABASE_URL"])
        finally:
            server.stop()
        assert "locked" not in server.log
        return deleted > 0
