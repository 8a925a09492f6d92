"""Two nodes behind nginx, PgBouncer, and PostgreSQL with a synchronous standby: each part dies while LiveTok sends.

Nodes are killed, PgBouncer is restarted, and then the primary is killed and the standby promoted. LiveTok tries again
what was not answered 200. As after `benchmarks.torture`, the database is looked at in the end.
"""

import argparse
import base64
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from benchmarks.goals import goal_line
from benchmarks.livetok import LiveTok
from benchmarks.processes import with_children
from benchmarks.servers import add_customers
from benchmarks.stored import Findings
from benchmarks.torture import answered_otherwise, settled, unsound
from config.children import stop_child
from tests.conftest import ENVIRONMENT
from tests.databases import make_database
from tests.live import LiveServer, manage, new_environment, start_server, wait_until_ready
from tests.pairs import KEEPS_LOG, Pair, start_pair
from tests.poolers import Pooler, pgbouncer
from tests.proxies import Balancer, balancer

TIMES = 5
CUSTOMERS = 200
CONNECTIONS = 6
POOL_SIZE = 10
LOADED_SECONDS = (0.5, 2.0)
AWAY_SECONDS = (0.0, 1.5)
LEADERLESS_SECONDS = 3.0
AFTERWARDS_SECONDS = 5.0
DELIVERED_AGAIN = 300
DATABASE = "fleet"
NODE, POOLER, PRIMARY = "node", "PgBouncer", "primary"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What was seen. Everything but the first two should be none; `given_up` events were never answered 200."""

    acknowledged: int
    not_answered: list[str]
    given_up: int
    stored: Findings
    answered_otherwise: int
    unexpected: list[str]
    set_aside: int
    complaint: str

    @property
    def goals(self) -> list[tuple[str, float]]:
        return [
            ("fleet_acknowledged", float(self.acknowledged)),
            ("fleet_given_up", float(self.given_up)),
            *((f"fleet_{name}", float(value)) for name, value in asdict(self.stored).items()),
            ("fleet_answered_otherwise", float(self.answered_otherwise)),
            ("fleet_unexpected_statuses", float(len(self.unexpected))),
            ("fleet_set_aside", float(self.set_aside)),
            ("fleet_unsound", float(bool(self.complaint))),
        ]


@dataclass
class Fleet:
    """`direct` is the database's address beside PgBouncer, before a failover."""

    pair: Pair
    pooler: Pooler
    nodes: list[LiveServer]
    balancer: Balancer

    @property
    def direct(self) -> str:
        pair = self.pair
        return pair.url_of(pair.standby if pair.has_failed_over else pair.primary, DATABASE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES, help=f"how often a node and PgBouncer each ({TIMES})")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="for the same order once more")
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    _say(f"seed {options.seed}")
    chosen = Random(options.seed)  # noqa: S311 - no secret
    pair = start_pair(server_settings=KEEPS_LOG)  # it commits to disk, as in earnest
    try:
        with fleet_on(pair) as fleet:
            outcome = tormented(fleet, order_of(options.times, chosen), chosen, _say)
    finally:
        pair.stop()
    lines = [goal_line("postgresql", *goal) for goal in outcome.goals]
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def order_of(times: int, chosen: Random) -> list[str]:
    """The primary can die once only: the last ones meet the standby that has taken over."""
    order = [NODE, POOLER] * times
    chosen.shuffle(order)
    return [*order, PRIMARY, NODE, POOLER]


@contextmanager
def fleet_on(pair: Pair) -> Iterator[Fleet]:
    key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    shared = {"SECRET_KEY": secrets.token_urlsafe(64), "ENCRYPTION_KEYS": key, "WEB_PROCESSES": "1"}
    make_database(pair.primary.url, DATABASE)
    with ExitStack() as stack:
        pooler = stack.enter_context(pgbouncer(pair.primary.url, pool_size=POOL_SIZE))
        reached = {"DATABASE_URL": f"{pooler.url}/{DATABASE}", "DATABASE_POOLER": "transaction"}
        # From SQLite's come a data folder and a port.
        envs = [stack.enter_context(new_environment("sqlite", **shared)) | reached for _ in range(2)]
        printed = "".join(manage(env, "setup") for env in envs)
        add_customers(envs[0], CUSTOMERS)
        pair.make_synchronous()
        nodes = [start_server(env, printed.partition("X-API-Key: ")[2].split()[0]) for env in envs]
        stack.callback(lambda: [node.stop() for node in nodes])
        for node in nodes:
            wait_until_ready(node)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="frontdesk-balancer-")))
        before = stack.enter_context(balancer(folder, [int(env["PORT"]) for env in envs]))
        yield Fleet(pair, pooler, nodes, before)


def tormented(fleet: Fleet, order: Sequence[str], chosen: Random, say: Say) -> Outcome:
    livetok = LiveTok(fleet.balancer.port, fleet.nodes[0].webhook_key, CUSTOMERS, chosen.random())
    ledger = livetok.ledger
    with livetok.sending(CONNECTIONS):
        for number, victim in enumerate(order, 1):
            time.sleep(chosen.uniform(*LOADED_SECONDS))
            began_at, before = time.monotonic(), len(ledger.unanswered)
            _bring_down(fleet, victim, chosen)
            unanswered = len(ledger.unanswered) - before
            say(
                f"{number:3} {victim}: back after {time.monotonic() - began_at:.1f} s, {unanswered} deliveries to "
                f"repeat; {ledger.acknowledged:,} events acknowledged so far"
            )
        time.sleep(AFTERWARDS_SECONDS)
    acknowledged = ledger.acknowledged
    # What nginx sent to the second node too, LiveTok does not know of.
    stored = settled(ledger.events, fleet.direct, arrivals=len(fleet.nodes))
    say(
        f"{len(ledger.events):,} events, {len(ledger.unanswered)} deliveries not answered 200, "
        f"{fleet.balancer.repeated} requests that nginx sent to a second node; {stored}"
    )
    begins = [event for event in ledger.events if event.name == "session_begin" and event.answers]
    outcome = Outcome(
        acknowledged=acknowledged,
        not_answered=list(ledger.unanswered),
        given_up=sum(not event.answers for event in ledger.events),
        stored=stored,
        answered_otherwise=answered_otherwise(
            livetok.sender(0), chosen.sample(begins, min(DELIVERED_AGAIN, len(begins)))
        ),
        unexpected=ledger.unexpected,
        set_aside=sum(len(list((node.folder / "spool" / "set-aside").glob("*"))) for node in fleet.nodes),
        complaint=unsound(fleet.nodes[0]),
    )
    for line in [*outcome.not_answered[:5], *outcome.unexpected[:5], outcome.complaint]:
        say(line)
    return outcome


def _bring_down(fleet: Fleet, victim: str, chosen: Random) -> None:
    """Kill it, and do what a supervisor, or what manages the cluster, does next. Returns once it serves again."""
    if victim == NODE:
        number = chosen.randrange(len(fleet.nodes))
        node = fleet.nodes[number]
        for pid in with_children(node.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.process.wait()
        node.process = start_server(node.env).process
        wait_until_ready(node)
    elif victim == POOLER:
        stop_child(fleet.pooler.process, patience_seconds=5)
        time.sleep(chosen.uniform(*AWAY_SECONDS))
        fleet.pooler.start_again()
    else:
        fleet.pair.kill(fleet.pair.primary)
        time.sleep(LEADERLESS_SECONDS)
        fleet.pair.promote()
        fleet.pooler.lead_to(fleet.pair.standby.url)
        for node in fleet.nodes:
            wait_until_ready(node)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
