"""The least SQL that a session needs, as fast as the database runs it: what nothing above it can beat.

A begin reads customer, tier, limits and usage and inserts; an end updates, with its usage.
"""

import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks.traffic import AMOUNTS, DURATION_SECONDS, TIERS
from tests.databases import PostgresServer, make_database

CLIENTS = 4
NAME = "floor"

TABLES = """
CREATE TABLE tier (id integer PRIMARY KEY, name text NOT NULL, context text NOT NULL);
CREATE TABLE tier_limit (tier_id integer NOT NULL, metric text NOT NULL, period text NOT NULL, amount integer NOT NULL,
    PRIMARY KEY (tier_id, metric, period));
CREATE TABLE customer (id integer PRIMARY KEY, phone bigint NOT NULL UNIQUE, tier_id integer NOT NULL);
CREATE TABLE usage (customer_id integer NOT NULL, day date NOT NULL, sessions integer NOT NULL,
    seconds integer NOT NULL, PRIMARY KEY (customer_id, day));
CREATE TABLE session (id {serial} PRIMARY KEY, session_id bigint NOT NULL UNIQUE, customer_id integer NOT NULL,
    started_at timestamp NOT NULL, ended_at timestamp, duration_seconds integer, answer text NOT NULL)
"""
READ = """
SELECT c.id, t.name, t.context, l.metric, l.period, l.amount, u.sessions, u.seconds
FROM customer c JOIN tier t ON t.id = c.tier_id JOIN tier_limit l ON l.tier_id = t.id
LEFT JOIN usage u ON u.customer_id = c.id AND u.day = CURRENT_DATE WHERE c.phone = :phone
"""
INSERT = """
INSERT INTO session (session_id, customer_id, started_at, answer)
VALUES (:session, :customer, CURRENT_TIMESTAMP, 'allowed')
"""
UPDATE = f"""
UPDATE session SET ended_at = CURRENT_TIMESTAMP, duration_seconds = {DURATION_SECONDS} WHERE session_id = :session
"""
ADD = f"""
INSERT INTO usage AS kept (customer_id, day, sessions, seconds)
{{source}} ON CONFLICT (customer_id, day) DO UPDATE SET sessions = kept.sessions + 1,
    seconds = kept.seconds + {DURATION_SECONDS}
"""
ADD_VALUES = ADD.format(source=f"VALUES (:customer, CURRENT_DATE, 1, {DURATION_SECONDS})")
ADD_CHAINED = ADD.format(source=f"SELECT customer_id, CURRENT_DATE, 1, {DURATION_SECONDS} FROM ended")

PGBENCH_SCRIPT = f"""
\\set customer random(1, CUSTOMERS)
\\set phone 442000000000 + :customer
\\set session random(1, 9000000000000000000)
{READ.strip()};
{INSERT.strip()};
WITH ended AS ({UPDATE.strip()} RETURNING customer_id)
{ADD_CHAINED.strip()};
"""


def _rows(customers: int) -> list[tuple[str, list[tuple[object, ...]]]]:
    limits = [(tier, *row, amount) for tier in range(len(TIERS)) for row, amount in AMOUNTS.items()]
    return [
        ("INSERT INTO tier VALUES ({0}, {0}, '{{}}')", [(number, name) for number, name in enumerate(TIERS)]),
        ("INSERT INTO tier_limit VALUES ({0}, {0}, {0}, {0})", [tuple(row) for row in limits]),
        (
            "INSERT INTO customer VALUES ({0}, {0}, {0})",
            [(index, 442000000000 + index, index % len(TIERS)) for index in range(1, customers + 1)],
        ),
    ]


class PostgresFloor:
    """Its own database on the server that Frontdesk uses, driven by pgbench."""

    def __init__(self, server: PostgresServer, customers: int) -> None:
        # Beside the server that was started: its own version, whichever that is.
        self.pgbench = Path(str(server.process.args[0])).with_name("pgbench")  # type: ignore[index]
        self.url = make_database(server.url, NAME)
        self.script = PGBENCH_SCRIPT.replace("CUSTOMERS", str(customers))
        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            for statement in TABLES.format(serial="bigserial").split(";"):
                cursor.execute(statement)
            for insert, rows in _rows(customers):
                cursor.executemany(insert.format("%s"), rows)

    def sessions_per_second(self, seconds: float) -> float:
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(self.script)
            script.flush()
            command = [self.pgbench, "-n", "-M", "prepared", "-c", CLIENTS, "-T", max(1, round(seconds)), "-f"]
            command += [script.name, self.url]
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        assert found, done.stdout
        return float(found[1])


class SqliteFloor:
    """Its own file beside Frontdesk's, driven by one Python process."""

    def __init__(self, folder: Path, customers: int) -> None:
        self.path, self.customers = folder / f"{NAME}.sqlite3", customers
        with _connect(self.path) as connection:
            connection.executescript(TABLES.format(serial="integer"))
            connection.execute("BEGIN")
            for insert, rows in _rows(customers):
                connection.executemany(insert.format("?"), rows)
            connection.execute("COMMIT")

    def sessions_per_second(self, seconds: float) -> float:
        command = [sys.executable, "-m", "benchmarks.floor", str(self.path), str(self.customers), str(seconds)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864")
    return connection


def run_sqlite(path: Path, customers: int, seconds: float) -> float:
    """Sessions per second: a begin is a read and a commit, an end a commit."""
    connection, chosen, sessions = _connect(path), random.Random(), 0  # noqa: S311 - no secret
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        customer = chosen.randint(1, customers)
        values = {"customer": customer, "phone": 442000000000 + customer, "session": chosen.getrandbits(62)}
        connection.execute(READ, values).fetchall()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(INSERT, values)
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(UPDATE, values)
        connection.execute(ADD_VALUES, values)
        connection.execute("COMMIT")
        sessions += 1
    return sessions / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.stdout.write(str(run_sqlite(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))))
