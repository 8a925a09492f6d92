"""`make bench-deliveries`: how fast what is queued goes out, and whether destinations that hang keep others waiting."""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from statistics import quantiles

from benchmarks.followed import OUTGOING
from benchmarks.goals import goal_line
from benchmarks.servers import DATABASES, add_customers, database_server, driven
from benchmarks.sql import rows
from tests.live import ROOT, LiveServer, running_server
from tests.standins import Received, Reply, http_standin

QUEUED = 1000
CUSTOMERS = 200
# Beside them: a tenth of what a small machine takes.
BEGINS_A_SECOND = 40
PACED_SECONDS, PACED_A_SECOND = 15, 20
LONGEST_SECONDS = 120

Say = Callable[[str], None]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deliveries", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    options = parser.parse_args()
    lines: list[str] = []
    for database in [options.database] if options.database else DATABASES:
        _say(f"\n== {database}, load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
        with database_server(database):
            lines += [goal_line(database, f"deliveries_{name}", value) for name, value in deliveries(database, _say)]
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def deliveries(database: str, say: Say) -> list[tuple[str, float]]:
    with ExitStack() as stack:
        good = stack.enter_context(http_standin()).url
        hanging = stack.enter_context(hanging_standin())
        server = stack.enter_context(running_server(database, **OUTGOING))
        add_customers(server.env, CUSTOMERS)
        all_sent = _thousand(server, good, say)
        one_hangs = _beside_hanging(server, "one", [good] * 9, [hanging], say)
        ten_hang = _beside_hanging(server, "ten", [good], [hanging] * 10, say)
    return [("thousand_s", all_sent), ("p95_beside_one_hanging_s", one_hangs), ("p95_beside_ten_hanging_s", ten_hang)]


@contextmanager
def hanging_standin() -> Iterator[str]:
    """It accepts, reads, and never answers."""
    is_over = threading.Event()

    def wait(received: Received) -> Reply:
        is_over.wait()
        return Reply()

    with http_standin(wait) as server:
        try:
            yield server.url
        finally:
            is_over.set()


def _thousand(server: LiveServer, url: str, say: Say) -> float:
    """To ten destinations, with begins beside it. How many seconds from the first that was queued to the last sent."""
    addresses = {f"fast {number}": f"{url}/{number}" for number in range(10)}
    with _begins_beside(server, say):
        _queue(server, addresses, QUEUED, per_second=1000)
        _wait_until_sent(server, "fast %")
    found = _times(server, "fast %")
    seconds = (max(ended for _, ended in found) - min(created for created, _ in found)).total_seconds()
    say(f"{len(found):,} deliveries in {seconds:.1f} s")
    return seconds


@contextmanager
def _begins_beside(server: LiveServer, say: Say) -> Iterator[None]:
    quiet = driven(server, CUSTOMERS).load(5, requests_per_second=BEGINS_A_SECOND)
    measured = []

    def load() -> None:
        measured.append(driven(server, CUSTOMERS).load(8, requests_per_second=BEGINS_A_SECOND))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    for name, load_of in (("before", quiet), ("beside", measured[0])):
        say(f"begins {name}: median {load_of.median_ms:.1f} ms, p99 {load_of.p99_ms:.1f} ms")


def _beside_hanging(server: LiveServer, name: str, good: list[str], hanging: list[str], say: Say) -> float:
    """The 95th of a hundred times from queued to sent, of destinations that answer, with the default bounds."""
    addresses = {f"{name} good {number}": url for number, url in enumerate(good)}
    addresses |= {f"{name} hanging {number}": url for number, url in enumerate(hanging)}
    _queue(server, addresses, PACED_SECONDS * PACED_A_SECOND, a_second=PACED_A_SECOND)
    _wait_until_sent(server, f"{name} good %")
    seconds = [(ended - created).total_seconds() for created, ended in _times(server, f"{name} good %")]
    p95 = quantiles(seconds, n=100)[94]
    say(f"beside {name} hanging: {len(seconds)} sent, p95 {p95:.2f} s, slowest {max(seconds):.2f} s")
    return p95


def _queue(server: LiveServer, addresses: dict[str, str], count: int, *, a_second: float = 0, **fields: int) -> None:
    asked = {"addresses": addresses, "deliveries": count, "a_second": a_second, "fields": fields}
    command = [sys.executable, "-m", "benchmarks.queued", json.dumps(asked)]
    subprocess.run(command, cwd=ROOT, env=server.env, check=True)


_OF = "FROM automations_delivery d JOIN automations_destination t ON t.id = d.destination_id WHERE t.name LIKE '{}'"


def _wait_until_sent(server: LiveServer, names: str) -> None:
    give_up_at = time.monotonic() + LONGEST_SECONDS
    waiting = f"SELECT count(*) {_OF.format(names)} AND d.state <> 'delivered'"
    while rows(server.database_url, waiting) != [(0,)]:
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not sent within {LONGEST_SECONDS} s:\n{server.log[-5000:]}")
        time.sleep(0.2)


def _times(server: LiveServer, names: str) -> list[tuple[datetime, datetime]]:
    found = rows(server.database_url, f"SELECT d.created_at, d.finished_at {_OF.format(names)}")
    return [(datetime.fromisoformat(str(created)), datetime.fromisoformat(str(ended))) for created, ended in found]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
