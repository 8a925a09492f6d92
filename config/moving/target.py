"""The PostgreSQL database that is moved to, and how far the move is: kept in a table of its own until it is done."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from environ import Env
from psycopg import pq, sql

from config.moving.tables import Table, migrations_table, tables

MARK_TABLE = "frontdesk_move"
READ_AT_ONCE = 2000


class MoveFailed(Exception):
    """The move cannot begin or go on; says why, and what to do."""


class Target:
    """`url` as for DATABASE_URL. One connection, which commits by `transaction()`."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.connection = psycopg.connect(**_parameters(url), autocommit=True)
        except psycopg.Error as error:
            raise MoveFailed(f"URL: the database does not answer: {str(error).strip()}") from error

    def close(self) -> None:
        self.connection.close()

    def has_mark(self) -> bool:
        return MARK_TABLE in self._existing([MARK_TABLE])

    def existing_tables(self) -> list[str]:
        """Which of Frontdesk's tables are there."""
        return self._existing([table.name for table in (*tables(), migrations_table())])

    def _existing(self, names: Sequence[str]) -> list[str]:
        query = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NOT NULL"
        return sorted(name for (name,) in self.connection.execute(query, [names]))

    def begin(self, source: str) -> None:
        """Claim the empty database for the move of `source`."""
        with self.connection.transaction():
            self.connection.execute(f"CREATE TABLE {MARK_TABLE} (name text PRIMARY KEY, value jsonb NOT NULL)")
            self.remember("source", source)

    def remember(self, name: str, value: Any) -> None:
        self.connection.execute(
            f"INSERT INTO {MARK_TABLE} VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [name, json.dumps(value)],
        )

    def remembered(self, name: str) -> Any:
        row = self.connection.execute(f"SELECT value FROM {MARK_TABLE} WHERE name = %s", [name]).fetchone()
        return row[0] if row else None

    def drop_all(self) -> None:
        """What an unfinished move left."""
        names = [*self.existing_tables(), MARK_TABLE]
        listed = sql.SQL(", ").join(map(sql.Identifier, names))
        self.connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(listed))

    def make_tables(self) -> None:
        """Made by the migrations; then emptied of what those wrote.

        The list of migrations is emptied too: until it is moved, at the end, no Frontdesk starts on this database.
        """
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        # An empty variable is one that is not set: the address shall come from nowhere else.
        env = os.environ | {"DATABASE_URL": self.url, "DATABASE_URL_FILE": ""}
        done = subprocess.run(command, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["it does not say why"]
            raise MoveFailed(f"URL: the tables cannot be made: {last[0]}")
        with self.connection.transaction():
            listed = sql.SQL(", ").join(sql.Identifier(table.name) for table in (*tables(), migrations_table()))
            self.connection.execute(sql.SQL("TRUNCATE {}").format(listed))
            self.remember("tables", "made")

    def copy(self, table: Table, rows: Iterator[tuple[Any, list[Any]]], at: dict[str, Any]) -> dict[str, Any]:
        """Store some rows, and how far that is, together. `at` is the last key so far and how many rows that were.

        Raises MoveFailed with the key of a row that PostgreSQL does not take.
        """
        keys = []
        try:
            with self.connection.transaction():
                # Those of this move that a crash of the server undoes are copied again.
                self.connection.execute("SET LOCAL synchronous_commit = off")
                with self.connection.cursor() as cursor, cursor.copy(table.into_postgresql()) as copying:
                    for key, values in rows:
                        keys.append(key)
                        copying.write_row(values)
                if keys:
                    at = {"key": keys[-1], "rows": at["rows"] + len(keys)}
                self.remember(table.name, at if keys else at | {"is_whole": True})
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise MoveFailed(_in_words(table, keys, error)) from error
        return at | {"is_whole": not keys}

    def rows_of(self, table: Table) -> Iterator[Sequence[Any]]:
        """All rows, as SQLite holds them."""
        with self.connection.transaction(), self.connection.cursor("moving") as cursor:
            cursor.itersize = READ_AT_ONCE
            cursor.execute(table.as_sqlite_holds_it())
            yield from cursor

    def set_sequence(self, table: Table, last: int) -> None:
        """The next row's number is the one behind `last`, the highest that SQLite ever gave."""
        sequence = sql.SQL("pg_get_serial_sequence({}, {})").format(f'"{table.name}"', table.key)
        self.connection.execute(sql.SQL("SELECT setval({}, %s, %s)").format(sequence), [max(last, 1), last > 0])

    def finish(self, migrations: Iterator[tuple[Any, list[Any]]], last: int) -> None:
        """It is a whole database from now on."""
        table = migrations_table()
        with self.connection.transaction():
            with self.connection.cursor() as cursor, cursor.copy(table.into_postgresql()) as copying:
                for _, values in migrations:
                    copying.write_row(values)
            self.set_sequence(table, last)
            self.connection.execute(f"DROP TABLE {MARK_TABLE}")
        self.connection.execute("ANALYZE")


def _in_words(table: Table, keys: Sequence[Any], error: psycopg.Error) -> str:
    """PostgreSQL counts the lines of what it was sent."""
    line = (error.diag.context or "").partition(", line ")[2].split(",")[0].split(":")[0]
    row = "a row"
    if line.isdecimal() and int(line) <= len(keys):
        row = f"the row with the {table.key} {keys[int(line) - 1]}"
    elif error.sqlstate is None:  # it was not even sent
        row = f"the row with the {table.key} {keys[-1]}"
    said = str(error).strip()
    return f"{table.name}: PostgreSQL does not take {row}: {said}. Mend or delete it, then run move_to again."


def _parameters(url: str) -> dict[str, Any]:
    """For psycopg, read as Frontdesk itself will read the address."""
    sample = "postgres://user:password@127.0.0.1:5432/frontdesk"
    try:
        with warnings.catch_warnings(action="ignore"):  # which repeat it
            found = Env.db_url_config(url)
    except (ImproperlyConfigured, KeyError, ValueError) as error:
        raise MoveFailed(
            f"URL: it cannot be read. Give an address such as {sample}. What is special in an address, such as / in a "
            "password, is written as %2F."
        ) from error
    if found.get("ENGINE") != "django.db.backends.postgresql" or not found.get("NAME"):
        raise MoveFailed(f"URL: it names no PostgreSQL database. Give an address such as {sample}")
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    parameters = {theirs: found[ours] for ours, theirs in names.items() if found.get(ours)}
    return parameters | {name: value for name, value in found.get("OPTIONS", {}).items() if name in known}
