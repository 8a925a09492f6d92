"""A year of made-up sessions, stored by the database's own means: days' and hours' rhythm, tiers, channels, denials."""

import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

DAYS = 365
# Of a day's sessions, how many begin in each hour (UTC), and how busy each weekday is.
BY_HOUR = (1, 1, 1, 1, 2, 4, 8, 14, 20, 24, 25, 23, 20, 22, 24, 23, 20, 16, 12, 9, 6, 4, 2, 1)
BY_WEEKDAY = (11, 11, 10, 10, 10, 5, 3)
CHANNELS = ("telephony", "whatsapp", "web", "chat")
AGENTS = ("1", "2", "3", "4", "5")
DENIALS = ("call_minutes_day", "call_minutes_month", "sessions_month", "customer_paused", "channel_not_allowed")
LENGTHS = 1000
BUSY_SESSIONS, BUSY_DAYS = 10_000, 7
LOGGED_DAYS = 30
# While it is loaded: what is cut short here is of no use to anybody.
UNSAFE = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "8GB"}
# They hold many sessions, each in an order of its own: made at the end. The others are small.
LARGE_INDEXES = (
    "session_by_start",
    "session_by_customer",
    "session_by_phone",
    "session_by_duration",
    "session_denied_by_customer",
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Dialect:
    later: str  # a moment so many seconds after another
    join_numbers: str
    true: str


DIALECTS = {
    "postgresql": Dialect(
        "{moment} + make_interval(secs => {seconds})",
        "CROSS JOIN LATERAL generate_series(0, h.sessions - 1) AS n(n)",
        "TRUE",
    ),
    "sqlite": Dialect(
        "strftime('%Y-%m-%d %H:%M:%f', {moment}, printf('%+f seconds', {seconds}))",
        "JOIN bench_numbers AS n ON n.n < h.sessions",
        "1",
    ),
}


class Year:
    """Fills a database whose server is down. There must be one ended session to take its texts from."""

    def __init__(self, database: str, url: str) -> None:
        self.is_sqlite, self.dialect = database == "sqlite", DIALECTS[database]
        self.connection: Any
        if self.is_sqlite:
            self.connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=60)
            self.connection.executescript("PRAGMA synchronous=OFF; PRAGMA cache_size=-1000000; PRAGMA temp_store=FILE")
        else:
            self.connection = psycopg.connect(url, autocommit=True)
            self.connection.execute("SET synchronous_commit = off")
            self.connection.execute("SET maintenance_work_mem = '1GB'")
            self.connection.execute("SET work_mem = '500MB'")
            self.connection.execute("SET TIME ZONE 'UTC'")
            # Five foreign keys would be looked up for every session.
            self.connection.execute("SET session_replication_role = replica")
        self.pattern = self._one("SELECT max(id) FROM sessions_app_session WHERE end_received_at IS NOT NULL")
        self.first_customer, self.customers = self._row("SELECT min(id), count(*) FROM customers_customer")
        self.tiers = [row[0] for row in self._rows("SELECT id FROM customers_tier ORDER BY id")]

    def close(self) -> None:
        self.connection.close()

    def fill(self, sessions: int, say: Say) -> None:
        """Sessions over the year until two hours ago, of this month's ten thousand the first customer's; sums and log.

        Where the month is younger than a week, the ten thousand are of the last seven days.
        """
        began = time.perf_counter()
        self._set_unsafe()
        self._prepare(sessions)
        indexes = self._drop_indexes()
        stored = 0
        for first, last in self._batches():
            stored += self._insert(first, last)
        say(f"{stored:,} sessions are stored, {stored / (time.perf_counter() - began):,.0f} a second")
        self._make_busy()
        for index in indexes:
            self.connection.execute(index)
        say("indexes are made again")
        self._add_up()
        self._log()
        say("usage is summed, and the log of requests filled")
        self.settle()
        self._set_safe()
        took = time.perf_counter() - began
        say(f"{stored:,} sessions in {took:,.0f} s: {stored / took:,.0f} a second")

    def settle(self) -> None:
        """What a database does by and by after so many rows were written: of SQLite nobody gathers statistics."""
        if not self.is_sqlite:
            self.connection.execute("VACUUM ANALYZE")
            self.connection.execute("CHECKPOINT")
        os.sync()

    def _set_unsafe(self) -> None:
        """What is loaded is written once, not to a log first."""
        if self.is_sqlite:
            self.connection.execute("PRAGMA journal_mode = OFF")
            return
        for name, value in UNSAFE.items():
            self.connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.connection.execute("SELECT pg_reload_conf()")

    def _set_safe(self) -> None:
        if self.is_sqlite:
            self.connection.execute("PRAGMA journal_mode = WAL")
            return
        for name in UNSAFE:
            self.connection.execute(f"ALTER SYSTEM RESET {name}")
        self.connection.execute("SELECT pg_reload_conf()")

    def _prepare(self, sessions: int) -> None:
        self.connection.execute("CREATE TEMPORARY TABLE bench_hours (number integer, starts_at text, sessions integer)")
        self.connection.execute("CREATE TEMPORARY TABLE bench_lengths (n integer PRIMARY KEY, seconds integer)")
        self.connection.execute(
            f"CREATE TEMPORARY TABLE bench_pattern AS SELECT * FROM sessions_app_session WHERE id = {self.pattern}"
        )
        self._many("INSERT INTO bench_hours VALUES (?, ?, ?)", list(hours(sessions)))
        self._many("INSERT INTO bench_lengths VALUES (?, ?)", [(n, length(n)) for n in range(LENGTHS)])
        if self.is_sqlite:
            most = self._one("SELECT max(sessions) FROM bench_hours")
            self.connection.execute("CREATE TEMPORARY TABLE bench_numbers (n integer PRIMARY KEY)")
            self._many("INSERT INTO bench_numbers VALUES (?)", [(n,) for n in range(most)])
        for slug in CHANNELS:
            self.connection.execute(
                "INSERT INTO customers_channel (slug, label, counts_toward_call_minutes, longest_session_minutes) "
                f"VALUES ('{slug}', '', {self.dialect.true}, 240) ON CONFLICT DO NOTHING"
            )
        for agent in AGENTS:
            self.connection.execute(
                "INSERT INTO customers_agent (livetok_id, name) "
                f"VALUES ('{agent}', 'Agent {agent}') ON CONFLICT DO NOTHING"
            )

    def _batches(self) -> Iterator[tuple[int, int]]:
        for first in range(0, DAYS * 24, 24 * 7):
            yield first, first + 24 * 7 - 1

    def _insert(self, first: int, last: int) -> int:
        """The sessions of some hours. `r` is spread evenly and repeats after two million."""
        names = [row[0] for row in self.connection.execute("SELECT * FROM sessions_app_session LIMIT 0").description]
        values = self._values()
        columns = [name for name in names if name != "id"]
        chosen = ", ".join(values.get(name, f"pattern.{name}") for name in columns)
        hour = "CAST(h.starts_at AS timestamptz)" if not self.is_sqlite else "h.starts_at"
        passed = "3600.0 * n.n / h.sessions"
        started, ended, open_until = (
            self.dialect.later.format(moment=hour, seconds=seconds)
            for seconds in (passed, f"{passed} + l.seconds", f"{passed} + 14400")
        )
        number = "(h.number * 7919 + n.n * 104729) % 1999993"
        done = self.connection.execute(f"""
WITH s AS MATERIALIZED (
    SELECT h.number, n.n, {number} AS r, {started} AS started, {ended} AS ended, {open_until} AS open_until,
        l.seconds AS length
    FROM bench_hours AS h {self.dialect.join_numbers} JOIN bench_lengths AS l ON l.n = ({number} * 31) % {LENGTHS}
    WHERE h.number BETWEEN {first} AND {last}
)
INSERT INTO sessions_app_session ({", ".join(columns)})
SELECT {chosen} FROM s CROSS JOIN bench_pattern AS pattern""")
        return int(self._one("SELECT changes()") if self.is_sqlite else done.rowcount)

    def _values(self) -> dict[str, str]:
        """What differs between sessions: one in thirty is a stranger's, one in twenty denied, one in a hundred open."""
        is_stranger, is_denied, has_no_end = "s.r % 30 = 7", "s.r % 20 = 3", "s.r % 100 = 11"
        # Squared, so that few customers call often and many seldom.
        index = f"((s.r % 9973) * (s.r % 9973) / 9973 * {self.customers} / 9973)"
        ended = f"CASE WHEN {is_denied} OR {has_no_end} THEN NULL ELSE {{}} END"
        return {
            # In order, as the database likes to add to its index.
            "session_id": f"'year-' || {self._padded('s.number', 4)} || '-' || {self._padded('s.n', 6)}",
            "customer_id": f"CASE WHEN {is_stranger} THEN NULL ELSE {self.first_customer} + {index} END",
            "phone_key": f"CASE WHEN {is_stranger} THEN '+1555' || (1000000 + s.r % 50000) "
            f"ELSE '+4420' || {self._padded(index, 8)} END",
            "tier_id": _choose("s.r % 8", {0: str(self.tiers[0]), 1: str(self.tiers[-1])}, str(self.tiers[1]), "{}"),
            "channel_id": _choose(
                "s.r / 7 % 10", {0: "chat", 1: "web", 2: "web", 3: "whatsapp", 4: "whatsapp"}, "telephony"
            ),
            "agent_id": _choose("s.r / 11 % 9", {0: "5", 1: "4", 2: "3", 3: "2"}, "1"),
            "allowed": f"NOT ({is_denied})" if not self.is_sqlite else f"CASE WHEN {is_denied} THEN 0 ELSE 1 END",
            "reason": f"CASE WHEN {is_denied} THEN "
            + _choose("s.r / 13 % 7", dict(enumerate(DENIALS[1:])), DENIALS[0])
            + " ELSE 'allowed' END",
            **dict.fromkeys(("begin_received_at", "begin_stated_at", "started_at"), "s.started"),
            **dict.fromkeys(("end_received_at", "end_stated_at", "ended_at"), ended.format("s.ended")),
            **dict.fromkeys(("stated_seconds", "duration_seconds"), ended.format("s.length")),
            "end_body": ended.format("pattern.end_body"),
            **dict.fromkeys(("open_until", "missing_from"), "s.open_until"),
        }

    def _padded(self, number: str, digits: int) -> str:
        return f"printf('%0{digits}d', {number})" if self.is_sqlite else f"lpad(({number})::text, {digits}, '0')"

    def _make_busy(self) -> None:
        """Some of its newest sessions become the first customer's: ten thousand, evenly."""
        now = datetime.now(UTC)
        month = now.replace(day=1, hour=0, minute=0, second=0)
        since = f"{min(month, now - timedelta(days=BUSY_DAYS)):%Y-%m-%d %H:%M:%S}"
        # Stored in the order of their starts.
        first, newest = self._row(
            "SELECT min(id), max(id) FROM sessions_app_session "
            f"WHERE session_id LIKE 'year-%' AND started_at >= '{since}'"
        )
        step = max(1, (newest - first) // BUSY_SESSIONS)
        self.connection.execute(
            f"UPDATE sessions_app_session SET customer_id = {self.first_customer}, phone_key = '+442000000000' "
            f"WHERE id >= {first} AND id % {step} = 0 AND customer_id IS NOT NULL"
        )

    def _drop_indexes(self) -> list[str]:
        """The statements that make them again: at the end is many times faster than row by row."""
        if self.is_sqlite:
            known = "SELECT name, sql FROM sqlite_master WHERE type = 'index'"
        else:
            known = "SELECT indexname, indexdef FROM pg_indexes"
        rows = [row for row in self._rows(known) if row[0] in LARGE_INDEXES]
        for name, _ in rows:
            self.connection.execute(f'DROP INDEX "{name}"')
        return [sql for _, sql in rows]

    def _add_up(self) -> None:
        """Customers' usage by day and their turns, as their begins and ends leave them."""
        day = "date(started_at)" if self.is_sqlite else "CAST(started_at AT TIME ZONE 'UTC' AS date)"
        self.connection.execute(
            "INSERT INTO sessions_app_dailyusage (customer_id, day, channel, agent, sessions, seconds, call_seconds) "
            f"SELECT customer_id, {day}, channel_id, agent_id, count(*), COALESCE(sum(duration_seconds), 0), "
            "COALESCE(sum(duration_seconds), 0) FROM sessions_app_session WHERE allowed AND customer_id IS NOT NULL "
            f"AND session_id LIKE 'year-%' GROUP BY customer_id, {day}, channel_id, agent_id ON CONFLICT DO NOTHING"
        )
        self.connection.execute(
            "INSERT INTO sessions_app_customerturn (customer_id, begins) SELECT customer_id, sum(sessions) "
            "FROM sessions_app_dailyusage WHERE true GROUP BY customer_id ON CONFLICT DO NOTHING"
        )

    def _log(self) -> None:
        """The log holds as many days as it is kept."""
        since = f"{datetime.now(UTC) - timedelta(days=LOGGED_DAYS):%Y-%m-%d %H:%M:%S}"
        for event in ("begin", "end"):
            self.connection.execute(
                "INSERT INTO sessions_app_webhookevent (received_at, event, session_id, is_test, verdict, status, "
                f"error, took_ms, key, address, route, body) SELECT {event}_received_at, 'session_{event}', "
                f"session_id, is_test, 'accepted', 200, '', 1.0, 'LiveTok', '127.0.0.1', '{event}', {event}_body "
                f"FROM sessions_app_session WHERE started_at > '{since}' AND {event}_received_at IS NOT NULL"
            )

    def _many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if self.is_sqlite:
            self.connection.execute("BEGIN")
            self.connection.executemany(statement, rows)
            self.connection.execute("COMMIT")
        else:
            with self.connection.cursor() as cursor:
                cursor.executemany(statement.replace("?", "%s"), rows)

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return list(self.connection.execute(statement).fetchall())

    def _row(self, statement: str) -> tuple[Any, ...]:
        return self._rows(statement)[0]

    def _one(self, statement: str) -> Any:
        return self._row(statement)[0]


def _choose(place: str, values: dict[int, str], otherwise: str, quoted: str = "'{}'") -> str:
    cases = " ".join(f"WHEN {number} THEN {quoted.format(value)}" for number, value in values.items())
    return f"CASE {place} {cases} ELSE {quoted.format(otherwise)} END"


def length(number: int) -> int:
    """From seconds to over an hour, most of them some minutes: a lognormal spread, in a thousand steps."""
    share = (number + 0.5) / LENGTHS
    return max(1, round(150 * math.exp(1.1 * _normal(share))))


def _normal(share: float) -> float:
    """How many standard deviations below or above the mean `share` of a normal spread lies (Tukey's lambda)."""
    return (share**0.1349 - (1 - share) ** 0.1349) / 0.1975


def hours(sessions: int) -> Iterator[tuple[int, str, int]]:
    """Number, start and sessions of every hour of the year until two hours ago."""
    last = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    starts = [last - timedelta(hours=back) for back in range(DAYS * 24 - 1, -1, -1)]
    weights = [BY_HOUR[start.hour] * BY_WEEKDAY[start.weekday()] for start in starts]
    passed, given, whole = 0, 0, sum(weights)
    for number, (start, weight) in enumerate(zip(starts, weights, strict=True)):
        passed += weight
        due = sessions * passed // whole
        yield number, f"{start:%Y-%m-%d %H:%M:%S}", due - given
        given = due
