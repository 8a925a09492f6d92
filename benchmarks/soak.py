"""`make soak`: half the peak for minutes, with whatever else comes in beside it: no error, and nothing grows."""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.disturbances import Disturbances
from benchmarks.goals import goal_line
from benchmarks.load import WrongAnswer
from benchmarks.old_events import add_old_events, old_events
from benchmarks.processes import memory_mb, open_files, worker
from benchmarks.servers import DATABASES, Driven, database_server, frontdesk
from benchmarks.sql import rows
from tests.live import manage

SECONDS = 600
PEAK_SECONDS = 10
# By then what is kept for the next time, such as 10,000 numbers taken apart, is in memory, as `make bench` has it too.
WARM_UP_SESSIONS = 50_000
CUSTOMERS = 10_000
OLD_EVENTS = 100_000
# More than the threads of a web process, so that each has been used, and has its connection, before it counts.
WARM_UP_CONNECTIONS, WARM_UP_SECONDS = 64, 5
REST_SECONDS = 3
LOOK_EVERY_SECONDS = 10

Say = Callable[[str], None]


@dataclass(frozen=True)
class Usage:
    """What the processes use: memory of the largest web process and of the worker; the others of all together."""

    web_mb: float
    worker_mb: float
    files: int
    connections: int

    def __str__(self) -> str:
        return (
            f"web process {self.web_mb:.1f} MB, worker {self.worker_mb:.1f} MB, "
            f"{self.files} open files, {self.connections} database connections"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long ({SECONDS})")
    parser.add_argument("--peak", type=float, default=0, help="sessions per second; measured where it is left out")
    options = parser.parse_args()
    lines: list[str] = []
    for database in [options.database] if options.database else DATABASES:
        _say(f"\n== {database}")
        with database_server(database), frontdesk(database, CUSTOMERS) as driven:
            lines += [goal_line(database, *goal) for goal in soak(driven, options.seconds, options.peak, _say)]
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def soak(driven: Driven, seconds: float, peak: float, say: Say) -> list[tuple[str, float]]:
    url = driven.env["DATABASE_URL"]
    driven.load(WARM_UP_SECONDS, connections=WARM_UP_CONNECTIONS)
    at_peak = driven.load(PEAK_SECONDS)
    peak, sessions = peak or at_peak.sessions_per_second, at_peak.sessions
    while sessions < WARM_UP_SESSIONS:
        sessions += driven.load(PEAK_SECONDS).sessions
    add_old_events(url, OLD_EVENTS)
    time.sleep(REST_SECONDS)
    before = used(driven)
    say(f"peak {peak:,.0f} sessions/s; at rest before: {before}")
    disturbances, stop = Disturbances(driven.port, driven.key), threading.Event()
    watching = threading.Thread(target=watch, args=[driven, stop, say])
    watching.start()
    wrong = ""
    try:
        with disturbances.going_on():
            measured = driven.load(seconds, requests_per_second=peak)  # a session is two requests
            times = f"begin median {measured.median_ms:.2f} ms, p99 {measured.p99_ms:.2f} ms"
            say(f"{measured.sessions:,} sessions, {times}")
    except WrongAnswer as error:
        wrong = str(error)
    finally:
        stop.set()
        watching.join()
    time.sleep(REST_SECONDS)
    after = used(driven)
    errors = [*disturbances.unexpected, *([wrong] if wrong else []), *logged_errors(driven)]
    say(f"{disturbances.requests:,} requests beside them; at rest afterwards: {after}")
    for error in errors[:5]:
        say(error)
    say(manage(driven.env, "verify_usage").strip())
    return [
        ("soak_errors", float(len(errors))),
        ("soak_old_events_left", float(old_events(url))),
        ("soak_growth_mb", max(after.web_mb - before.web_mb, after.worker_mb - before.worker_mb)),
        ("soak_growth_files", float(after.files - before.files)),
        ("soak_growth_connections", float(after.connections - before.connections)),
    ]


def used(driven: Driven) -> Usage:
    web, work = driven.web_processes, worker(driven.process)
    files = [file for pid in [*web, *work] for file in open_files(pid)]
    return Usage(memory_mb(web), memory_mb(work), len(files), _connections(driven.env["DATABASE_URL"], files))


def _connections(url: str, files: list[str]) -> int:
    if url.startswith("sqlite:"):
        return files.count(url.removeprefix("sqlite:///"))
    # Without PostgreSQL's own, such as autovacuum's.
    own = "datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    [(count,)] = rows(url, f"SELECT count(*) FROM pg_stat_activity WHERE {own}")
    return int(count)


def watch(driven: Driven, stop: threading.Event, say: Say) -> None:
    while not stop.wait(LOOK_EVERY_SECONDS):
        say(f"{used(driven)}; {old_events(driven.env['DATABASE_URL']):,} old events left")


def logged_errors(driven: Driven) -> list[str]:
    lines = Path(driven.env["DATA_DIR"], "serve.log").read_text().splitlines()
    return [line for line in lines if '"level": "error"' in line]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
