"""`make bench-rules`: what rules cost a begin. Servers side by side, loaded in turn, compared by the CPU of an event.

Without rules, against the commit before there were any (`--before`: a checkout of it); and with twenty that match
each begin, against none.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from benchmarks.followed import OUTGOING, make_rules
from benchmarks.goals import goal_line
from benchmarks.processes import cpu_seconds, worker
from benchmarks.servers import DATABASES, Driven, database_server, frontdesk
from config.children import start_child, stop_child
from tests.live import LiveServer, new_environment, wait_until_ready
from tests.standins import http_standin

CUSTOMERS = 1000
RULES = 20
WARM_UP_SECONDS = 2
KEY = "a-key-of-the-bench"
# A quarter of what a small machine takes: what the worker does beside must find room, or both are measured at once.
EVENTS_A_SECOND = 60

Figures = dict[str, list[float]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    parser.add_argument("--rounds", type=int, default=10, help="how often each is measured, in turn (10)")
    parser.add_argument("--seconds", type=float, default=4, help="how long each time (4)")
    parser.add_argument("--before", type=Path, help="a checkout of the commit to compare with; left out: no comparison")
    options = parser.parse_args()
    lines: list[str] = []
    for database in [options.database] if options.database else DATABASES:
        _say(f"\n== {database}, load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
        with database_server(database):
            found = compared(database, options.before, options.rounds, options.seconds)
        lines += [goal_line(database, f"rules_{name}", value) for name, value in found]
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def compared(database: str, before: Path | None, rounds: int, seconds: float) -> list[tuple[str, float]]:
    with ExitStack() as stack:
        receiver = stack.enter_context(http_standin())
        servers = {"none": stack.enter_context(frontdesk(database, CUSTOMERS, **OUTGOING))}
        servers["none again"] = stack.enter_context(frontdesk(database, CUSTOMERS, **OUTGOING))
        servers["twenty"] = stack.enter_context(frontdesk(database, CUSTOMERS, **OUTGOING))
        make_rules(servers["twenty"].env, receiver.url, ["began_allowed"] * RULES)
        if before:
            servers["before"] = stack.enter_context(frontdesk_of(before, database))
        for server in servers.values():
            server.load(WARM_UP_SECONDS)
        cost: Figures = {name: [] for name in servers}
        for number in range(rounds):
            for name in sorted(servers, reverse=bool(number % 2)):
                cost[name].append(_cost(name, servers[name], seconds))
    for name, values in cost.items():
        _say(
            f"{name:10} median {median(values):6,.0f} µs of CPU an event, from {min(values):,.0f} to {max(values):,.0f}"
        )
    # What two servers that are the same differ by is the noise.
    _say(f"noise: none again is {_ratio(cost['none again'], cost['none']):.3f} of none")
    goals = [("twenty_of_none", _ratio(cost["twenty"], cost["none"]))]
    return goals + ([("none_of_before", _ratio(cost["none"], cost["before"]))] if before else [])


@contextmanager
def frontdesk_of(folder: Path, database: str) -> Iterator[Driven]:
    """The Frontdesk of another checkout, with this one's libraries."""
    python = sys.executable
    with ExitStack() as stack:
        env = stack.enter_context(new_environment(database, WEBHOOK_SECRET=KEY))
        env["DATA_DIR"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="frontdesk-before-"))
        subprocess.run([python, "manage.py", "setup"], cwd=folder, env=env, check=True, capture_output=True)
        add = [python, "-m", "benchmarks.customers", str(CUSTOMERS)]
        subprocess.run(add, cwd=folder, env=env, check=True)
        with Path(env["DATA_DIR"], "serve.log").open("wb") as log:
            process = start_child([python, "manage.py", "serve"], env=env, cwd=folder, stdout=log, stderr=log)
        stack.callback(stop_child, process, patience_seconds=30)
        url = f"http://127.0.0.1:{env['PORT']}"
        wait_until_ready(LiveServer(url, KEY, "", "", env, process, Path(env["DATA_DIR"])))
        paths = "/webhooks/livetok/begin", "/webhooks/livetok/end"
        yield Driven("before", int(env["PORT"]), *paths, KEY, CUSTOMERS, process.pid, env)


def _cost(name: str, server: Driven, seconds: float) -> float:
    """Microseconds of the web processes' CPU for each event."""
    before, workers = cpu_seconds(server.web_processes), worker(server.process)
    workers_before = cpu_seconds(workers)
    measured = server.load(seconds, requests_per_second=EVENTS_A_SECOND)
    cost = (cpu_seconds(server.web_processes) - before) / (2 * measured.sessions) * 1e6
    used = (cpu_seconds(workers) - workers_before) / measured.seconds
    begins = f"begins: median {measured.median_ms:.2f} ms, p99 {measured.p99_ms:.1f} ms"
    _say(f"{name:10} {cost:6,.0f} µs an event; {begins}; its worker used {used:.0%} of a core")
    return cost


def _ratio(ours: list[float], others: list[float]) -> float:
    return median(mine / other for mine, other in zip(ours, others, strict=True))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
