"""LiveTok before a server that may fail: it delivers again what was not acknowledged, and remembers what was."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from random import Random
from typing import Any

from benchmarks.traffic import DURATION_SECONDS, begin_said, end_said, number_of

TRIES = 3
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 30
# Of a hundred deliveries.
REDELIVERIES = 25


@dataclass
class Event:
    """One begin or end. `answers` are those that came with 200: each one is a promise."""

    name: str
    session_id: str
    body: bytes
    tries: int = 0
    answers: list[bytes] = field(default_factory=list)


@dataclass
class Ledger:
    """Everything that was sent, for all connections to add to."""

    events: list[Event] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    # What deliveries got that LiveTok has to repeat.
    unanswered: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        return sum(bool(event.answers) for event in self.events)

    @property
    def failed(self) -> int:
        """Deliveries that were not answered 200."""
        return sum(event.tries - len(event.answers) for event in self.events)


@dataclass
class LiveTok:
    """`sending` lets several connections send at once, as long as its block runs."""

    port: int
    key: str
    customers: int
    seed: float
    ledger: Ledger = field(default_factory=Ledger)

    def sender(self, number: int) -> "Sender":
        return Sender(self.port, self.key, self.customers, Random(f"{self.seed}-{number}"), self.ledger)  # noqa: S311

    @contextmanager
    def sending(self, connections: int) -> Iterator[None]:
        stop = threading.Event()
        with ThreadPoolExecutor(connections) as pool:
            running = [pool.submit(self.sender(number).run, stop.is_set) for number in range(connections)]
            try:
                yield
            finally:
                stop.set()
        for sent in running:
            sent.result()


class Sender:
    """One connection: new sessions, and now and then an event of any connection once more."""

    def __init__(self, port: int, key: str, customers: int, chosen: Random, ledger: Ledger) -> None:
        self.customers, self.chosen, self.ledger = customers, chosen, ledger
        self.headers = {"X-API-Key": key, "Content-Type": "application/json"}
        self.connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        self.prefix, self.sessions = secrets.token_hex(6), 0

    def run(self, should_stop: Callable[[], bool]) -> None:
        try:
            while not should_stop():
                if self.ledger.events and self.chosen.randrange(100) < REDELIVERIES:
                    self.deliver(self.chosen.choice(self.ledger.events))
                else:
                    for event in self.new_session():
                        self.ledger.events.append(event)
                        self.deliver(event)
        finally:
            self.connection.close()

    def deliver(self, event: Event) -> None:
        """Until it is acknowledged, a few times at most."""
        for _ in range(TRIES):
            if self._was_acknowledged(event):
                return
            time.sleep(PAUSE_SECONDS)

    def _was_acknowledged(self, event: Event) -> bool:
        event.tries += 1
        try:
            self.connection.request("POST", "/webhooks/livetok", event.body, self.headers)
            response = self.connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            self.ledger.unanswered.append(repr(error))
            with suppress(OSError):
                self.connection.close()
            return False
        if response.status == 200:
            event.answers.append(content)
        else:
            refused = self.ledger.unexpected if response.status < 500 else self.ledger.unanswered
            refused.append(f"{response.status} {content[:200]!r} to {event.body!r}")
        return response.status == 200

    def new_session(self) -> list[Event]:
        """A begin and its end."""
        self.sessions += 1
        session_id = f"{self.prefix}-{self.sessions}"
        # Some are not customers yet.
        number, at = number_of(self.chosen.randrange(self.customers + self.customers // 10)), datetime.now(UTC)
        begin = begin_said(session_id, number, at)
        end = end_said(session_id, number, at + timedelta(seconds=DURATION_SECONDS))
        return [_event(session_id, begin), _event(session_id, end)]


def _event(session_id: str, said: dict[str, Any]) -> Event:
    return Event(said["event"], session_id, json.dumps(said).encode())
