"""Connections that hold to what limits their thread's wait, and that know what a failover leaves behind.

Two things limit it, and one loop looks at both. What `sessions_app.database.waiting` limits is given up: connection
and all, since the server may be frozen or the network gone. A statement that has run for too long is stopped: the
server cancels it, and the connection serves on. The server's own time limits do neither: they are the session's, and
behind a pooler would hold for whoever comes next; and libpq's for connecting knows whole seconds, two at least.
"""

import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from weakref import ReferenceType, ref

import psycopg
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg import pq
from psycopg.abc import PQGen

from sessions_app.database.postgresql.hosts import connect_to_last_first
from sessions_app.database.waiting import Deadline, Limit, current_limit, within

LOOK_EVERY_SECONDS = 0.1
CANCEL_SECONDS = 2.0
CANCEL_AGAIN_SECONDS = 1.0
# A connection that a health check does not get an answer from within that time is dead.
HEALTH_SECONDS = 5.0
# What PostgreSQL's warning comes from when a commit's wait for a synchronous standby was broken off. Its text depends
# on the server's language, and its code is that of any warning.
WAITS_FOR_STANDBY = "SyncRepWaitForLSN"
_connecting = ThreadPoolExecutor(thread_name_prefix="connecting")


class Connection(psycopg.Connection[Any]):
    is_given_up = False
    is_on_one_server_alone = False
    # By time.monotonic(): when the statement that runs has run for too long.
    _stop_at: float | None = None

    @contextmanager
    def stopped_after(self, seconds: float) -> Iterator[None]:
        """A statement in the block that runs for longer is cancelled: it fails with PostgreSQL's own error, 57014."""
        before, self._stop_at = self._stop_at, time.monotonic() + seconds
        try:
            yield
        finally:
            self._stop_at = before

    def wait(self, gen: PQGen[Any], *args: Any, **options: Any) -> Any:
        if self.is_given_up:
            raise TookTooLong("the connection was given up")
        limit = current_limit()
        is_limited = limit is not None or self._stop_at is not None
        try:
            waited = super().wait(self._looking(gen, limit) if is_limited else gen, *args, **options)
        except TookTooLong:
            self.is_given_up = True
            threading.Thread(target=self._cancel_and_close, name="cancelling", daemon=True).start()
            raise
        except Exception as error:
            self.tell_if_lost(error)
            raise
        if self.is_on_one_server_alone:
            self.is_on_one_server_alone = False
            raise OnOneServerAlone("the commit's wait for the synchronous standby was broken off")
        return waited

    def _looking(self, gen: PQGen[Any], limit: Limit | None) -> Generator[Any, Any, Any]:
        """The same waiting, which psycopg interrupts every 0.1 seconds to see whether anything else is up.

        The server's answer to a cancelled statement is waited for, unless the limit says otherwise.
        """
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready:
                    if limit is not None and limit.is_over:
                        raise TookTooLong("the patience with the database is over")
                    self._stop_when_due()
                wanted = gen.send(ready)
        except StopIteration as stop:
            return stop.value

    def _stop_when_due(self) -> None:
        if self._stop_at is not None and time.monotonic() > self._stop_at:
            self._stop_at = time.monotonic() + CANCEL_AGAIN_SECONDS  # it may have come between two statements
            with suppress(psycopg.Error):
                self.cancel_safe(timeout=CANCEL_SECONDS)

    def tell_if_lost(self, error: Exception) -> None:
        """Raise an error that says that the connection is lost, where it is and this error does not say so.

        Depending on the moment, libpq gives an error without a code, psycopg refuses to change a connection in an
        unknown state, or the system knows no such socket. A request waits out none of these but a lost connection.
        """
        is_libpqs = type(error) is psycopg.DatabaseError and not error.sqlstate
        if isinstance(error, psycopg.OperationalError) or not (is_libpqs or self.pgconn.status != pq.ConnStatus.OK):
            return
        raise psycopg.OperationalError(f"the connection is lost: {error}") from error

    def close(self) -> None:
        # The cancelling thread still needs it, and closes it itself.
        if not self.is_given_up:
            super().close()

    def _cancel_and_close(self) -> None:
        """A statement that waits for a lock shall not be carried out after all. Takes as long as the server does."""
        try:
            with suppress(psycopg.Error):
                self.cancel_safe(timeout=CANCEL_SECONDS)
        finally:
            super().close()


class TookTooLong(psycopg.OperationalError):
    pass


class OnOneServerAlone(psycopg.OperationalError):
    """It was committed, and PostgreSQL says so; but a failover may lose it, so it counts as not stored."""


class DatabaseWrapper(base.DatabaseWrapper):
    _commit_seconds: float | None = None

    @contextmanager
    def commits_stopped_after(self, seconds: float) -> Iterator[None]:
        """A transaction's commit in the block that takes longer is cancelled. If it waits for a synchronous standby
        alone, it is done on this server, and raises an OperationalError caused by OnOneServerAlone."""
        before, self._commit_seconds = self._commit_seconds, seconds
        try:
            yield
        finally:
            self._commit_seconds = before

    def commit(self) -> None:
        # Django sends a COMMIT past what wraps its statements.
        if self.connection is None or self._commit_seconds is None:
            super().commit()
            return
        with self.connection.stopped_after(self._commit_seconds):
            super().commit()

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        # Django's own method, which this replaces, sets it too, and its wrapper relies on it.
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        limit = current_limit()
        if limit is None or self.alias != DEFAULT_DB_ALIAS:  # the replica's readers hold none of LiveTok's threads
            return _connected(conn_params)
        # In another thread, since connecting has no moment at which it could be given up from here.
        future = _connecting.submit(_connected, conn_params)
        while True:
            try:
                return future.result(LOOK_EVERY_SECONDS)
            except TimeoutError:
                if limit.is_over:
                    future.add_done_callback(_close)
                    raise TookTooLong("the database takes no connection") from None

    def is_usable(self) -> bool:
        """Whether it answers and, the replica's aside, takes writing: a server that has become read-only is left
        behind, since another one may have taken over."""
        told = self.told_read_only()
        return told == "off" or (told is not None and self.alias != DEFAULT_DB_ALIAS)

    def told_read_only(self) -> str | None:
        """Whether the server is read-only: "on" or "off"; None where it does not say."""
        if self.connection is None:
            return None
        try:
            with within(current_limit() or Deadline(HEALTH_SECONDS)):
                row = self.connection.execute("SHOW transaction_read_only").fetchone()
        except psycopg.Error:
            return None
        return str(row[0]) if row else None


def _connected(conn_params: dict[str, Any]) -> Connection:
    connection = connect_to_last_first(Connection, conn_params)
    connection.add_notice_handler(partial(_heed, ref(connection)))
    return connection


def _heed(connection: "ReferenceType[Connection]", notice: psycopg.errors.Diagnostic) -> None:
    found = connection()
    if found is not None and notice.source_function == WAITS_FOR_STANDBY:
        found.is_on_one_server_alone = True


def _close(future: Future[Connection]) -> None:
    if future.exception() is None:
        future.result().close()
