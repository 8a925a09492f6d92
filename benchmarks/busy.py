"""`make bench-busy`: everything that writes much at once, and fifty begins a second beside it: each judged, none slow.

The sums are made from nothing, customers imported, usage repaired and old requests deleted, over a year of sessions.
"""

import argparse
import json
import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles

from benchmarks.filled import CUSTOMERS, filled
from benchmarks.goals import goal_line
from benchmarks.old_events import add_old_events, old_events
from benchmarks.outage import CONNECTIONS, PacedLiveTok
from benchmarks.servers import DATABASES, database_server
from benchmarks.sql import execute
from benchmarks.strangers import Browser, Site, confirm_import, post_import, staff
from benchmarks.torture import unsound
from tests.live import LiveServer

SESSIONS = 1_000_000
IMPORTED = 20_000
SPOILED_CUSTOMERS = 5_000
OLD_EVENTS = 200_000
LONGEST_SECONDS = 600

Say = Callable[[str], None]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    parser.add_argument("--sessions", type=int, default=SESSIONS, help=f"how many are stored ({SESSIONS:,})")
    options = parser.parse_args()
    lines: list[str] = []
    for database in [options.database] if options.database else DATABASES:
        _say(f"\n== {database}")
        with database_server(database), filled(database, options.sessions, _say) as server:
            lines += [goal_line(database, f"busy_{name}", value) for name, value in busy(server, _say)]
    _say("\n" + "\n".join(lines))
    return int(any(line.endswith("short") for line in lines))


def busy(server: LiveServer, say: Say) -> list[tuple[str, float]]:
    site = Site(int(server.env["PORT"]), server.username, server.password)
    browser = Browser(site, staff(site))
    add_old_events(server.database_url, OLD_EVENTS)
    _spoil(server)
    livetok = PacedLiveTok(site.port, server.webhook_key, CUSTOMERS, secrets.randbelow(10**6))
    work: dict[str, Callable[[], str]] = {
        "sums": lambda: server.manage("rebuild_sums"),
        "import": lambda: _import(browser),
        "repair": lambda: server.manage("verify_usage", "--repair"),
        "retention": lambda: _deleted(server),
    }
    began = time.monotonic()
    with ThreadPoolExecutor(len(work)) as pool, livetok.sending(CONNECTIONS):
        running = {name: pool.submit(task) for name, task in work.items()}
        for name, task in running.items():
            said = task.result(LONGEST_SECONDS).strip().splitlines()
            say(f"{name}: done within {time.monotonic() - began:.0f} s; {said[-1] if said else ''}")
    begins = [event for event in livetok.ledger.events if event.name == "session_begin"]
    answers = [answer for event in begins for answer in event.answers]
    times = sorted(1000 * seconds for _, seconds in livetok.times.begins)
    say(f"{len(begins):,} begins, median {times[len(times) // 2]:.1f} ms")
    return [
        ("begins", float(len(begins))),
        ("not_answered", float(livetok.ledger.failed)),
        ("not_judged", float(sum("context" not in json.loads(answer) for answer in answers))),
        ("p99_begin_ms", quantiles(times, n=100)[98]),
        ("slowest_begin_ms", times[-1]),
        ("unsound", float(bool(unsound(server)))),
    ]


def _spoil(server: LiveServer) -> None:
    """Give the repair something to do."""
    execute(
        server.database_url,
        "UPDATE sessions_app_dailyusage SET sessions = sessions + 1 WHERE customer_id IN "
        f"(SELECT id FROM customers_customer ORDER BY id LIMIT {SPOILED_CUSTOMERS})",
    )


def _import(browser: Browser) -> str:
    rows = "".join(f"bench-{number},Imported {number},+4930{number:08d},standard\n" for number in range(IMPORTED))
    browser.connection.timeout = LONGEST_SECONDS
    status = confirm_import(browser, post_import(browser, f"external_id,name,numbers,tier\n{rows}"))
    assert status == 302, f"the import was answered {status}"
    return f"{IMPORTED:,} customers"


def _deleted(server: LiveServer) -> str:
    give_up_at = time.monotonic() + LONGEST_SECONDS
    while (left := old_events(server.database_url)) and time.monotonic() < give_up_at:
        time.sleep(1)
    return f"{left:,} old requests left"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
