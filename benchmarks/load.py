"""LiveTok's side: begins and ends over kept connections, in a process of its own that costs little of the machine."""

import json
import random
import secrets
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import median, quantiles

from benchmarks.traffic import begin_template, end_template

CONNECTIONS = 4
# Chance decides which web process gets a connection; opened again now and then, each process has its share.
SESSIONS_A_CONNECTION = 20


@dataclass(frozen=True)
class Load:
    """What to send where. `requests_per_second` of 0: as fast as answers come.

    Customers are drawn from [first_customer, first_customer + customers).
    """

    port: int
    begin_path: str
    end_path: str
    key: str
    seconds: float
    customers: int
    first_customer: int = 0
    connections: int = CONNECTIONS
    requests_per_second: float = 0


@dataclass
class Measured:
    """What came of it. Times are a begin's, from when it was due to the last byte of its answer."""

    sessions: int = 0
    seconds: float = 0
    begin_ms: list[float] = field(default_factory=list)

    @property
    def sessions_per_second(self) -> float:
        return self.sessions / self.seconds

    @property
    def median_ms(self) -> float:
        return median(self.begin_ms)

    @property
    def p99_ms(self) -> float:
        return quantiles(self.begin_ms, n=100)[98]


class WrongAnswer(Exception):
    """The server said something else than 200, or kept out a caller who had to come in."""


def measure(load: Load) -> Measured:
    """Run the load in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongAnswer(done.stderr.strip().splitlines()[-1])
    return Measured(**json.loads(done.stdout))


class _Connection:
    """One connection that sends whole sessions one after another: a begin, its answer, its end, its answer."""

    def __init__(self, load: Load, number: int, starts_at: float) -> None:
        self.load, self.measured = load, Measured()
        self.prefix = f"{secrets.token_hex(8)}-"
        self.pause = load.connections / load.requests_per_second if load.requests_per_second else 0.0
        self.due = starts_at + self.pause * number / load.connections
        self.stops_at = starts_at + load.seconds
        self.chosen = random.Random(self.prefix)  # noqa: S311 - no secret

    def run(self) -> Measured:
        while time.perf_counter() < self.stops_at:
            with socket.create_connection(("127.0.0.1", self.load.port)) as self.socket:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                at = datetime.now(UTC)
                self.begin = begin_template(self.load.begin_path, self.load.key, self.prefix, at)
                self.end = end_template(self.load.end_path, self.load.key, self.prefix, at)
                for _ in range(SESSIONS_A_CONNECTION):
                    self._session(self.measured.sessions)
                    self.measured.sessions += 1
                    if time.perf_counter() >= self.stops_at:
                        break
        return self.measured

    def _session(self, number: int) -> None:
        customer = self.load.first_customer + self.chosen.randrange(self.load.customers)
        begun_at = self._wait_until_due()
        answer = self._ask(self.begin % (number, customer))
        self.measured.begin_ms.append((time.perf_counter() - begun_at) * 1000)
        if b'"allowed":true' not in answer:
            raise WrongAnswer(f"a begin was answered {answer.decode()}")
        self._wait_until_due()
        self._ask(self.end % (number, customer))

    def _wait_until_due(self) -> float:
        """A late request was due all the same: the time that it waited for the one before it counts."""
        if not self.pause:
            return time.perf_counter()
        due, self.due = self.due, self.due + self.pause
        time.sleep(max(0.0, due - time.perf_counter()))
        return due

    def _ask(self, request: bytes) -> bytes:
        self.socket.sendall(request)
        received = self.socket.recv(65536)
        while (end_of_head := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        body_at = end_of_head + 4
        _, stated, rest = received[:body_at].lower().partition(b"content-length:")
        if stated:
            length = int(rest.partition(b"\r\n")[0])
            while len(received) < body_at + length:
                received += self._more()
        else:  # in chunks, which a short answer's last one ends
            while not received.endswith(b"\r\n0\r\n\r\n"):
                received += self._more()
        if not received.startswith(b"HTTP/1.1 200"):
            raise WrongAnswer(f"the server answered {received.decode(errors='replace')}")
        return received[body_at:]

    def _more(self) -> bytes:
        more = self.socket.recv(65536)
        if not more:
            raise WrongAnswer("the server closed the connection")
        return more


def run(load: Load) -> Measured:
    started = time.perf_counter()
    connections = [_Connection(load, number, started) for number in range(load.connections)]
    with ThreadPoolExecutor(load.connections) as pool:
        parts = list(pool.map(_Connection.run, connections))
    seconds = time.perf_counter() - started
    return Measured(sum(part.sessions for part in parts), seconds, [ms for part in parts for ms in part.begin_ms])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(run(Load(**json.loads(sys.argv[1]))))))
