"""Promise 6 where PostgreSQL fails over: a short form of `benchmarks.failover`, and what connections do about it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.utils import load_backend
from django.http import HttpResponse
from django.urls import path

from benchmarks.failover import failover
from benchmarks.stored import Findings
from config import time_limit, urls
from config.backups.places import working_on
from config.doctor import checks
from config.doctor.installation import check_standby
from sessions_app.database import commits, standby
from sessions_app.database.postgresql import base, hosts
from sessions_app.database.postgresql.base import Connection, OnOneServerAlone
from sessions_app.database.postgresql.hosts import connect_to_last_first
from tests.databases import free_port
from tests.pairs import DATABASE, Pair, running_on, wait_until
from tests.poolers import pgbouncer
from tests.staff import text_of

handler500 = urls.handler500
pytestmark = [pytest.mark.only("postgresql"), pytest.mark.serial, pytest.mark.urls(__name__)]

SLACK_MS = 500


def saving(request):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(commits._WRITE)
    return HttpResponse("saved")


urlpatterns = [path("saving/", saving), path("api/saving/", saving)]


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


def test_a_page_waits_a_moment_for_a_standby_and_doctor_sees_who_waits_in_vain(pair: Pair, client, monkeypatch):
    monkeypatch.setattr(time_limit, "COMMIT_SECONDS", 0.4)
    monkeypatch.setattr(standby, "LONG_SECONDS", 0.1)
    client.raise_request_exception = False
    pair.make_synchronous()
    ours, doctors, before = opened(pair), opened(pair), connections["default"]
    monkeypatch.setattr(standby, "connection", doctors)
    connections["default"] = ours
    try:
        with pair.standby_frozen(), ThreadPoolExecutor() as pool:
            seen = pool.submit(wait_until, lambda: [each.state for each in check_standby()] == ["bad"])
            page, script = client.get("/saving/"), client.get("/api/saving/")
            seen.result()
        assert (page.status_code, script.status_code) == (503, 503)
        assert "is stored on one database server" in text_of(page)
        assert "is stored on one database server" in script.json()["detail"]
        assert client.get("/saving/").content == b"saved"
        assert list(check_standby()) == []
        assert ours._commit_seconds is None, "who is given the connection next may wait"
    finally:
        connections["default"] = before
        ours.close()
        doctors.close()
        pair.make_asynchronous()


def test_where_nothing_can_be_waited_for_the_log_says_so_once_and_work_goes_on(pair: Pair, monkeypatch, caplog):
    ours = opened(pair)
    monkeypatch.setattr(commits, "connection", ours)
    monkeypatch.setattr(commits, "_WRITE", "SELECT pg_no_such_function()")
    try:
        commits.wait_until_kept()
        commits.wait_until_kept()
    finally:
        ours.close()

    assert [record.message for record in caplog.records] == [
        "it cannot be seen whether a standby has what was committed"
    ]


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


def test_a_pooler_that_takes_connections_does_not_answer_for_its_database(pair: Pair, monkeypatch):
    monkeypatch.setattr(base, "HEALTH_SECONDS", 0.2)
    with pgbouncer(pair.primary.url, pool_size=1) as before:
        told = urlsplit(before.url)
        place = {"NAME": DATABASE, "HOST": told.hostname, "PORT": told.port}
        with working_on({**place, "USER": told.username, "PASSWORD": told.password}):
            assert checks._answers()
            before.lead_to(f"postgres://127.0.0.1:{free_port()}")
            wait_until(lambda: not checks._answers())


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
