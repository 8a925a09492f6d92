"""`make bench-pooler`: what PgBouncer costs for each session, and what a second node brings, on PostgreSQL.

Two installations on one server, one of them behind PgBouncer in transaction mode, of two nodes each. They are loaded in
turn, one node alone and both at once. On a machine whose cores they share with PostgreSQL and with LiveTok's stand-in,
two nodes answer few more sessions a second: there, the CPU of a session is what tells.
"""

import argparse
import base64
import os
import secrets
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from statistics import median

from benchmarks.processes import cpu_seconds, web_processes, with_children
from benchmarks.servers import Driven, add_customers, database_server, driven
from tests.live import LiveServer, manage, new_environment, start_server, wait_until_ready
from tests.poolers import pgbouncer

CUSTOMERS = 1000
WARM_UP_SECONDS = 2
POOL_SIZE = 20

PARTS = ("web", "postgresql", "pgbouncer")


@dataclass(frozen=True)
class Installation:
    """Two nodes on one database, and the processes whose CPU is counted, by what they are a part of."""

    name: str
    nodes: list[Driven]
    database: int
    pooler: int | None

    def processes(self, part: str) -> list[int]:
        if part == "web":
            return [pid for node in self.nodes for pid in web_processes(node.process)]
        if part == "postgresql":
            return with_children(self.database)
        return [self.pooler] if self.pooler else []


@dataclass(frozen=True)
class Figures:
    """Of one load: sessions a second, and microseconds of CPU for each session, by part."""

    sessions_per_second: float
    cost: dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pooler", description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="how often each is measured, in turn (8)")
    parser.add_argument("--seconds", type=float, default=5, help="how long each time (5)")
    options = parser.parse_args()
    _say(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with database_server("postgresql") as server, ExitStack() as stack:
        assert server is not None
        pooler = stack.enter_context(pgbouncer(server.url, pool_size=POOL_SIZE))
        database = server.process.pid
        installations = [
            Installation("direct", stack.enter_context(two_nodes("")), database, None),
            Installation("pooled", stack.enter_context(two_nodes(pooler.url)), database, pooler.process.pid),
        ]
        found = measured(installations, options.rounds, options.seconds)
    _say("")
    for (name, count), figures in found.items():
        _say(f"{name}, {_nodes(count)}: {_in_words(figures)}")
    for count in (1, 2):
        pooled, direct = found["pooled", count], found["direct", count]
        _say(f"{_nodes(count)}: PgBouncer costs {_difference(pooled, direct):+,.0f} µs of CPU a session in all")
    for name in ("direct", "pooled"):
        ratio = median(
            two.sessions_per_second / one.sessions_per_second
            for one, two in zip(found[name, 1], found[name, 2], strict=True)
        )
        _say(f"{name}: two nodes answer {ratio:.2f} times the sessions a second of one")
    return 0


@contextmanager
def two_nodes(pooler_url: str) -> Iterator[list[Driven]]:
    """Two that are set up and serve one database, behind the pooler where one is given."""
    key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    keys = {"SECRET_KEY": secrets.token_urlsafe(64), "ENCRYPTION_KEYS": key, "WEB_PROCESSES": "1"}
    with ExitStack() as stack:
        envs = [stack.enter_context(new_environment("postgresql", is_migrated=True, **keys))]
        envs.append(stack.enter_context(new_environment("sqlite", **keys)))  # a folder and a port
        direct = envs[0]["DATABASE_URL"]
        for env in envs:
            env["DATABASE_URL"] = f"{pooler_url}/{direct.rpartition('/')[2]}" if pooler_url else direct
            env |= {"DATABASE_POOLER": "transaction"} if pooler_url else {}
        printed = "".join(manage(env, "setup") for env in envs)
        key = printed.partition("X-API-Key: ")[2].split()[0]
        add_customers(envs[0], CUSTOMERS)
        nodes = [_started(stack, env, key) for env in envs]
        yield [driven(node, CUSTOMERS) for node in nodes]


def _started(stack: ExitStack, env: dict[str, str], key: str) -> LiveServer:
    server = start_server(env, key)
    stack.callback(server.stop)
    wait_until_ready(server)
    return server


def measured(installations: list[Installation], rounds: int, seconds: float) -> dict[tuple[str, int], list[Figures]]:
    """By installation and number of nodes that are loaded."""
    kinds = [(one, count) for one in installations for count in (1, 2)]
    found: dict[tuple[str, int], list[Figures]] = {(one.name, count): [] for one, count in kinds}
    for one in installations:
        _loaded(one, 2, WARM_UP_SECONDS)
    for number in range(rounds):
        for one, count in reversed(kinds) if number % 2 else kinds:
            figures = _loaded(one, count, seconds)
            found[one.name, count].append(figures)
            _say(f"{one.name}, {_nodes(count)}: {_in_words([figures])}")
    return found


def _loaded(one: Installation, count: int, seconds: float) -> Figures:
    before = {part: _cpu(one.processes(part)) for part in PARTS}
    with ThreadPoolExecutor(count) as pool:
        # As many connections in all, however many nodes share them.
        loads = list(pool.map(lambda node: node.load(seconds, connections=4 // count), one.nodes[:count]))
    sessions = sum(load.sessions for load in loads)
    cost = {
        part: sum(used - before[part].get(pid, 0.0) for pid, used in _cpu(one.processes(part)).items()) / sessions * 1e6
        for part in PARTS
    }
    return Figures(sum(load.sessions_per_second for load in loads), cost)


def _cpu(pids: list[int]) -> dict[int, float]:
    found = {}
    for pid in pids:
        with suppress(OSError):  # ended meanwhile
            found[pid] = cpu_seconds([pid])
    return found


def _in_words(figures: list[Figures]) -> str:
    costs = ", ".join(f"{part} {median(one.cost[part] for one in figures):,.0f}" for part in PARTS)
    return f"{median(one.sessions_per_second for one in figures):,.0f} sessions a second; µs of CPU a session: {costs}"


def _difference(ours: list[Figures], others: list[Figures]) -> float:
    pairs = zip(ours, others, strict=True)
    return median(sum(mine.cost.values()) - sum(other.cost.values()) for mine, other in pairs)


def _nodes(count: int) -> str:
    return "one node" if count == 1 else "two nodes"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
