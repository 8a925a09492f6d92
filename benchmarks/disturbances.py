"""What comes beside LiveTok's orderly requests: repeated and unreadable ones, strangers, and slow clients."""

import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import cycle

from benchmarks.traffic import begin_said, number_of

PAUSE_SECONDS = 0.1
SLOW_CONNECTIONS = 4
SLOW_PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 60
PATH = "/webhooks/livetok"
UNREADABLE = [
    (b"{", 400),
    (b"\xff\x00", 400),
    (b"[]", 400),
    (b'{"event": "session_begin", "kind": "web"}', 400),
    (b'{"event": "session_end", "sessionId": ""}', 400),
    (b'{"event": "session_begin", "sessionId": "%s"}' % (b"x" * 70_000), 413),
    (b'{"event": "agent_updated"}', 200),
]


@dataclass
class Disturbances:
    """`going_on` while its block runs. `unexpected` are answers with another status or content than they should."""

    port: int
    key: str
    requests: int = 0
    unexpected: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        kinds = [self._repeat, self._send_unreadable, self._send_with_wrong_keys, self._break_off]
        kinds += [self._send_slowly] * SLOW_CONNECTIONS
        with ThreadPoolExecutor(len(kinds)) as pool:
            running = [pool.submit(kind) for kind in kinds]
            try:
                yield
            finally:
                self._stop.set()
        for kind in running:
            kind.result()

    def _repeat(self) -> None:
        """A begin, and the same three times: the same bytes each time."""
        while not self._stop.is_set():
            body = self._new_begin()
            contents = {self._post(body, 200) for _ in range(4)}
            if len(contents) != 1:
                self.unexpected.append(f"{len(contents)} answers to {body!r}")

    def _send_unreadable(self) -> None:
        for body, status in cycle(UNREADABLE):
            if self._stop.is_set():
                return
            self._post(body, status)

    def _send_with_wrong_keys(self) -> None:
        while not self._stop.is_set():
            self._post(self._new_begin(), 401, key=f"fd_{secrets.token_hex(4)}_wrong")

    def _send_slowly(self) -> None:
        """Byte after byte, the head too."""
        while not self._stop.is_set():
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in self._request(self._new_begin()):
                    connection.sendall(bytes([byte]))
                    time.sleep(SLOW_PAUSE_SECONDS)
                response = HTTPResponse(connection)
                response.begin()
                self._note(response.status, response.read(), 200)

    def _break_off(self) -> None:
        """Half a request, and away."""
        while not self._stop.wait(PAUSE_SECONDS):
            request = self._request(self._new_begin())
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS) as connection:
                connection.sendall(request[: -len(request) // 8])

    def _post(self, body: bytes, status: int, key: str = "") -> bytes:
        """Over a connection of its own."""
        self._stop.wait(PAUSE_SECONDS)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("POST", PATH, body, {"X-API-Key": key or self.key})
            response = connection.getresponse()
            content = response.read()
            self._note(response.status, content, status)
        except (OSError, HTTPException) as error:
            self.unexpected.append(f"{error!r} to {body[:200]!r}")
            return b""
        finally:
            connection.close()
        return content

    def _note(self, status: int, content: bytes, expected: int) -> None:
        self.requests += 1
        if status != expected:
            self.unexpected.append(f"{status} instead of {expected}: {content[:200]!r}")

    def _new_begin(self) -> bytes:
        said = begin_said(f"beside-{secrets.token_hex(8)}", number_of(secrets.randbelow(100)), datetime.now(UTC))
        return json.dumps(said).encode()

    def _request(self, body: bytes) -> bytes:
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {self.key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body
