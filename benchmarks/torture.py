"""`make torture`: whatever is killed under load, what was answered with 200 is there afterwards, once, and followed."""

import argparse
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from random import Random
from urllib.request import urlopen

from benchmarks.followed import OUTGOING, Followed, all_followed, make_rules
from benchmarks.goals import goal_line
from benchmarks.livetok import Event, LiveTok, Sender
from benchmarks.old_events import add_old_events
from benchmarks.processes import is_running, web_processes, web_server, worker
from benchmarks.servers import DATABASES, add_customers, database_server
from benchmarks.sql import rows
from benchmarks.stored import Findings, changed_answers, findings
from tests.databases import PostgresServer
from tests.live import LiveServer, running_server, start_server
from tests.standins import Received, http_standin

KILLS = 20
# `serve` starts the web server and the worker, the web server its processes.
VICTIMS = {"sqlite": ["web process", "web server", "worker", "serve"]}
VICTIMS["postgresql"] = [*VICTIMS["sqlite"], "database server", "database connection"]
CONNECTIONS = 6
CUSTOMERS = 200
FOLLOWED_CUSTOMERS = 40
OLD_EVENTS = 50_000
LOADED_SECONDS = (0.2, 1.5)
AWAY_SECONDS = (0.0, 1.5)
PATIENCE_SECONDS = 60
DELIVERED_AGAIN = 300

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a torture has shown. Everything but the first three should be none."""

    starts: int
    acknowledged: int
    failed: int
    stored: Findings
    followed: Followed
    answered_otherwise: int
    unexpected: list[str]
    changed: list[str]  # of each begin whose answer changed: what was given, and what is stored
    complaint: str

    @property
    def goals(self) -> list[tuple[str, float]]:
        found = asdict(self.stored) | asdict(self.followed)
        stored = [(f"torture_{name}", float(value)) for name, value in found.items()]
        return [
            ("torture_acknowledged", float(self.acknowledged)),
            *stored,
            ("torture_answered_otherwise", float(self.answered_otherwise)),
            ("torture_unexpected_statuses", float(len(self.unexpected))),
            ("torture_unsound", float(bool(self.complaint))),
        ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how often each kind of process ({KILLS})")
    few = "of how many of the 200 customers rules follow the sessions: the receiver takes what they send one by one"
    parser.add_argument("--followed", type=int, default=FOLLOWED_CUSTOMERS, help=f"{few} ({FOLLOWED_CUSTOMERS})")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="for the same order once more")
    options = parser.parse_args()
    lines: list[str] = []
    for database in [options.database] if options.database else DATABASES:
        _say(f"\n== {database}, seed {options.seed}")
        with database_server(database) as server:
            chosen = Random(options.seed)  # noqa: S311 - no secret
            order = shuffled(database, options.kills, chosen)
            outcome = torture(database, server, order, chosen, followed_customers=options.followed, say=_say)
        lines += [goal_line(database, *goal) for goal in outcome.goals]
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def shuffled(database: str, kills: int, chosen: Random) -> list[str]:
    order = [victim for victim in VICTIMS[database] for _ in range(kills)]
    chosen.shuffle(order)
    return order


def torture(
    database: str,
    postgres: PostgresServer | None,
    order: Sequence[str],
    chosen: Random,
    *,
    connections: int = CONNECTIONS,
    followed_customers: int = 0,
    say: Say = lambda text: None,
) -> Outcome:
    """Kill one after the other while LiveTok sends and the worker deletes and follows, then look at what is left.

    Rules follow the sessions of the first `followed_customers`, or of all where it is 0.
    """
    with http_standin() as receiver, running_server(database, **OUTGOING) as server:
        add_customers(server.env, CUSTOMERS)
        make_rules(server.env, receiver.url, customers=followed_customers)
        add_old_events(server.database_url, OLD_EVENTS)
        supervised = Supervised(server, postgres, chosen)
        livetok = LiveTok(int(server.env["PORT"]), server.webhook_key, CUSTOMERS, chosen.random())
        with livetok.sending(connections):
            for number, victim in enumerate(order, 1):
                time.sleep(chosen.uniform(*LOADED_SECONDS))
                seconds = supervised.kill(victim)
                sent = livetok.ledger.acknowledged
                say(f"{number:3} {victim}: whole after {seconds:.1f} s; {sent:,} events were acknowledged so far")
            time.sleep(LOADED_SECONDS[0])
        outcome = judged(supervised, livetok, receiver.requests, followed_customers)
    say(f"{len(receiver.requests):,} requests of rules arrived")
    say(f"{outcome.starts} starts by the supervisor; {outcome.failed:,} deliveries were not acknowledged")
    for line in [*outcome.unexpected[:5], *outcome.changed[:5], outcome.complaint]:
        say(line)
    return outcome


def judged(supervised: "Supervised", livetok: LiveTok, requests: list[Received], followed_customers: int) -> Outcome:
    ledger, server = livetok.ledger, supervised.server
    acknowledged, failed = ledger.acknowledged, ledger.failed
    stored = settled(ledger.events, server.database_url)
    changed = changed_answers(ledger.events, server.database_url)
    follows = all_followed(ledger.events, server.database_url, requests, followed_customers)
    complaint = unsound(server)
    begins = [event for event in ledger.events if event.name == "session_begin" and event.answers]
    again = supervised.chosen.sample(begins, min(DELIVERED_AGAIN, len(begins)))
    otherwise = answered_otherwise(livetok.sender(0), again)
    seen = supervised.starts, acknowledged, failed, stored, follows
    return Outcome(*seen, otherwise, ledger.unexpected, changed, complaint)


class Supervised:
    """A server, and what a deployment's supervisor does for it: start again what has ended, and nothing else."""

    def __init__(self, server: LiveServer, postgres: PostgresServer | None, chosen: Random) -> None:
        self.server, self.postgres, self.chosen, self.starts = server, postgres, chosen, 0
        self.web_processes = int(server.env["WEB_PROCESSES"])

    def kill(self, victim: str) -> float:
        """Kill one of them, and wait until everything is back. How many seconds that took."""
        killed = self.chosen.choice(self._processes_of(victim))
        os.kill(killed, signal.SIGKILL)
        killed_at = time.monotonic()
        if killed == self.server.process.pid:
            self.server.process.wait()
        if self.postgres and killed == self.postgres.process.pid:
            self.postgres.process.wait()
            time.sleep(self.chosen.uniform(*AWAY_SECONDS))
            self.postgres.start_again()
        while is_running(killed) or not self._is_whole():
            if time.monotonic() > killed_at + PATIENCE_SECONDS:
                raise AssertionError(f"not back without help after a {victim} was killed:\n{self.server.log[-5000:]}")
            time.sleep(0.05)
        return time.monotonic() - killed_at

    def _processes_of(self, victim: str) -> list[int]:
        serving = self.server.process.pid
        if victim == "database server":
            assert self.postgres
            return [self.postgres.process.pid]
        if victim == "database connection":
            return self._connected()
        if victim == "web process":
            return self._answering()
        return {"web server": web_server(serving), "worker": worker(serving), "serve": [serving]}[victim]

    def _is_whole(self) -> bool:
        if self.server.process.poll() is not None:
            # Fails while the port is in use by what is left of the killed one; a supervisor tries again, too.
            self.server.process = start_server(self.server.env).process
            self.starts += 1
        serving = self.server.process.pid
        with suppress(OSError):  # processes come and go while they are looked at
            if worker(serving) and web_server(serving) and len(self._answering()) == self.web_processes:
                return urlopen(f"{self.server.url}/readyz", timeout=5).status == 200  # noqa: S310 - our own
        return False

    def _answering(self) -> list[int]:
        serving = self.server.process.pid
        return [pid for pid in web_processes(serving) if pid not in web_server(serving)]

    def _connected(self) -> list[int]:
        """The database server's processes that serve our connections."""
        own = "datname = current_database() AND pid <> pg_backend_pid()"
        return [pid for (pid,) in rows(self.server.database_url, f"SELECT pid FROM pg_stat_activity WHERE {own}")]


def settled(events: list[Event], url: str, *, arrivals: int = 1) -> Findings:
    """What is found once what was put by has reached the database: until nothing is missing, or nothing changes."""
    found = findings(events, url, arrivals=arrivals)
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while found.may_still_come and time.monotonic() < give_up_at:
        time.sleep(1)
        later = findings(events, url, arrivals=arrivals)
        if later != found:
            found, give_up_at = later, time.monotonic() + PATIENCE_SECONDS
    return found


def unsound(server: LiveServer) -> str:
    """What is wrong with the sums, or with an SQLite file itself; blank where nothing is."""
    try:
        server.manage("verify_usage")
    except AssertionError as error:
        return str(error)
    if server.database_url.startswith("sqlite:"):
        [(checked,), *_] = rows(server.database_url, "PRAGMA integrity_check")
        return "" if checked == "ok" else f"integrity_check: {checked}"
    return ""


def answered_otherwise(sender: Sender, begins: list[Event]) -> int:
    """How many begins get another answer now than before, or none."""
    otherwise = 0
    for begin in begins:
        before = list(begin.answers)
        sender.deliver(begin)
        otherwise += len(begin.answers) == len(before) or begin.answers[-1] not in before
    return otherwise


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
