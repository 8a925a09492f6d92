"""A thread's database connection ends with the thread, whenever Python looks for garbage."""

import gc
import sqlite3
import threading

import psycopg
import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from config import thread_connections
from config.thread_connections import close_with_thread


@pytest.fixture
def no_garbage_collection():
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def bound_to_threads(no_garbage_collection):
    close_with_thread()
    yield
    connection_created.disconnect(thread_connections._bind_to_thread)


@pytest.fixture
def file_of_its_own(tmp_path, monkeypatch, database_name):
    """Django never closes the tests' own SQLite database, which is in memory."""
    if database_name == "sqlite":
        monkeypatch.setitem(connection.settings_dict, "NAME", str(tmp_path / "database.sqlite3"))


def opened_in_a_thread(times: int) -> list[sqlite3.Connection | psycopg.Connection]:
    """The driver's connections, of a thread that has ended. Each but the last was closed before the next was opened."""
    opened = []

    def work():
        for _ in range(times):
            connection.close()
            connection.ensure_connection()
            opened.append(connection.connection)
        assert not is_closed(opened[-1])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(opened) == times
    return opened


def is_closed(opened) -> bool:
    if isinstance(opened, psycopg.Connection):
        return opened.closed
    try:
        opened.execute("SELECT 1")
    except sqlite3.ProgrammingError as error:
        return "closed database" in str(error)
    return False


@pytest.mark.django_db(transaction=True)
def test_a_connection_ends_with_its_thread(bound_to_threads, file_of_its_own):
    assert is_closed(opened_in_a_thread(1)[0])


@pytest.mark.django_db(transaction=True)
def test_so_does_one_that_was_opened_anew(bound_to_threads, file_of_its_own):
    assert all(is_closed(each) for each in opened_in_a_thread(3))
