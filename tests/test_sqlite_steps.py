"""Steps that SQLite stores as one: all of them or none, on disk before anybody is told."""

import os
import threading
import time
from contextlib import suppress

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.utils import timezone

from sessions_app.database.patience import Patience, limited
from sessions_app.database.prepared import STATEMENT_SECONDS, fetch
from sessions_app.database.sqlite.steps import run_steps
from sessions_app.database.sqlite.turns import turn_to_write
from sessions_app.models import RefusedRequests

pytestmark = [pytest.mark.only("sqlite"), pytest.mark.django_db(transaction=True)]

TABLE = RefusedRequests._meta.db_table
HOUR = timezone.now().replace(minute=0, second=0, microsecond=0)
INSERT = f"INSERT INTO {TABLE} (hour, count, last_address, last_at) VALUES (%(hour)s, %(count)s, '', %(hour)s)"
ADD = f"UPDATE {TABLE} SET count = count + %(count)s WHERE hour = %(hour)s"
ADD_TO_MANY = f"{ADD} AND count > 10"
VALUES = {"hour": HOUR, "count": 2}


def test_each_step_finds_what_those_before_it_did():
    assert run_steps((INSERT, ADD), VALUES)

    assert RefusedRequests.objects.get().count == 4


def test_where_a_step_changes_nothing_none_has():
    assert not run_steps((INSERT, ADD_TO_MANY), VALUES)

    assert not RefusedRequests.objects.exists()


def test_what_the_database_refuses_is_raised_and_nothing_is_stored():
    with pytest.raises(IntegrityError, match="UNIQUE"):
        run_steps((INSERT, INSERT), VALUES)

    assert not RefusedRequests.objects.exists()


def test_within_a_transaction_of_djangos_they_end_with_it():
    with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012 - what is undone
        assert run_steps((INSERT,), VALUES)
        assert not run_steps((ADD_TO_MANY,), VALUES)  # and what was stored before stays
        assert RefusedRequests.objects.get().count == 2
        raise ZeroDivisionError
    assert not RefusedRequests.objects.exists()

    assert run_steps((INSERT,), VALUES)


def test_a_new_connection_knows_them_too():
    assert run_steps((INSERT,), VALUES)
    connection.close()

    assert run_steps((ADD,), VALUES)


def test_each_is_a_query_of_the_debugger(django_assert_num_queries):
    with django_assert_num_queries(2) as captured:
        run_steps((INSERT, ADD), VALUES)

    assert captured[0]["sql"].startswith("INSERT INTO")


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The write-ahead log of a database on disk, which this thread's connection has."""
    database = tmp_path / "database.sqlite3"
    monkeypatch.setitem(connection.settings_dict, "NAME", str(database))
    connection.close()
    connection.ensure_connection()
    connection.connection.execute("CREATE TABLE hours (hour text PRIMARY KEY)")
    yield tmp_path / "database.sqlite3-wal"
    connection.connection.close()
    connection.connection = None


INSERT_HOUR = "INSERT INTO hours VALUES (%(hour)s)"


def test_the_log_is_synced_when_others_may_write_again(log, monkeypatch):
    synced = []

    def sync(file):
        (hours,) = connection.connection.execute("SELECT count(*) FROM hours").fetchone()
        synced.append((os.readlink(f"/proc/self/fd/{file}"), hours))
        with turn_to_write():
            pass

    monkeypatch.setattr(os, "fdatasync", sync)
    assert run_steps((INSERT_HOUR,), VALUES)

    assert synced == [(str(log), 1)]


def test_whatever_else_is_written_is_synced_by_sqlite_itself(log):
    run_steps((INSERT_HOUR,), VALUES)
    with suppress(IntegrityError):
        run_steps((INSERT_HOUR,), VALUES)

    assert connection.connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_what_could_not_be_synced_is_not_acknowledged(log, monkeypatch):
    def fail(file):
        raise OSError("the disk is gone")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OperationalError, match="the disk is gone"):
        run_steps((INSERT_HOUR,), VALUES)


def test_threads_that_write_take_turns():
    stored = []

    def write(count):
        fetch("PRAGMA busy_timeout = 0", {})  # SQLite itself lets nobody wait
        stored.append(run_steps((ADD,), {"hour": HOUR, "count": count}))
        connections.close_all()

    run_steps((INSERT,), VALUES)
    threads = [threading.Thread(target=write, args=[count]) for count in range(8)]
    with turn_to_write():
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        assert stored == []
    for thread in threads:
        thread.join()

    assert stored == [True] * 8
    assert RefusedRequests.objects.get().count == 2 + sum(range(8))


def test_waiting_for_the_turn_ends_with_the_requests_patience():
    waited = []

    def wait():
        started = time.monotonic()
        with suppress(OperationalError), limited(Patience(0.2)):
            run_steps((INSERT,), VALUES)
        waited.append(time.monotonic() - started)
        connections.close_all()

    waiting = threading.Thread(target=wait)
    with turn_to_write():
        waiting.start()
        waiting.join()

    assert 0.2 < waited[0] < STATEMENT_SECONDS / 2
    assert not RefusedRequests.objects.exists()
