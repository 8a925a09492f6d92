"""Connections that give up once the patience of their thread's request is over, and that stop a page's long statements.

The server's own time limits do not help where the server is frozen or the network is gone, and libpq's for connecting
knows whole seconds, two at least. And what a session was told to hold to, behind a pooler holds for whoever comes next.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.abc import PQGen

from sessions_app.database.patience import Patience, current_patience

LOOK_EVERY_SECONDS = 0.1
CANCEL_SECONDS = 2.0
CANCEL_AGAIN_SECONDS = 1.0
_connecting = ThreadPoolExecutor(thread_name_prefix="connecting")


class Connection(psycopg.Connection[Any]):
    is_given_up = False
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
        patience = current_patience()
        if patience is None:
            return super().wait(gen if self._stop_at is None else self._until_stopped(gen), *args, **options)
        try:
            return super().wait(_while_patient(gen, patience), *args, **options)
        except TookTooLong:
            self.is_given_up = True
            threading.Thread(target=self._cancel_and_close, name="cancelling", daemon=True).start()
            raise

    def _until_stopped(self, gen: PQGen[Any]) -> Generator[Any, Any, Any]:
        """The same waiting. The server's answer to a cancelled statement is waited for: the connection serves on."""

        def look() -> None:
            if self._stop_at is not None and time.monotonic() > self._stop_at:
                self._stop_at = time.monotonic() + CANCEL_AGAIN_SECONDS  # it may have come between two statements
                with suppress(psycopg.Error):
                    self.cancel_safe(timeout=CANCEL_SECONDS)

        return _looking(gen, look)

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


def _while_patient(gen: PQGen[Any], patience: Patience) -> Generator[Any, Any, Any]:
    def look() -> None:
        if patience.is_over:
            raise TookTooLong("the request's patience with the database is over")

    return _looking(gen, look)


def _looking(gen: PQGen[Any], look: Callable[[], None]) -> Generator[Any, Any, Any]:
    """The same waiting, which psycopg interrupts every 0.1 seconds to see whether anything else is up."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready:
                look()
            wanted = gen.send(ready)
    except StopIteration as stop:
        return stop.value


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        # Django's own method, which this replaces, sets it too, and its wrapper relies on it.
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        patience = current_patience()
        if patience is None:
            return Connection.connect(**conn_params)
        # In another thread, since connecting has no moment at which it could be given up from here.
        future = _connecting.submit(Connection.connect, **conn_params)
        while True:
            try:
                return future.result(LOOK_EVERY_SECONDS)
            except TimeoutError:
                if patience.is_over:
                    future.add_done_callback(_close)
                    raise TookTooLong("the database takes no connection") from None


def _close(future: Future[Connection]) -> None:
    if future.exception() is None:
        future.result().close()
