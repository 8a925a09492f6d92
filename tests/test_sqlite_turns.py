"""Processes take turns to write on SQLite, by a lock on a file."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from sessions_app.database import pieces
from sessions_app.database.patience import Patience, limited
from sessions_app.database.prepared import djangos_transaction
from sessions_app.database.sqlite import turns
from sessions_app.database.sqlite.turns import turn_to_write
from sessions_app.models import RefusedRequests, WebhookEvent
from sessions_app.recording.retention import delete_events
from sessions_app.webhook.hourly import HourlyCounter
from sessions_app.webhook.refused import write_refused

pytestmark = pytest.mark.only("sqlite")

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "wb")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def turn_file(tmp_path, monkeypatch):
    database = tmp_path / "database.sqlite3"
    monkeypatch.setitem(connection.settings_dict, "NAME", str(database))
    return tmp_path / "database.sqlite3-turn"


@contextmanager
def another_process_in_its_turn(turn_file):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(turn_file)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.django_db(transaction=True)
def test_a_turn_waits_for_that_of_another_process_until_the_patience_is_over(turn_file):
    began = time.monotonic()
    with another_process_in_its_turn(turn_file), limited(Patience(0.2)):
        take_no_turn()
    assert 0.2 < time.monotonic() - began < 2


def test_where_nobody_is_in_a_hurry_a_turn_is_waited_for_a_while(turn_file, monkeypatch):
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.1)
    with another_process_in_its_turn(turn_file):
        take_no_turn()


def test_a_process_that_is_killed_in_its_turn_leaves_it_to_the_next(turn_file):
    with another_process_in_its_turn(turn_file) as other:
        other.kill()
        other.wait()
        take_turn()


def test_whoever_gave_up_keeps_no_turn(turn_file, monkeypatch):
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.1)
    with another_process_in_its_turn(turn_file):
        take_no_turn()
    take_turn()


def test_a_file_that_cannot_be_made_is_the_databases_error_and_names_itself(turn_file):
    turn_file.parent.rmdir()
    with pytest.raises(OperationalError, match=r"No such file or directory: .*-turn"):
        take_turn()


@pytest.mark.django_db(transaction=True)
def test_strangers_are_counted_in_turn_and_not_by_chance_between_two_writes(caplog):
    """SQLite's own wait is over after a tenth of a second, and the database would be taken to be away."""
    begun = threading.Event()

    def write_for_a_while():
        try:
            with djangos_transaction():
                begun.set()
                time.sleep(0.5)
        finally:
            connection.close()

    writing = threading.Thread(target=write_for_a_while)
    writing.start()
    begun.wait()
    with limited(Patience(5)):
        HourlyCounter(write_refused).count("10.0.0.1")
    writing.join()

    assert RefusedRequests.objects.get().count == 1
    assert not caplog.records


@pytest.mark.django_db(transaction=True)
def test_old_requests_are_deleted_in_turn(monkeypatch):
    """Or LiveTok's requests, which have theirs, would look for SQLite's own lock now and then, and miss the pauses."""
    monkeypatch.setattr(pieces, "BULK_TURN_SECONDS", 0.1)
    now = timezone.now()
    WebhookEvent.objects.create(received_at=now - timedelta(days=1), verdict="accepted", status=200, took_ms=1)
    taken, is_over = threading.Event(), threading.Event()

    def request():
        with turn_to_write():
            taken.set()
            is_over.wait(10)

    requesting = threading.Thread(target=request)
    requesting.start()
    assert taken.wait(10)
    try:
        with pytest.raises(OperationalError, match="database is locked"):
            delete_events(now)
    finally:
        is_over.set()
        requesting.join()
    assert delete_events(now) == 1


def take_turn():
    with turn_to_write():
        pass


def take_no_turn():
    with pytest.raises(OperationalError, match="database is locked"):
        take_turn()
