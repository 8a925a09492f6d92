"""Promise 6 where PostgreSQL fails over: a short form of `benchmarks.failover`, and what connections do about it."""

import threading

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.utils import load_backend

from benchmarks.failover import failover
from benchmarks.stored import Findings
from config.doctor.installation import check_standby
from sessions_app.database import standby
from sessions_app.database.postgresql import hosts
from sessions_app.database.postgresql.base import Connection, OnOneServerAlone
from sessions_app.database.postgresql.hosts import connect_to_last_first
from tests.databases import free_port
from tests.pairs import DATABASE, Pair, running_on, wait_until

pytestmark = [pytest.mark.only("postgresql"), pytest.mark.serial]

SLACK_MS = 500


@pytest.fixture(autouse=True)
def _may_connect(django_db_blocker):
    """To the pair: the tests' own database plays no part."""
    with django_db_blocker.unblock():
        yield


def test_a_commit_that_no_standby_has_is_no_commit_whoever_broke_off_its_wait(pair: Pair):
    """PostgreSQL says that it is done, with a warning; and next time it is there."""
    pair.make_synchronous()
    ours = opened(pair)
    try:
        with pair.standby_frozen():
            breaker = threading.Thread(target=break_off_the_wait, args=(pair,))
            breaker.start()
            with pytest.raises(OperationalError, match="standby") as raised, ours.wrap_database_errors:
                ours.connection.execute("SELECT pg_logical_emit_message(true, 'test', '')")
            breaker.join()
        assert isinstance(raised.value.__cause__, OnOneServerAlone)
        assert ours.connection.execute("SELECT 1").fetchone() == (1,)  # it is no worse for it
    finally:
        ours.close()
        pair.make_asynchronous()


def break_off_the_wait(pair: Pair) -> None:
    waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    with psycopg.connect(pair.primary.url, autocommit=True) as other:
        wait_until(lambda: bool(other.execute(waiting).fetchall()))


def opened(pair: Pair, url_of_hosts: str = ""):
    """A connection of Frontdesk's own kind to the pair."""
    told = psycopg.conninfo.conninfo_to_dict(url_of_hosts or pair.url_of(pair.primary, DATABASE))
    place = {"NAME": told["dbname"], "HOST": told["host"], "PORT": told["port"]}
    account = {"USER": told["user"], "PASSWORD": told["password"]}
    wrapper = load_backend("sessions_app.database.postgresql").DatabaseWrapper
    made = wrapper(connection.settings_dict | place | account | {"OPTIONS": {}}, "default")
    made.inc_thread_sharing()
    made.connect()
    return made


def test_a_connection_to_a_server_that_became_read_only_is_left_behind(pair: Pair):
    ours = opened(pair)
    try:
        assert ours.is_usable()
        pair.tell(pair.primary, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        wait_until(lambda: not ours.is_usable())
    finally:
        pair.tell(
            pair.primary,
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )
        ours.close()


def test_whatever_is_raised_on_a_lost_connection_is_told_as_that(pair: Pair):
    """Else it is no error that a request waits out, and LiveTok would get 500."""

    def raising(error):
        raise error
        yield

    ours = opened(pair)
    odd = [psycopg.ProgrammingError("can't change 'autocommit' now"), OSError("bad file descriptor"), IndexError("0")]
    try:
        with pytest.raises(psycopg.OperationalError, match="closed the connection"):  # libpq's own, without a code
            ours.connection.wait(raising(psycopg.DatabaseError("server closed the connection unexpectedly")))
        with pytest.raises(psycopg.errors.UndefinedTable):
            ours.connection.execute("SELECT * FROM nowhere")
        for error in odd:
            with pytest.raises(type(error)):
                ours.connection.wait(raising(error))
        pair.tell(pair.primary, f"SELECT pg_terminate_backend({ours.connection.info.backend_pid})")
        with pytest.raises(psycopg.OperationalError):
            ours.connection.execute("SELECT 1")
        for error in odd:
            with pytest.raises(psycopg.OperationalError, match="lost"):
                ours.connection.wait(raising(error))
    finally:
        ours.close()


def test_the_host_that_took_us_last_is_tried_first(pair: Pair, monkeypatch):
    """Else one whose machine is gone would cost each connection two seconds, which no begin has."""
    told = psycopg.conninfo.conninfo_to_dict(pair.url_of(pair.primary, DATABASE))
    given = {**told, "host": f"127.0.0.1,{told['host']}", "port": f"{free_port()},{told['port']}"}
    monkeypatch.setattr(hosts, "_took_us", {})
    tried: list[str] = []

    class Noted(Connection):
        @classmethod
        def connect(cls, **parameters):
            tried.append(parameters["port"])
            return super().connect(**parameters)

    for _ in range(2):
        connect_to_last_first(Noted, given).close()

    dead, alive = given["port"].split(",")
    assert tried == [f"{dead},{alive}", f"{alive},{dead}"]


def test_doctor_warns_where_commits_wait_for_no_standby(pair: Pair, monkeypatch):
    url = pair.url_of_both(DATABASE)
    ours = opened(pair, url)
    monkeypatch.setattr(standby, "connection", ours)
    try:
        [finding] = check_standby()
        assert (finding.state, "synchronous_standby_names" in finding.remedy) == ("look", True)
        pair.make_synchronous()
        assert [finding.state for finding in check_standby()] == ["ok"]
        pair.make_asynchronous()
        ours.settings_dict["HOST"] = "127.0.0.1"
        assert list(check_standby()) == [], "with one host, nothing fails over"
    finally:
        ours.close()


def test_nothing_acknowledged_is_lost_or_doubled_when_the_standby_stops_and_then_takes_over(pair: Pair):
    with running_on(pair, DATABASE, WEB_PROCESSES="1") as server:
        outcome = failover(pair, server, 2.5, before_seconds=1.0, leaderless_seconds=1.0, connections=4)
        log = server.log

    print(f"waiting {outcome.waiting_ms:.0f} ms, leaderless {outcome.leaderless_ms:.0f} ms, {outcome.waited} waited")
    assert outcome.stored == Findings(lost=0, twice=0, answers_changed=0, not_logged=0, logged_too_often=0)
    assert (outcome.unexpected, outcome.answered_otherwise, outcome.complaint) == ([], 0, "")
    assert outcome.not_answered == [], [line for line in log.splitlines() if "Traceback" in line][-3:]
    assert outcome.acknowledged > 100
    assert outcome.waited > 20
    assert max(outcome.waiting_ms, outcome.leaderless_ms) < 1000 + SLACK_MS
    assert '"set aside' not in log
