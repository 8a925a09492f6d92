"""The replica for reports stands still, is frozen and dies while staff look: pages come, and say what they are of."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from benchmarks.goals import goal_line
from benchmarks.livetok import LiveTok
from benchmarks.reports import Staff
from benchmarks.servers import add_customers
from tests.conftest import ENVIRONMENT
from tests.live import LiveServer
from tests.outages import killed
from tests.pairs import KEEPS_LOG, Pair, running_on, start_pair, wait_until

SECONDS = 60.0
CUSTOMERS = 200
LOADED_SECONDS = 5.0
PAUSE_SECONDS = 0.2
PAGE = "/reports/sessions/?period=today"
OF_REPLICA, OF_PRIMARY = "from the replica for reports", "From the main database"

Say = Callable[[str], None]


@dataclass
class Seen:
    """The pages of some time: what each was of, and the slowest in milliseconds."""

    of: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0

    def look(self, staff: Staff) -> None:
        """Raises AssertionError for any status but 200."""
        began = time.perf_counter()
        text = staff.get(PAGE).decode()
        self.slowest_ms = max(self.slowest_ms, 1000 * (time.perf_counter() - began))
        self.of["replica" if OF_REPLICA in text else "primary" if OF_PRIMARY in text else "neither"] += 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replica", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long it stands still ({SECONDS:g})")
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    pair = start_pair(server_settings=KEEPS_LOG)
    try:
        with running_on(pair) as server:
            goals = replica(pair, server, options.seconds)
    finally:
        pair.stop()
    lines = [goal_line("postgresql", *goal) for goal in goals]
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def replica(pair: Pair, server: LiveServer, seconds: float) -> list[tuple[str, float]]:
    add_customers(server.env, CUSTOMERS)
    livetok = LiveTok(int(server.env["PORT"]), server.webhook_key, CUSTOMERS, seed=1)
    with livetok.sending(2):
        time.sleep(LOADED_SECONDS)
    staff = Staff(server)
    goals: list[tuple[str, float]] = []
    ways: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "paused": pair.replay_paused,
        "frozen": pair.standby_frozen,
    }
    for name, still in ways.items():
        wait_until(lambda: _is_of_replica(staff))
        with still():
            meanwhile = _looked(staff, seconds)
        back_at = time.monotonic()
        wait_until(lambda: _is_of_replica(staff))
        _say(
            f"{name} for {seconds:g} s: {dict(meanwhile.of)}, slowest {meanwhile.slowest_ms:.0f} ms; "
            f"of the replica again after {time.monotonic() - back_at:.1f} s"
        )
        goals += [
            (f"replica_{name}_unsaid", float(meanwhile.of["neither"])),
            (f"replica_{name}_of_primary", float(meanwhile.of["primary"])),
            (f"replica_{name}_slowest_ms", meanwhile.slowest_ms),
        ]
    return [*goals, ("replica_file_lines_missing", _lines_missing(pair, staff))]


def _looked(staff: Staff, seconds: float) -> Seen:
    seen, until = Seen(), time.monotonic() + seconds
    while time.monotonic() < until:
        seen.look(staff)
        time.sleep(PAUSE_SECONDS)
    return seen


def _is_of_replica(staff: Staff) -> bool:
    return OF_REPLICA in staff.get(PAGE).decode()


def _lines_missing(pair: Pair, staff: Staff) -> float:
    """Of a file that is under way when the replica is killed: missing, and too many."""
    pair.catch_up()
    address = f"{PAGE}&format=csv"
    whole = staff.get(address).splitlines()
    response = staff.stream(address)
    begun = response.read(1000)
    with killed(pair.standby):
        lines = (begun + response.read()).splitlines()
    _say(f"a file of {len(whole):,} lines while the replica was killed: {len(lines):,}")
    return float(len(Counter(whole) - Counter(lines)) + len(Counter(lines) - Counter(whole)))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
