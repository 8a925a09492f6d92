"""How many requests of each kind a web process works on at once, and how many may wait for their turn.

LiveTok's have a room of their own, so that whatever others do, a begin finds a thread and a database connection.
"""

import threading
from collections import Counter

from config.minutes import minutes

# Whoever waits for a page sees it spin; past this a word is better than a page that may never come.
LINE_SECONDS = 10.0


class Room:
    """`at_once` work, `line` wait, and the next is turned away. Without a `line` any number waits, for as long as it
    takes."""

    def __init__(self, name: str, at_once: int, line: int | None) -> None:
        self.name, self.at_once, self.line = name, at_once, line
        self._places = threading.Semaphore(at_once)
        self._lock = threading.Lock()
        self._waiting = 0

    @property
    def most_inside(self) -> int:
        """How many threads it can hold, those that wait included."""
        return self.at_once + (self.line or 0)

    def enter(self) -> bool:
        """Take a place, after waiting for it if need be. False where the line is full, or did not move."""
        # Whoever comes now does not overtake those who wait.
        if not self._waiting and self._places.acquire(blocking=False):
            return True
        with self._lock:
            if self.line is not None and self._waiting >= self.line:
                minutes.count(f"{self.name} turned away")
                return False
            self._waiting += 1
        try:
            got_in = self._places.acquire(timeout=None if self.line is None else LINE_SECONDS)
        finally:
            with self._lock:
                self._waiting -= 1
        minutes.count(f"{self.name} waited" if got_in else f"{self.name} turned away")
        return got_in

    def leave(self) -> None:
        self._places.release()

    def come_back(self) -> None:
        """For who left in the midst of its work: it is turned away no more."""
        self._places.acquire()


class SharedRoom:
    """Places without a line, of which one address has a few at most: its slowness is its own."""

    def __init__(self, name: str, at_once: int, per_address: int) -> None:
        self.name, self.at_once, self.per_address = name, at_once, per_address
        self._lock = threading.Lock()
        self._inside: Counter[str] = Counter()

    @property
    def most_inside(self) -> int:
        return self.at_once

    def enter(self, address: str) -> bool:
        with self._lock:
            if self._inside.total() < self.at_once and self._inside[address] < self.per_address:
                self._inside[address] += 1
                return True
        return False

    def leave(self, address: str) -> None:
        with self._lock:
            self._inside[address] -= 1
            if not self._inside[address]:
                del self._inside[address]


LIVETOK = Room("webhook", at_once=16, line=None)
# At the webhook, but with no key that this process knows to be valid: strangers, and a key's very first request.
KNOCKING = Room("knocking", at_once=1, line=8)
HEALTH = Room("health", at_once=2, line=6)
SIGN_IN = Room("sign-in", at_once=2, line=14)
# Pages compute in Python, of which one thread runs at a time: with more of them at once none is done sooner, and a
# begin waits for its turn among them.
PEOPLE = Room("people", at_once=2, line=24)
# Requests whose body is still on its way, and answers that are being taken; other than LiveTok's.
READING = SharedRoom("reading", at_once=24, per_address=12)
TAKING = SharedRoom("taking", at_once=8, per_address=4)
ROOMS = (LIVETOK, KNOCKING, HEALTH, SIGN_IN, PEOPLE, READING, TAKING)

# To say that somebody is turned away takes a thread, too, for a moment.
SPARE_THREADS = 8
THREADS = sum(room.most_inside for room in ROOMS) + SPARE_THREADS
