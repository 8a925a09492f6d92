"""The database is gone for a minute under load: what LiveTok waits meanwhile, and what is missing afterwards."""

import argparse
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from benchmarks.bare import bare_writes
from benchmarks.goals import goal_line
from benchmarks.livetok import LiveTok, Sender
from benchmarks.servers import DATABASES, add_customers, database_server
from benchmarks.stored import Findings
from benchmarks.torture import settled, unsound
from tests.databases import PostgresServer
from tests.live import LiveServer, running_server
from tests.outages import frozen, killed, locked

CUSTOMERS = 2000
CONNECTIONS = 8
SESSIONS_PER_SECOND = 50
SECONDS = 60
# Sent within that time after the database went, a begin is one of the first; later ones find it known to be away.
FIRST_SECONDS = 1.0
BEFORE_SECONDS, AFTER_SECONDS = 5, 5

Say = Callable[[str], None]
Away = Callable[[], AbstractContextManager[None]]


@dataclass
class Times:
    """When each begin was sent, and how many seconds its answer took."""

    begins: list[tuple[float, float]] = field(default_factory=list)

    def slowest(self, sent_from: float, sent_before: float) -> float:
        """In milliseconds."""
        return 1000 * max(seconds for at, seconds in self.begins if sent_from <= at < sent_before)


class PacedSender(Sender):
    """Sends whole sessions at an even pace, however long the answers take. The first is due after `delay_seconds`."""

    def __init__(self, times: Times, delay_seconds: float, *others: Any) -> None:
        super().__init__(*others)
        self.times, self.delay_seconds = times, delay_seconds

    def run(self, should_stop: Callable[[], bool]) -> None:
        due = time.monotonic() + self.delay_seconds
        time.sleep(self.delay_seconds)
        while not should_stop():
            due += CONNECTIONS / SESSIONS_PER_SECOND
            begin, end = self.new_session()
            self.ledger.events += [begin, end]
            sent_at = time.monotonic()
            self.deliver(begin)
            self.times.begins.append((sent_at, time.monotonic() - sent_at))
            self.deliver(end)
            time.sleep(max(0.0, due - time.monotonic()))
        self.connection.close()


@dataclass
class PacedLiveTok(LiveTok):
    times: Times = field(default_factory=Times)

    def sender(self, number: int) -> PacedSender:
        chosen = Random(f"{self.seed}-{number}")  # noqa: S311 - no secret
        # One after the other, not all at once: that is what a pace is.
        delay_seconds = number / SESSIONS_PER_SECOND
        return PacedSender(self.times, delay_seconds, self.port, self.key, self.customers, chosen, self.ledger)


@dataclass(frozen=True)
class Outcome:
    """What an outage has shown."""

    acknowledged: int
    first_ms: float
    later_ms: float
    not_answered: int
    stored: Findings
    complaint: str

    @property
    def goals(self) -> list[tuple[str, float]]:
        return [
            ("acknowledged", float(self.acknowledged)),
            ("first_begin_ms", self.first_ms),
            ("later_begin_ms", self.later_ms),
            ("not_answered", float(self.not_answered)),
            ("missing", float(not self.stored.are_none)),
            ("unsound", float(bool(self.complaint))),
        ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long the database is gone ({SECONDS})")
    options = parser.parse_args()
    lines: list[str] = []
    for database in [options.database] if options.database else DATABASES:
        with database_server(database) as postgres, running_server(database) as server:
            add_customers(server.env, CUSTOMERS)
            for name, away in _ways(server, postgres).items():
                _say(f"\n== {database}, {name} for {options.seconds:g} s")
                outcome = outage(server, away, options.seconds, _say)
                lines += [goal_line(f"{database}_{name}", f"outage_{goal}", value) for goal, value in outcome.goals]
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def _ways(server: LiveServer, postgres: PostgresServer | None) -> dict[str, Away]:
    if postgres is None:
        return {"locked": partial(locked, server.database_url)}
    return {"killed": partial(killed, postgres), "frozen": partial(frozen, postgres)}


def outage(server: LiveServer, away: Away, seconds: float, say: Say) -> Outcome:
    livetok = PacedLiveTok(int(server.env["PORT"]), server.webhook_key, CUSTOMERS, secrets.randbelow(10**6))
    with bare_writes(server.folder, SESSIONS_PER_SECOND) as bare, livetok.sending(CONNECTIONS):
        time.sleep(BEFORE_SECONDS)
        gone_at = time.monotonic()
        with away():
            time.sleep(seconds)
            back_at = time.monotonic()
        time.sleep(AFTER_SECONDS)
    ended_at = time.monotonic()
    ledger, times = livetok.ledger, livetok.times
    stored = settled(ledger.events, server.database_url)
    say(f"{len(ledger.events):,} events, {ledger.failed} deliveries not answered 200; {stored}")
    say(f"all of it stored {time.monotonic() - ended_at:.0f} s after the last was sent")
    first_until = gone_at + FIRST_SECONDS
    say(f"meanwhile, the slowest bare write to disk: {Times(bare).slowest(first_until, back_at):.0f} ms")
    return Outcome(
        acknowledged=ledger.acknowledged,
        first_ms=times.slowest(gone_at, first_until),
        later_ms=times.slowest(first_until, back_at),
        not_answered=ledger.failed,
        stored=stored,
        complaint=unsound(server),
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
