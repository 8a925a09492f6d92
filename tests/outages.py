"""Taking a database away, and giving it back."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from django.db import connection

from sessions_app.pulse import pulse
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
