"""Fill the log of requests with what the worker is to delete."""

from dataclasses import dataclass

from benchmarks.sql import execute, rows

DAYS_AGO = 60


@dataclass(frozen=True)
class Dialect:
    numbers: str
    moment: str  # so many seconds ago


DIALECTS = {
    "postgresql": Dialect(
        "generate_series({first}, {last}) AS numbers(n)",
        "now() - make_interval(secs => {ago})",
    ),
    "sqlite": Dialect(
        "(WITH RECURSIVE up(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM up WHERE n < {last}) SELECT n FROM up)",
        "strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%+f seconds', -({ago})))",
    ),
}


def add_old_events(url: str, events: int) -> None:
    dialect = DIALECTS["sqlite" if url.startswith("sqlite:") else "postgresql"]
    seconds_ago = f"{DAYS_AGO * 86400} - n * 0.001"
    execute(
        url,
        "INSERT INTO sessions_app_webhookevent (received_at, event, session_id, is_test, verdict, status, "
        "error, took_ms, key, address, route, body) "
        f"SELECT {dialect.moment.format(ago=seconds_ago)}, 'agent_updated', 'old-' || n, false, 'ignored', 200, "
        f"'', 1.0, 'LiveTok', '127.0.0.1', '', NULL FROM {dialect.numbers.format(first=1, last=events)}",
    )


def old_events(url: str) -> int:
    """How many are left."""
    [(count,)] = rows(url, "SELECT count(*) FROM sessions_app_webhookevent WHERE session_id LIKE 'old-%'")
    return int(count)
