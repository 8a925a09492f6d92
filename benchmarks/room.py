"""`make bench-room`: how long a begin takes while others do what they can to slow it, against its quiet time."""

import argparse
import sys
from statistics import quantiles

from benchmarks.goals import STRANGERS, goal_line
from benchmarks.load import WrongAnswer
from benchmarks.servers import DATABASES, Driven, add_customers, database_server, driven
from benchmarks.strangers import Site, going_on
from tests.live import running_server

CUSTOMERS = 1000
# Sessions beforehand, for pages to show and downloads to hold.
FILLING_SECONDS = 10
SESSIONS_PER_SECOND = 25
# Begins of quiet rounds and of others in turn, so that a machine that others use as well is alike for both.
ROUNDS, SECONDS = 3, 5.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.room", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    parser.add_argument("--kind", choices=STRANGERS, help="only these; all in turn where it is left out")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each round")
    options = parser.parse_args()
    lines: list[str] = []
    for database in [options.database] if options.database else DATABASES:
        _say(f"\n== {database}")
        with database_server(database), running_server(database) as server:
            add_customers(server.env, CUSTOMERS)
            livetok = driven(server, CUSTOMERS)
            livetok.load(FILLING_SECONDS)
            site = Site(livetok.port, server.username, server.password)
            for kind in [options.kind] if options.kind else STRANGERS:
                lines += _measure(livetok, database, kind, site, options.rounds, options.seconds)
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def _measure(livetok: Driven, database: str, kind: str, site: Site, rounds: int, seconds: float) -> list[str]:
    quiet_ms: list[float] = []
    beside_ms: list[float] = []
    failed = 0
    for _ in range(rounds):
        quiet_ms += _begins(livetok, seconds)
        with going_on(kind, site):
            try:
                beside_ms += _begins(livetok, seconds)
            except WrongAnswer as error:
                failed += 1
                _say(f"{kind}: {error}")
    lines = [goal_line(database, f"room_{kind}_failed", float(failed))]
    if beside_ms:
        quiet, beside = _p99(quiet_ms), _p99(beside_ms)
        _say(f"{kind}: a begin's p99 is {beside:.1f} ms, {quiet:.1f} ms where it is quiet")
        lines.append(goal_line(database, f"room_{kind}_p99_of_quiet", beside / quiet))
    return lines


def _begins(livetok: Driven, seconds: float) -> list[float]:
    return livetok.load(seconds, requests_per_second=2 * SESSIONS_PER_SECOND).begin_ms


def _p99(milliseconds: list[float]) -> float:
    return quantiles(milliseconds, n=100)[98]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
