"""Connections whose clients neither send what they announced nor take what they asked for are cut off.

The web server knows no time limit for a body, nor for an answer that is not taken, and a thread that waits for either
cannot be woken. The system can tell which connections stand still (Linux, tcp(7), TCP_INFO), and end them.
"""

import logging
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.conf import settings

from config.minutes import minutes

LOOK_EVERY_SECONDS = 1.0
# A client that waits for us is patient for longer than one that keeps us waiting.
STILL_SECONDS = 10.0
# For a request's head, and between two of a connection: the web server's own limit.
HEAD_SECONDS = 30

logger = logging.getLogger("frontdesk.slow_clients")

# From the kernel's struct tcp_info: milliseconds since data was last sent and received, bytes that were taken, and how
# many are not sent yet, and not taken yet.
_TCP_INFO_BYTES = 148
_UNTAKEN, _SENT_MS, _RECEIVED_MS, _UNSENT = (24, "I"), (44, "I"), (52, "I"), (144, "I")
_TAKEN, _RECEIVED = (120, "Q"), (128, "Q")


class Visit:
    """A request while it is here. `is_on_client`: it waits for its client, for `seconds` at most."""

    __slots__ = ("is_on_client", "seconds", "since")

    def __init__(self) -> None:
        self.is_on_client, self.since, self.seconds = False, time.monotonic(), STILL_SECONDS

    def wait_for_client(self, seconds: float = STILL_SECONDS) -> None:
        self.is_on_client, self.since, self.seconds = True, time.monotonic(), seconds

    def work(self) -> None:
        """Its connection has stood still since it came."""
        self.is_on_client = False

    def work_anew(self) -> None:
        """Something was taken meanwhile."""
        self.is_on_client, self.since = False, time.monotonic()


class Visits:
    """Those that are here, and the connections that stand still while one of them waits for its client."""

    def __init__(self) -> None:
        self.here: set[Visit] = set()
        self._still: dict[tuple[str, int, int], float] = {}

    def cut_slow_ones(self) -> None:
        """Cut connections that stand still, where some request waited too long for its client.

        Which connection a request came by is not known. So one that is worked on protects all that stand still for no
        longer than itself.
        """
        now = time.monotonic()
        waiting = [visit for visit in list(self.here) if visit.is_on_client and now - visit.since > LOOK_EVERY_SECONDS]
        if not waiting:
            self._still.clear()
            return
        still = {connection.key: connection for connection in _connections() if connection.stands_still}
        self._still = {key: self._still.get(key, now) for key in still}
        if not any(now - visit.since > visit.seconds for visit in waiting):
            return
        worked_on = max((now - visit.since for visit in list(self.here) if not visit.is_on_client), default=0.0)
        for key, since in self._still.items():
            # It stood still before we looked, too.
            if now - since + 2 * LOOK_EVERY_SECONDS > max(STILL_SECONDS, worked_on + 4 * LOOK_EVERY_SECONDS):
                still[key].cut()
                minutes.count("slow client cut off")


@dataclass(frozen=True)
class _Connection:
    file: int
    peer: str
    info: bytes

    @property
    def key(self) -> tuple[str, int, int]:
        return self.peer, self.file, self._number(_TAKEN)

    @property
    def stands_still(self) -> bool:
        """Whether something was received and not answered yet, or sent and not taken."""
        sent_ms, received_ms = self._number(_SENT_MS), self._number(_RECEIVED_MS)
        is_first = self._number(_TAKEN) <= 1 and self._number(_RECEIVED) > 0  # the handshake counts as one
        # Between two requests the web server itself closes it before that.
        is_forgotten = min(sent_ms, received_ms) > 1000 * (HEAD_SECONDS + 5)
        return self._owes or is_first or received_ms < sent_ms or is_forgotten

    @property
    def _owes(self) -> bool:
        return bool(self._number(_UNTAKEN) or self._number(_UNSENT))

    def cut(self) -> None:
        """A client that sends too slowly can still be told so."""
        with suppress(OSError), _borrowed(self.file) as own:
            if str(own.getpeername()) == self.peer:
                own.shutdown(socket.SHUT_RDWR if self._owes else socket.SHUT_RD)

    def _number(self, place: tuple[int, str]) -> int:
        offset, kind = place
        number: int = struct.unpack_from(kind, self.info, offset)[0]
        return number


def _connections() -> Iterator[_Connection]:
    """The web server's own, by the port that it listens on. None where the system is not Linux."""
    if not sys.platform.startswith("linux"):
        return
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), _borrowed(int(name)) as one:
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.getsockname()[1] == settings.PORT:
                info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
                if len(info) == _TCP_INFO_BYTES:
                    yield _Connection(int(name), str(one.getpeername()), info)


@contextmanager
def _borrowed(file: int) -> Iterator[socket.socket]:
    """The web server's socket, which stays open. Raises OSError where the file is none."""
    own = socket.socket(fileno=file)
    try:
        yield own
    finally:
        own.detach()


visits = Visits()


def _watch() -> None:
    while True:
        time.sleep(LOOK_EVERY_SECONDS)
        minutes.turn()
        try:
            visits.cut_slow_ones()
        except Exception:
            logger.exception("slow clients could not be cut off")


def start_watch() -> None:
    threading.Thread(target=_watch, name="watch", daemon=True).start()
