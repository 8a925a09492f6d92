"""Requests share the database's connections, whatever thread they run in."""

import json
import re
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from django.core.signals import request_finished, request_started
from django.db import OperationalError, connection, connections

from sessions_app.database import shared_connections
from sessions_app.database.patience import Patience, limited
from sessions_app.database.pulse import pulse
from sessions_app.database.shared_connections import share_connections
from sessions_app.database.sqlite.lock import LONG_MS, SHORT_MS, wait_at_leisure, wait_for_lock
from tests.builders import begin_body
from tests.live import ROOT, copied_set_up, new_environment

pytestmark = pytest.mark.django_db(transaction=True)

EACH_REQUEST_IN_ANOTHER_THREAD = """
import json, os, threading
from django.test import RequestFactory
from config.wsgi import application
from django.db.backends.signals import connection_created

opened, statuses = [], []
connection_created.connect(lambda connection, **signal: opened.append(threading.current_thread().name), weak=False)

def answer():
    headers = {"X-API-Key": os.environ["WEBHOOK_KEY"]}
    posted = RequestFactory(headers=headers).post(
        "/webhooks/livetok/begin", os.environ["WEBHOOK_BODY"], content_type="application/json"
    )
    response = application(posted.environ, lambda status, sent: statuses.append(status))
    list(response)
    response.close()

for number in range(8):
    thread = threading.Thread(target=answer, name="request")
    thread.start()
    thread.join()
print(json.dumps({"statuses": statuses, "opened": opened.count("request")}))
"""


@pytest.fixture(name="_shared")
def shared():
    kept = request_started.receivers[:], request_finished.receivers[:]
    # Those of the tests' own client would close what is looked at.
    request_finished.receivers = []
    share_connections()
    yield
    for free in (shared_connections._free, shared_connections._free_of_replica):
        for database in free:
            database.close()
        free.clear()
    request_started.receivers, request_finished.receivers = kept
    for signal in (request_started, request_finished):
        signal.sender_receivers_cache.clear()


@contextmanager
def request():
    request_started.send(None)
    try:
        connection.ensure_connection()
        yield connection.connection
    finally:
        request_finished.send(None)


def in_a_thread(work):
    done = []
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    thread.join()
    return done[0]


def one_request():
    with request() as used:
        return used


@pytest.mark.usefixtures("_shared")
def test_a_request_takes_the_connection_of_the_one_before_it_in_another_thread():
    assert in_a_thread(one_request) is in_a_thread(one_request)


@pytest.mark.usefixtures("_shared")
def test_requests_at_a_time_have_each_their_own_and_the_last_given_back_is_taken_first():
    def both():
        with request() as outer:
            return outer, in_a_thread(one_request)

    outer, inner = in_a_thread(both)

    assert outer is not inner
    assert in_a_thread(one_request) is outer
    assert len(shared_connections._free) == 2


@pytest.mark.usefixtures("_shared")
def test_a_connection_that_was_closed_is_not_given_back():
    def closing():
        with request():
            connection.close()

    in_a_thread(closing)

    assert shared_connections._free == []


@pytest.mark.usefixtures("_shared")
def test_a_thread_whose_request_was_broken_off_keeps_its_connection_for_the_next():
    def broken_off():
        request_started.send(None)
        connection.ensure_connection()
        return connection.connection, one_request()

    first, second = in_a_thread(broken_off)

    assert first is second
    assert len(shared_connections._free) == 1


@pytest.mark.usefixtures("_shared")
def test_a_connection_that_cannot_be_looked_after_is_left_behind(monkeypatch):
    """Before Django catches anything: LiveTok would get 500."""
    in_a_thread(one_request)
    [held] = shared_connections._free

    def fails():
        raise OperationalError("it cannot be closed")

    monkeypatch.setattr(held, "close_if_unusable_or_obsolete", fails)
    assert in_a_thread(one_request) is not held.connection
    held.close()


@pytest.mark.usefixtures("_shared")
def test_django_looks_after_the_connection_that_was_taken():
    in_a_thread(one_request)
    shared_connections._free[0].health_check_done = True

    def begins():
        request_started.send(None)
        try:
            return connections["default"].health_check_done
        finally:
            connection.ensure_connection()
            request_finished.send(None)

    assert in_a_thread(begins) is False


@pytest.mark.usefixtures("_shared")
def test_a_connection_from_before_an_outage_is_opened_anew_whoever_takes_it(monkeypatch):
    before = in_a_thread(one_request)
    monkeypatch.setattr(pulse, "outages", pulse.outages + 1)

    def webhook():
        with request(), limited(Patience()):
            connection.ensure_connection()
            return connection.connection

    after = in_a_thread(webhook)
    assert after is not before
    assert in_a_thread(webhook) is after


@pytest.mark.only("sqlite")
@pytest.mark.usefixtures("_shared")
def test_who_waits_at_leisure_does_so_on_a_connection_that_another_thread_had_told_to_be_quick():
    def waits(how) -> int:
        with request() as used:
            how()
            return used.execute("PRAGMA busy_timeout").fetchone()[0]

    assert in_a_thread(lambda: waits(lambda: wait_for_lock(SHORT_MS))) == SHORT_MS
    assert in_a_thread(lambda: waits(wait_at_leisure)) == LONG_MS
    assert in_a_thread(lambda: waits(lambda: wait_for_lock(SHORT_MS))) == SHORT_MS


@pytest.mark.serial
def test_requests_of_the_web_servers_application_open_one_connection_however_many_threads_answer_them(database_name):
    key = re.search(r"X-API-Key: (\S+)", copied_set_up(database_name).printed)[1]
    with new_environment(database_name, is_set_up=True) as env:
        done = subprocess.run(
            [sys.executable, "-c", EACH_REQUEST_IN_ANOTHER_THREAD],
            cwd=ROOT,
            env=env | {"WEBHOOK_KEY": key, "WEBHOOK_BODY": json.dumps(begin_body())},
            capture_output=True,
            text=True,
            check=True,
        )

    assert json.loads(done.stdout) == {"statuses": ["200 OK"] * 8, "opened": 1}
