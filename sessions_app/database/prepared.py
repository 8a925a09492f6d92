"""Running the webhook's few hand-written statements at the least cost, prepared where the database prepares.

Behind a pooler that gives each transaction another of the server's connections, they go without a name, in one message
with their values: what one connection has prepared, the next one lacks (DATABASE_PREPARE).

A cursor translates a statement and finds a converter for each value, each time: with the fifty values of a begin
that costs more than the database's own work. So plain values go to the driver as they are, and PostgreSQL's answers
come as text. Inside a transaction of Django's, what runs here is part of it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import atomic
from psycopg import generators, pq
from psycopg.pq.abc import PGconn, PGresult

from sessions_app.database.pulse import pulse
from sessions_app.database.sqlite.turns import turn_to_write

Rows: TypeAlias = Sequence[Sequence[Any]]

IS_SQLITE = connection.vendor == "sqlite"
# Where no request's patience ends it first, a statement is given up after that long: somebody else holds its locks, or
# the database is away without saying so.
STATEMENT_SECONDS = 5.0


def fetch(sql: str, parameters: Mapping[str, Any]) -> Rows:
    """The rows of one statement with `%(name)s` for each parameter. It selects texts and whole numbers.

    PostgreSQL gives both as text. Raises OperationalError where no answer comes within STATEMENT_SECONDS; whether the
    statement was carried out is then unknown, and the connection is closed.
    """
    database = connected()
    # Tests count statements, and only a cursor of Django's notes them.
    if database.queries_logged:
        with database.cursor() as cursor:
            cursor.execute(sql, for_sqlite(parameters) if IS_SQLITE else parameters)
            return cursor.fetchall() if cursor.description else []
    with database.wrap_database_errors:
        if IS_SQLITE:
            rows: Rows = database.connection.execute(_named(sql), for_sqlite(parameters)).fetchall()
            return rows
        driver = database.connection
        try:
            return _fetch_from_postgresql(database, sql, parameters)
        except Exception as error:
            driver.tell_if_lost(error)
            raise


def execute(sql: str, parameters: Mapping[str, Any]) -> None:
    """One statement with `%(name)s` for each parameter that selects nothing. Raises as `fetch` does."""
    fetch(sql, parameters)


def changed_rows(database: BaseDatabaseWrapper, sql: str, values: Mapping[str, Any]) -> int:
    """How many rows one statement changes on SQLite, by values of `for_sqlite`. Raises the driver's own errors."""
    if database.queries_logged:
        with database.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.rowcount
    changed: int = database.connection.execute(_named(sql), values).rowcount
    return changed


@contextmanager
def djangos_transaction(turn_seconds: float | None = None) -> Iterator[None]:
    """`transaction.atomic()`, but in this thread's turn where it is SQLite's: within `turn_seconds`, or not at all."""
    with turn_to_write(turn_seconds), atomic():
        if IS_SQLITE:
            pulse.beat()
        yield


def connected() -> BaseDatabaseWrapper:
    """This thread's connection, open."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.connection is None:
        database.ensure_connection()
    return database


@cache
def _named(sql: str) -> str:
    """The statement with SQLite's own `:name`."""
    return PARAMETER.sub(r":\1", sql)


@cache
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with PostgreSQL's own `$1`, and the parameters' names in that order."""
    names = tuple(dict.fromkeys(PARAMETER.findall(sql)))
    numbers = {name: f"${number}" for number, name in enumerate(names, start=1)}
    return PARAMETER.sub(lambda match: numbers[match[1]], sql).encode(), names


PARAMETER = re.compile(r"%\((\w+)\)s")


def for_sqlite(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as Django writes them to SQLite."""
    return {
        name: value if type(value) not in _SQLITE else _SQLITE[type(value)](value) for name, value in parameters.items()
    }


# As Django writes them.
_SQLITE: dict[type, Callable[[Any], str]] = {
    datetime: lambda moment: moment.astimezone(UTC).replace(tzinfo=None).isoformat(" "),
    date: date.isoformat,
}
_POSTGRESQL: dict[type, Callable[[Any], bytes | None]] = {
    type(None): lambda nothing: None,
    str: str.encode,
    bytes: lambda value: b"\\x" + value.hex().encode(),
    bool: lambda value: b"t" if value else b"f",
    datetime: lambda moment: moment.isoformat().encode(),
    date: lambda day: day.isoformat().encode(),
}


def _in_text(value: Any) -> bytes:
    return str(value).encode()


# The names of what each connection has prepared; PostgreSQL forgets them with the connection, and so does this.
_prepared: WeakKeyDictionary[psycopg.Connection[Any], dict[str, bytes]] = WeakKeyDictionary()


def _fetch_from_postgresql(database: BaseDatabaseWrapper, sql: str, parameters: Mapping[str, Any]) -> Rows:
    server: PGconn = database.connection.pgconn
    if database.in_atomic_block and server.transaction_status == pq.TransactionStatus.IDLE:
        server.send_query(b"BEGIN")  # which psycopg leaves to the first of its own cursors
        _awaited(database)
    statement, names = _numbered(sql)
    texts = [_POSTGRESQL.get(type(value), _in_text)(value) for value in map(parameters.__getitem__, names)]
    if settings.DATABASE_PREPARE:
        server.send_query_prepared(_prepared_name(database, sql, statement), texts)
    else:
        server.send_query_params(statement, texts)
    result = _awaited(database)
    return [[_text(result, row, column) for column in range(result.nfields)] for row in range(result.ntuples)]


def _prepared_name(database: BaseDatabaseWrapper, sql: str, statement: bytes) -> bytes:
    prepared = _prepared.setdefault(database.connection, {})
    if sql not in prepared:
        name = b"frontdesk_%d" % len(prepared)
        database.connection.pgconn.send_prepare(name, statement)
        _awaited(database)
        prepared[sql] = name
    return prepared[sql]


def _awaited(database: BaseDatabaseWrapper) -> PGresult:
    """The result of what was sent."""
    try:
        results = database.connection.wait(generators.execute(database.connection.pgconn), timeout=STATEMENT_SECONDS)
        if not results:
            raise psycopg.OperationalError("the server gave no result")
    except psycopg.OperationalError:
        database.close()  # an answer that comes late would be taken for the next statement's
        raise
    result: PGresult = results[-1]
    if result.status not in _GOOD:
        raise psycopg.errors.error_from_result(result)
    return result


_GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


def _text(result: PGresult, row: int, column: int) -> str | None:
    value = result.get_value(row, column)
    return None if value is None else value.decode()
