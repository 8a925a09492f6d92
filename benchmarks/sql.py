"""Ask a database by its URL, beside Frontdesk."""

import sqlite3
from contextlib import closing
from typing import Any

import psycopg

PATIENCE_SECONDS = 30


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=PATIENCE_SECONDS)) as connection:
            return connection.execute(query).fetchall()
    with psycopg.connect(url) as server:
        return server.execute(query).fetchall()


def execute(url: str, statement: str) -> int:
    """How many rows it changed."""
    if url.startswith("sqlite:"):
        with (
            closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=PATIENCE_SECONDS)) as connection,
            connection,
        ):
            return connection.execute(statement).rowcount
    with psycopg.connect(url) as server:
        return server.execute(statement).rowcount
