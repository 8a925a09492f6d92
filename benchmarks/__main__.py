"""`make bench`: Frontdesk's webhook against the floor and against the straight version, in one run."""

import argparse
import json
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.database_cost import database_cpu_seconds, logged_bytes_per_session, stored_bytes
from benchmarks.flat import flatness
from benchmarks.floor import PostgresFloor, SqliteFloor
from benchmarks.goals import goal_line, short_line
from benchmarks.load import Measured
from benchmarks.processes import cpu_seconds, memory_mb
from benchmarks.servers import DATABASES, Driven, database_server, frontdesk, straight
from tests.live import manage

CUSTOMERS = 10_000
EXPECTED = Path(__file__).with_name("expected.json")
WARM_UP_SECONDS = 2


def main() -> int:
    options = _options()
    databases = [options.database] if options.database else list(DATABASES)
    goals: list[str] = []
    for database in databases:
        _say(f"\n== {database}, load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
        if options.flat:
            goals += [goal_line(database, *goal) for goal in flatness(database, options.flat, _say)]
        elif options.short:
            goals.append(_short(database, options.rounds, options.seconds))
        elif options.memory:
            goals += [goal_line(database, *goal) for goal in _memory(database, options.memory)]
        else:
            goals += [goal_line(database, *goal) for goal in _full(database, options.rounds, options.seconds)]
    _say("\n" + "\n".join(goals))
    return int(options.short and any(line.endswith("short") for line in goals))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turn (5)")
    parser.add_argument("--seconds", type=float, default=6, help="how long each time (6)")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--short", action="store_true", help="the ratio to the straight version against expected.json")
    kinds.add_argument("--flat", type=int, metavar="N", help="a begin with N sessions stored against an empty database")
    kinds.add_argument("--memory", type=int, metavar="N", help="a web process from the 100,000th to the Nth request")
    return parser.parse_args()


def _full(database: str, rounds: int, seconds: float) -> list[tuple[str, float]]:
    with ExitStack() as stack:
        server = stack.enter_context(database_server(database))
        ours = stack.enter_context(frontdesk(database, CUSTOMERS))
        theirs = stack.enter_context(straight(database, CUSTOMERS))
        nothing = replace(theirs, name="nothing", begin_path="/nothing", end_path="/nothing")
        floor = PostgresFloor(server, CUSTOMERS) if server else SqliteFloor(Path(ours.env["DATA_DIR"]), CUSTOMERS)
        for driven in (ours, theirs, nothing):
            driven.load(WARM_UP_SECONDS)
        rates: dict[str, list[float]] = {"floor": [], "nothing": [], "straight": [], "frontdesk": []}
        costs: dict[str, list[float]] = {"nothing": [], "straight": [], "frontdesk": []}
        in_database: dict[str, list[float]] = {"floor": [], "frontdesk": []}
        sessions, stored_before = 0, stored_bytes(server, ours.env["DATABASE_URL"])
        for number in range(1, rounds + 1):
            before = database_cpu_seconds(server)
            rates["floor"].append(floor.sessions_per_second(seconds))
            after = database_cpu_seconds(server)
            in_database["floor"].append((after - before) / (rates["floor"][-1] * seconds) * 1e6)
            for driven in (nothing, theirs, ours):
                before = database_cpu_seconds(server)
                measured, cost = _load_and_cost(driven, seconds)
                after = database_cpu_seconds(server)
                rates[driven.name].append(measured.sessions_per_second)
                costs[driven.name].append(cost)
            sessions += measured.sessions
            in_database["frontdesk"].append((after - before) / measured.sessions * 1e6)
            latest = ", ".join(f"{name} {measured[-1]:,.0f}" for name, measured in rates.items())
            _say(f"round {number}: {latest} sessions/s; load average {os.getloadavg()[0]:.1f}")
        stored = stored_bytes(server, ours.env["DATABASE_URL"])
        logged = logged_bytes_per_session(server, ours, seconds)
        peak = median(rates["frontdesk"])
        half = ours.load(2 * seconds, requests_per_second=peak)  # a session is two requests
        megabytes = memory_mb(ours.web_processes)
        checked = manage(ours.env, "verify_usage").strip()
    for name, measured in rates.items():
        _say(f"{name:10} median {median(measured):8,.0f} sessions/s, from {min(measured):,.0f} to {max(measured):,.0f}")
    for name, spent in costs.items():
        _say(f"{name:10} median {median(spent):8,.0f} µs of CPU an event in the web processes")
    goals: list[tuple[str, float]] = []
    if server is None:
        _say(f"written_bytes_per_session: {logged:,.0f} to SQLite's log")
    else:
        for name, spent in in_database.items():
            _say(f"{name:10} median {median(spent):8,.0f} µs of CPU a session in PostgreSQL")
        kept, of_log = ((after - before) / sessions for before, after in zip(stored_before, stored, strict=True))
        _say(f"stored of a session: {kept:,.0f} bytes, and {of_log:,.0f} in the log of requests")
        goals = [
            ("database_cpu_of_floor", _ratio(in_database["frontdesk"], in_database["floor"])),
            ("wal_bytes_per_session", logged),
            ("stored_bytes_per_session", kept),
        ]
    _say(f"at half the peak: begin median {half.median_ms:.2f} ms, p99 {half.p99_ms:.2f} ms; {checked}")
    return [
        ("of_floor", _ratio(rates["frontdesk"], rates["floor"])),
        ("of_straight", _ratio(rates["frontdesk"], rates["straight"])),
        *goals,
        ("p99_of_median", half.p99_ms / half.median_ms),
        ("web_process_mb", megabytes),
    ]


def _short(database: str, rounds: int, seconds: float) -> str:
    """One line, in which the target is what the stored ratio may fall to."""
    expected = json.loads(EXPECTED.read_text())[database]["of_straight"]
    with database_server(database), frontdesk(database, 1000) as ours, straight(database, 1000) as theirs:
        for driven in (ours, theirs):
            driven.load(1)
        line = short_line(database, _lead(ours, theirs, rounds, seconds), expected)
        if line.endswith("short"):  # what a machine does beside may spoil one measurement, but hardly two
            _say(f"{line}; once more")
            line = short_line(database, _lead(ours, theirs, rounds, seconds), expected)
    return line


def _lead(ours: Driven, theirs: Driven, rounds: int, seconds: float) -> float:
    rates: dict[str, list[float]] = {"frontdesk": [], "straight": []}
    for _ in range(rounds):
        rates["straight"].append(theirs.load(seconds).sessions_per_second)
        rates["frontdesk"].append(ours.load(seconds).sessions_per_second)
    return _ratio(rates["frontdesk"], rates["straight"])


def _memory(database: str, requests: int) -> list[tuple[str, float]]:
    with database_server(database), frontdesk(database, CUSTOMERS) as ours:
        sent, before = 0, 0.0
        while sent < requests:
            sent += 2 * ours.load(10).sessions
            now = memory_mb(ours.web_processes)
            before = before or (now if sent >= 100_000 else 0.0)
            _say(f"{sent:,} requests: {now:.1f} MB")
    return [("web_process_mb", now), ("web_process_growth_mb", now - before)]


def _load_and_cost(driven: Driven, seconds: float) -> tuple[Measured, float]:
    """What a load measured, and microseconds of the web processes' CPU for each event."""
    before = cpu_seconds(driven.web_processes)
    measured = driven.load(seconds)
    spent = cpu_seconds(driven.web_processes) - before
    return measured, spent / (2 * measured.sessions) * 1e6


def _ratio(ours: list[float], others: list[float]) -> float:
    """The median of each round's ratio: what else the machine does meanwhile slows both."""
    return median(mine / other for mine, other in zip(ours, others, strict=True))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
