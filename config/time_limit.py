"""How long a statement or a commit of a page or of the API may take. LiveTok's requests have limits of their own."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from sessions_app.database.postgresql.base import DatabaseWrapper
from sessions_app.database.shared_connections import take_replica

Handler = Callable[[HttpRequest], HttpResponseBase]

STATEMENT_SECONDS = 30
# A commit waits for little but a synchronous standby. Less than others wait in line for a turn (config.rooms): else two
# who wait for a standby that is away would keep all of them out.
COMMIT_SECONDS = 5
# Some ten milliseconds of SQLite's: it asks whether to go on, and each time may wait for Python's lock.
LOOK_EVERY_STEPS = 1_000_000


def limited_statements(get_response: Handler) -> Handler:
    """Until a request has its answer: what a download reads while it streams comes later, in pieces."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        database = connections[DEFAULT_DB_ALIAS]
        limit = _SqliteLimit() if database.vendor == "sqlite" else _limit_on_postgresql
        replica = take_replica()
        commits = database.commits_stopped_after(COMMIT_SECONDS) if isinstance(database, DatabaseWrapper) else None
        with (
            database.execute_wrapper(limit),
            commits or nullcontext(),
            replica.execute_wrapper(limit) if replica else nullcontext(),
        ):
            try:
                return get_response(request)
            finally:
                if isinstance(limit, _SqliteLimit):
                    limit.lift()

    return middleware


def was_stopped(error: BaseException | None) -> bool:
    """Whether the limit ended a statement."""
    cause = getattr(error, "__cause__", None)
    return getattr(cause, "sqlstate", "") == "57014" or getattr(cause, "sqlite_errorname", "") == "SQLITE_INTERRUPT"


def _limit_on_postgresql(execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    with context["connection"].connection.stopped_after(STATEMENT_SECONDS):
        return execute(sql, params, many, context)


class _SqliteLimit:
    """Of one request. What a regular expression takes cannot be stopped: no page takes one from anybody."""

    def __init__(self) -> None:
        self._driver: Any = None
        self._started = 0.0

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        driver = context["connection"].connection
        if driver is not self._driver:
            self.lift()
            driver.set_progress_handler(self._is_over, LOOK_EVERY_STEPS)
            self._driver = driver
        self._started = time.monotonic()
        return execute(sql, params, many, context)

    def _is_over(self) -> bool:
        return time.monotonic() - self._started > STATEMENT_SECONDS

    def lift(self) -> None:
        if self._driver is not None:
            with suppress(sqlite3.ProgrammingError):  # it was closed meanwhile, say because its database failed
                self._driver.set_progress_handler(None, 0)
