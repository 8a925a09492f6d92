"""A standby that every commit waits for: it stops under load, and then the primary dies and the standby takes over."""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from random import Random

from benchmarks.goals import goal_line
from benchmarks.outage import PacedLiveTok, Times
from benchmarks.servers import add_customers
from benchmarks.stored import Findings
from benchmarks.torture import answered_otherwise, settled, unsound
from tests.conftest import ENVIRONMENT
from tests.live import LiveServer
from tests.pairs import KEEPS_LOG, Pair, running_on, start_pair

CUSTOMERS = 500
CONNECTIONS = 8
SECONDS = 20.0
BEFORE_SECONDS = 3.0
# Between the primary's end and the standby's promotion, as a cluster's manager takes to be sure.
LEADERLESS_SECONDS = 3.0
DELIVERED_AGAIN = 200

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What was seen. `waiting_ms` and `leaderless_ms`: the slowest begin without the standby, and without a primary;
    `waited` begins came meanwhile."""

    acknowledged: int
    waited: int
    waiting_ms: float
    leaderless_ms: float
    not_answered: list[str]
    stored: Findings
    answered_otherwise: int
    unexpected: list[str]
    complaint: str

    @property
    def goals(self) -> list[tuple[str, float]]:
        return [
            ("failover_acknowledged", float(self.acknowledged)),
            ("failover_waiting_begin_ms", self.waiting_ms),
            ("failover_leaderless_begin_ms", self.leaderless_ms),
            ("failover_not_answered", float(len(self.not_answered))),
            *((f"failover_{name}", float(value)) for name, value in asdict(self.stored).items()),
            ("failover_answered_otherwise", float(self.answered_otherwise)),
            ("failover_unexpected_statuses", float(len(self.unexpected))),
            ("failover_unsound", float(bool(self.complaint))),
        ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long the standby is stopped ({SECONDS:g})")
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    pair = start_pair(server_settings=KEEPS_LOG)  # it commits to disk, as in earnest
    try:
        with running_on(pair) as server:
            outcome = failover(pair, server, options.seconds, say=_say)
    finally:
        pair.stop()
    lines = [goal_line("postgresql", *goal) for goal in outcome.goals]
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def failover(
    pair: Pair,
    server: LiveServer,
    seconds: float,
    *,
    before_seconds: float = BEFORE_SECONDS,
    leaderless_seconds: float = LEADERLESS_SECONDS,
    connections: int = CONNECTIONS,
    say: Say = lambda text: None,
) -> Outcome:
    """Stop the standby for some seconds, then kill the primary and promote the standby, while LiveTok sends and tries
    again; then look at what the new primary has."""
    add_customers(server.env, CUSTOMERS)
    pair.make_synchronous()
    livetok = PacedLiveTok(int(server.env["PORT"]), server.webhook_key, CUSTOMERS, secrets.randbelow(10**6))
    with livetok.sending(connections):
        time.sleep(before_seconds)
        stopped_at = time.monotonic()
        with pair.standby_frozen():
            time.sleep(seconds)
            resumed_at = time.monotonic()
        say(f"the standby was stopped for {seconds:g} s; {livetok.ledger.acknowledged:,} events acknowledged so far")
        time.sleep(before_seconds)
        killed_at = time.monotonic()
        pair.kill(pair.primary)
        time.sleep(leaderless_seconds)
        pair.promote()
        promoted_at = time.monotonic()
        say(f"the standby took over after {promoted_at - killed_at:.1f} s")
        time.sleep(before_seconds)
    ledger = livetok.ledger
    stored = settled(ledger.events, server.database_url)
    say(f"{len(ledger.events):,} events, {ledger.failed} deliveries not answered 200; {stored}")
    begins = [event for event in ledger.events if event.name == "session_begin" and event.answers]
    again = Random(1).sample(begins, min(DELIVERED_AGAIN, len(begins)))  # noqa: S311 - no secret
    waited = [each for each in livetok.times.begins if stopped_at <= each[0] < resumed_at]
    outcome = Outcome(
        acknowledged=ledger.acknowledged,
        waited=len(waited),
        waiting_ms=Times(waited).slowest(stopped_at, resumed_at),
        leaderless_ms=livetok.times.slowest(killed_at, promoted_at),
        not_answered=ledger.unanswered,
        stored=stored,
        answered_otherwise=answered_otherwise(livetok.sender(0), again),
        unexpected=ledger.unexpected,
        complaint=unsound(server),
    )
    for line in [*outcome.not_answered[:5], *outcome.unexpected[:5], outcome.complaint]:
        say(line)
    return outcome


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
