"""Promise 6 where processes die: a short form of `make torture`, with the worker deleting all the while."""

from random import Random

import pytest

from benchmarks.load import Load, measure
from benchmarks.old_events import add_old_events, old_events
from benchmarks.stored import Findings
from benchmarks.torture import torture
from tests.databases import SERVER_URL, start_postgres
from tests.live import manage, new_environment, start_server, wait_until_ready

pytestmark = pytest.mark.serial

ORDERS = {
    "sqlite": ["web process", "worker", "web process", "serve"],
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


def test_what_was_answered_200_is_stored_once_whatever_was_killed(database_name, postgres):
    outcome = torture(database_name, postgres, ORDERS[database_name], Random(7), connections=2)

    assert outcome.stored == Findings(lost=0, twice=0, answers_changed=0, not_logged=0, logged_too_often=0)
    assert (outcome.unexpected, outcome.answered_otherwise, outcome.complaint) == ([], 0, "")
    assert outcome.acknowledged > 100
    assert outcome.failed > 0, "nothing was sent while a process was dead"


@pytest.mark.only("sqlite")
def test_no_request_finds_sqlite_locked_while_the_worker_deletes(database_name):
    with new_environment(database_name, WEBHOOK_SECRET="secret-of-the-test") as env:
        manage(env, "setup")
        add_old_events(env["DATABASE_URL"], 30_000)
        server = start_server(env)
        try:
            wait_until_ready(server)
            before = old_events(env["DATABASE_URL"])
            paths = "/webhooks/livetok/begin", "/webhooks/livetok/end"
            load = Load(int(env["PORT"]), *paths, env["WEBHOOK_SECRET"], seconds=3, customers=50, connections=16)
            assert measure(load).sessions > 10  # raises for any answer but 200
            assert before > old_events(env["DATABASE_URL"]), "the worker deleted nothing meanwhile"
        finally:
            server.stop()
        assert "locked" not in server.log
