"""Taking a database away, and giving it back."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg
from django.db import connection

from sessions_app.database.pulse import pulse
from tests.databases import PostgresServer

PATIENCE_SECONDS = 10


@contextmanager
def database_away() -> Iterator[None]:
    """Nobody in this process reaches the tests' own database in this block.

    For tests without a transaction around them.
    """
    nowhere = {"NAME": "/nowhere/at/all", "PORT": "1"}
    here = {name: connection.settings_dict[name] for name in nowhere}
    connection.close()
    connection.settings_dict.update(nowhere)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(here)
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while pulse.is_in_doubt:
            assert time.monotonic() < give_up_at, "the database is not seen to be back"
            time.sleep(0.01)


@contextmanager
def database_locked() -> Iterator[None]:
    """Somebody else keeps the tests' own database from being written in this block; it can be read.

    For tests without a transaction around them.
    """
    if connection.vendor == "sqlite":
        with locked(f"sqlite:///{connection.settings_dict['NAME']}"):
            yield
    else:
        with psycopg.connect(address_of_the_database()) as other:
            other.execute("LOCK TABLE sessions_app_session, sessions_app_webhookevent IN EXCLUSIVE MODE")
            yield
            other.rollback()
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while pulse.is_in_doubt:
        assert time.monotonic() < give_up_at, "the database is not seen to be free again"
        time.sleep(0.01)


def address_of_the_database() -> str:
    told = connection.get_connection_params()
    names = {"dbname": "dbname", "host": "host", "port": "port", "user": "user", "password": "password"}
    return psycopg.conninfo.make_conninfo(**{ours: told[theirs] for ours, theirs in names.items() if told.get(theirs)})


@contextmanager
def killed(postgres: PostgresServer) -> Iterator[None]:
    postgres.process.send_signal(signal.SIGQUIT)  # PostgreSQL's "immediate shutdown"
    postgres.process.wait(PATIENCE_SECONDS)
    try:
        yield
    finally:
        postgres.start_again()


@contextmanager
def frozen(postgres: PostgresServer) -> Iterator[None]:
    """As it looks from here when a machine is gone: connections stand, and nobody answers."""
    server = psutil.Process(postgres.process.pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """An SQLite file, by somebody who does not let go."""
    connection = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()
