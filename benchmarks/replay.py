"""`python -m benchmarks.replay`: how many stored sessions a second are replayed on one core, with a year of sessions.

Each is decided by two sets of limits, and counts once. PostgreSQL's own CPU is not in it.
"""

import argparse
import os
import subprocess
import sys

from benchmarks.filled import filled
from benchmarks.goals import goal_line
from benchmarks.servers import DATABASES, database_server
from tests.live import ROOT

SESSIONS = 1_000_000
DAYS = 90


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    parser.add_argument("--sessions", type=int, default=SESSIONS, help=f"how many are stored ({SESSIONS:,})")
    parser.add_argument("--days", type=int, default=DAYS, help=f"how many are replayed ({DAYS})")
    options = parser.parse_args()
    lines: list[str] = []
    for database in [options.database] if options.database else DATABASES:
        _say(f"\n== {database}, load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
        with database_server(database), filled(database, options.sessions, _say) as server:
            server.stop()
            command = [sys.executable, "-m", "benchmarks.replayed", str(options.days)]
            done = subprocess.run(command, cwd=ROOT, env=server.env, check=True, stdout=subprocess.PIPE, text=True)
            lines.append(goal_line(database, "replayed_a_second", float(done.stdout)))
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
