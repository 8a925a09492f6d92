"""Whether a begin costs the same with millions of sessions stored, and for a customer with ten thousand this month."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from statistics import median
from typing import Any

import psycopg

from benchmarks.old_events import DIALECTS
from benchmarks.servers import database_server, frontdesk

DAYS = 730
LOGGED_DAYS = 30
BUSY_SESSIONS = 10_000
AT_ONCE = 250_000
ROUNDS = 7
SECONDS = 3

Say = Callable[[str], None]


def flatness(database: str, sessions: int, customers: int, say: Say) -> list[tuple[str, float]]:
    """A begin's median against an empty database's, by one connection, in turn."""
    with database_server(database), frontdesk(database, customers) as empty, frontdesk(database, customers) as full:
        for driven in (empty, full):
            driven.load(2)
        with closing(Filling(database, full.env["DATABASE_URL"], customers)) as filling:
            filling.fill(sessions, say)
        medians: dict[str, list[float]] = {"empty": [], "full": [], "busy": []}
        for number in range(ROUNDS + 1):
            measured = {
                "empty": empty.load(SECONDS, connections=1).median_ms,
                "full": full.load(SECONDS, connections=1).median_ms,
                "busy": full.load(SECONDS, connections=1, customers=1).median_ms,
            }
            say(f"round {number}: " + ", ".join(f"{name} {ms:.3f} ms" for name, ms in measured.items()))
            if number:  # the first one brings what is read often into memory
                for name, ms in measured.items():
                    medians[name].append(ms)
    return [
        ("flat_with_many_sessions", _ratio(medians["full"], medians["empty"])),
        ("flat_for_a_busy_customer", _ratio(medians["busy"], medians["empty"])),
    ]


def _month_seconds() -> float:
    """How much of this month has passed, less an hour, so that nothing of it lies in the last one."""
    now = datetime.now(UTC)
    passed = now - now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return max(3600.0, passed.total_seconds() - 3600)


def _ratio(ours: list[float], others: list[float]) -> float:
    return median(mine / other for mine, other in zip(ours, others, strict=True))


class Filling:
    """Copies of a session that Frontdesk itself has stored, by the database's own means."""

    def __init__(self, database: str, url: str, customers: int) -> None:
        self.dialect, self.customers = DIALECTS[database], customers
        self.is_sqlite = database == "sqlite"
        self.connection: Any
        if self.is_sqlite:
            self.connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=60)
            self.connection.executescript("PRAGMA synchronous=OFF; PRAGMA cache_size=-500000")
        else:
            self.connection = psycopg.connect(url, autocommit=True)
            self.connection.execute("SET synchronous_commit = off")
        self.pattern = self._one("SELECT max(id) FROM sessions_app_session WHERE end_received_at IS NOT NULL")
        self.first_customer = self._one("SELECT min(customer_id) FROM customers_phonenumber")
        columns = self.connection.execute("SELECT * FROM sessions_app_session LIMIT 0").description
        self.columns = [column[0] for column in columns]

    def close(self) -> None:
        self.connection.close()

    def fill(self, sessions: int, say: Say) -> None:
        """Sessions of every customer over two years, ten thousand of the first one's this month, sums and log."""
        oldest = DAYS * 86400
        for first in range(1, sessions + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, sessions)
            customer = f"{self.first_customer} + n % {self.customers}"
            self._copy("filled", first, last, customer, f"{oldest} - n * {oldest / sessions:.6f}")
            say(f"{last:,} sessions are stored")
        self._copy("busy", 1, BUSY_SESSIONS, str(self.first_customer), f"n * {_month_seconds() / BUSY_SESSIONS:.6f}")
        self._add_up()
        self._log()
        self.connection.execute("ANALYZE")
        if not self.is_sqlite:
            self.connection.execute("VACUUM")
            self.connection.execute("CHECKPOINT")

    def _copy(self, prefix: str, first: int, last: int, customer: str, seconds_ago: str) -> None:
        moment = self.dialect.moment.format(ago=seconds_ago)
        ended_at = self.dialect.moment.format(ago=f"{seconds_ago} - 30")
        open_until = self.dialect.moment.format(ago=f"{seconds_ago} - 14400")
        changed = {
            "session_id": f"'{prefix}-' || n",
            "customer_id": customer,
            "phone_key": f"(SELECT key FROM customers_phonenumber WHERE customer_id = {customer})",
            **dict.fromkeys(("begin_received_at", "begin_stated_at", "started_at"), moment),
            **dict.fromkeys(("end_received_at", "end_stated_at", "ended_at"), ended_at),
            "open_until": open_until,
        }
        names = [name for name in self.columns if name != "id"]
        values = ", ".join(changed.get(name, f"pattern.{name}") for name in names)
        self.connection.execute(
            f"INSERT INTO sessions_app_session ({', '.join(names)}) SELECT {values} FROM "
            f"{self.dialect.numbers.format(first=first, last=last)}, sessions_app_session AS pattern "
            f"WHERE pattern.id = {self.pattern}"
        )

    def _add_up(self) -> None:
        day = self.dialect.day.format(moment="started_at")
        self.connection.execute(
            "INSERT INTO sessions_app_dailyusage AS kept "
            "(customer_id, day, channel, agent, sessions, seconds, call_seconds) "
            f"SELECT customer_id, {day}, channel_id, agent_id, count(*), sum(duration_seconds), sum(duration_seconds) "
            "FROM sessions_app_session WHERE session_id LIKE 'filled-%' OR session_id LIKE 'busy-%' "
            f"GROUP BY customer_id, {day}, channel_id, agent_id "
            "ON CONFLICT (customer_id, day, channel, agent) DO UPDATE SET "
            "sessions = kept.sessions + excluded.sessions, seconds = kept.seconds + excluded.seconds, "
            "call_seconds = kept.call_seconds + excluded.call_seconds"
        )

    def _log(self) -> None:
        """The log holds as many days as it is kept."""
        since = self.dialect.moment.format(ago=LOGGED_DAYS * 86400)
        for event in ("begin", "end"):
            self.connection.execute(
                "INSERT INTO sessions_app_webhookevent (received_at, event, session_id, is_test, verdict, status, "
                f"error, took_ms, key, address, route, body) SELECT {event}_received_at, 'session_{event}', "
                f"session_id, is_test, 'accepted', 200, '', 1.0, 'LiveTok', '127.0.0.1', '{event}', {event}_body "
                f"FROM sessions_app_session WHERE started_at > {since}"
            )

    def _one(self, statement: str) -> Any:
        return self.connection.execute(statement).fetchone()[0]
