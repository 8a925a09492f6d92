"""Several statements as one on SQLite, which has no other way to take them in one call.

Between any two of Python's calls another thread may run, and everybody else waits for the write lock meanwhile. So the
steps are a trigger on a view that each connection has for itself, and inserting a row into the view runs them: all or
none, in one transaction. What is stored so is synced when the lock is free again, and others write in that time.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

from django.db import IntegrityError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app.database.prepared import PARAMETER, connected, for_sqlite
from sessions_app.database.pulse import pulse
from sessions_app.database.sqlite.turns import turn_to_write


def run_steps(steps: tuple[str, ...], parameters: Mapping[str, Any]) -> bool:
    """Run statements that insert or update, with `%(name)s` for the parameters, which they share.

    False, with nothing changed, where one of them changed no row. Otherwise what they wrote is on disk when this
    returns; inside a transaction of Django's, when that has ended. Raises what the database raises, and
    OperationalError where nobody knows whether it is on disk.
    """
    database = connected()
    view = _view(steps)
    values = list(for_sqlite({name: parameters[name] for name in view.parameters}).values())
    try:
        if database.in_atomic_block:
            _insert(database, view, values)
        else:
            with _synced_afterwards(database), turn_to_write():
                _insert(database, view, values)
    except IntegrityError as error:
        if getattr(error.__cause__, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_TRIGGER":
            return False
        raise
    pulse.beat()
    return True


@dataclass(frozen=True)
class _View:
    name: str
    parameters: tuple[str, ...]
    makings: tuple[str, str]
    insert: str


_numbers = count()


@cache
def _view(steps: tuple[str, ...]) -> _View:
    name = f"steps_{next(_numbers)}"
    parameters = tuple(dict.fromkeys(parameter for step in steps for parameter in PARAMETER.findall(step)))
    columns = ", ".join(f"NULL AS {parameter}" for parameter in parameters)
    body = "".join(f"{step}; SELECT RAISE(ABORT, 'no row') WHERE changes() = 0; " for step in steps)
    makings = (
        f"CREATE TEMP VIEW {name} AS SELECT {columns}",
        f"CREATE TEMP TRIGGER {name}_run INSTEAD OF INSERT ON {name} BEGIN {PARAMETER.sub(_of_the_row, body)}END",
    )
    return _View(name, parameters, makings, f"INSERT INTO {name} VALUES ({', '.join('?' for _ in parameters)})")


def _of_the_row(parameter: re.Match[str]) -> str:
    return f"NEW.{parameter[1]}"


def _insert(database: BaseDatabaseWrapper, view: _View, values: list[Any]) -> None:
    try:
        _store(database, view.insert, values)
    except OperationalError as error:
        if str(error) != f"no such table: {view.name}":
            raise
        for making in view.makings:  # for the first time, or made in a transaction that was undone
            _execute(database, making)
        _store(database, view.insert, values)


def _store(database: BaseDatabaseWrapper, sql: str, values: Sequence[Any]) -> None:
    if database.queries_logged:
        with database.cursor() as cursor:
            cursor.execute(sql.replace("?", "%s"), values)
    else:
        _execute(database, sql, values)


def _execute(database: BaseDatabaseWrapper, sql: str, values: Sequence[Any] = ()) -> None:
    with database.wrap_database_errors:
        database.connection.execute(sql, values)


@contextmanager
def _synced_afterwards(database: BaseDatabaseWrapper) -> Iterator[None]:
    """What is committed in the block is synced at its end, and not while it is committed, as all else is.

    SQLite would sync its log with the write lock held. What others read from it until then, they can acknowledge only
    after a sync of the same log.
    """
    try:
        log = os.open(f"{database.settings_dict['NAME']}-wal", os.O_RDONLY)
    except FileNotFoundError:  # a database in memory
        yield
        return
    try:
        _execute(database, "PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            _execute(database, "PRAGMA synchronous = FULL")
        try:
            os.fdatasync(log)
        except OSError as error:
            raise OperationalError(f"the write-ahead log could not be synced: {error}") from error
    finally:
        os.close(log)
