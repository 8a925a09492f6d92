"""Connections that give up once the patience of their thread's request is over.

The server's own time limits do not help where the server is frozen or the network is gone, and libpq's for connecting
knows whole seconds, two at least.
"""

import threading
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.abc import PQGen

from sessions_app.database.patience import Patience, current_patience

LOOK_EVERY_SECONDS = 0.1
CANCEL_SECONDS = 2.0
_connecting = ThreadPoolExecutor(thread_name_prefix="connecting")


class Connection(psycopg.Connection[Any]):
    is_given_up = False

    def wait(self, gen: PQGen[Any], *args: Any, **options: Any) -> Any:
        if self.is_given_up:
            raise TookTooLong("the connection was given up")
        patience = current_patience()
        if patience is None:
            return super().wait(gen, *args, **options)
        try:
            return super().wait(_while_patient(gen, patience), *args, **options)
        except TookTooLong:
            self.is_given_up = True
            threading.Thread(target=self._cancel_and_close, name="cancelling", daemon=True).start()
            raise

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
    """The same waiting, which psycopg interrupts every 0.1 seconds to see whether anything else is up."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and patience.is_over:
                raise TookTooLong("the request's patience with the database is over")
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
