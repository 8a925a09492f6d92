"""`make bench-reports`: report pages and files over a year of sessions, through the real server; then its begins."""

import argparse
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection
from statistics import median
from typing import Any
from urllib.parse import urlencode

from benchmarks.filled import filled
from benchmarks.flat import flat_goals
from benchmarks.gauge import fixed_work_ms
from benchmarks.goals import goal_line
from benchmarks.processes import memory_mb, web_processes
from benchmarks.servers import DATABASES, database_server
from benchmarks.year import Year
from tests.live import LiveServer

FEW_SESSIONS = 100_000
ROUNDS = 15
OVERVIEW = "/reports/?period=90d"
PAGE_NUMBER, PAGE_SIZE = 10_000, 50
EXPORTED = 1_000_000
SEARCHES = 100
CHUNK = 1 << 16


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, help="only this one; both where it is left out")
    parser.add_argument("--sessions", type=int, default=10_000_000, help="how many are stored (10,000,000)")
    options = parser.parse_args()
    goals: list[str] = []
    for database in [options.database] if options.database else list(DATABASES):
        _say(f"\n== {database}, load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
        with database_server(database):
            few_sessions = min(FEW_SESSIONS, options.sessions)
            with filled(database, few_sessions, _say) as few, filled(database, options.sessions, _say) as server:
                goals += [goal_line(database, *goal) for goal in _goals(server, options.sessions, few)]
                goals += [goal_line(database, *goal) for goal in flat_goals(database, server, _say)]
    _say("\n" + "\n".join(goals))
    return 0


class Staff:
    """A member of staff who has signed in, on one connection that stays open."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.connection = HTTPConnection("127.0.0.1", int(server.env["PORT"]), timeout=600)
        self.cookies: dict[str, str] = {}
        page = self.get("/accounts/login/").decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token, "the sign-in page has no form"
        self._send(
            "POST",
            "/accounts/login/",
            urlencode({"csrfmiddlewaretoken": token[1], "login": server.username, "password": server.password}),
        ).read()
        assert "sessionid" in self.cookies, "the password was refused"

    def get(self, path: str, status: int = 200) -> bytes:
        response = self._send("GET", path)
        body: bytes = response.read()
        assert response.status == status, f"{path}: {response.status}"
        return body

    def stream(self, path: str) -> Any:
        return self._send("GET", path)

    def took_ms(self, path: str, status: int = 200) -> float:
        began = time.perf_counter()
        self.get(path, status)
        return (time.perf_counter() - began) * 1000

    def timed(self, name: str, path: str) -> float:
        """The median in milliseconds. Says it, and how long fixed work took between the requests."""
        self.warm_up(path)
        rounds = [(self.took_ms(path), fixed_work_ms()) for _ in range(ROUNDS)]
        took, work = map(median, zip(*rounds, strict=True))
        _say(f"{name}: {took:.1f} ms (fixed work: {work:.1f} ms)")
        return took

    def warm_up(self, path: str) -> None:
        for _ in range(3):
            self.get(path)

    def _send(self, method: str, path: str, body: str | None = None) -> Any:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return response


def _goals(server: LiveServer, sessions: int, few: LiveServer) -> Iterator[tuple[str, float]]:
    staff = Staff(server)
    yield "reports_home_ms", staff.timed("home", "/admin/")
    yield from _overview(staff, Staff(few))
    yield "reports_callers_ms", median(staff.took_ms("/reports/callers/?period=90d") for _ in range(5))
    listed = "/reports/sessions/?period=90d"
    yield "reports_first_page_ms", staff.timed("first page", listed)
    far = f"{listed}&older={_far_cursor(server, sessions)}"
    yield "reports_10000th_page_ms", staff.timed("10,000th page", far)
    searches = {
        "first digits": "+4420000123",
        "last digits": "12345",
        "beginning of a name": "customer 123",
        "session id": _query(server, "SELECT session_id FROM sessions_app_session ORDER BY id DESC LIMIT 1"),
    }
    times = [staff.timed(name, f"{listed}&{urlencode({'q': text})}") for name, text in searches.items()]
    yield "reports_slowest_search_ms", max(times)
    yield "search_slowest_p95_ms", max(_one_search(server, staff))
    for sort in ("duration", "customer"):
        yield f"reports_by_{sort}_ms", staff.timed(f"by {sort}", f"{listed}&sort={sort}")
    customer = _query(server, "SELECT min(id) FROM customers_customer")
    yield "reports_customer_ms", staff.timed("one customer", f"/reports/customers/{customer}/")
    yield from _export(server, staff)


def _one_search(server: LiveServer, staff: Staff) -> Iterator[float]:
    """Of each kind of text, the 95th of a hundred times that the search of the pages' header takes, in milliseconds."""
    one = _query(server, "SELECT count(*) FROM customers_customer") // 2
    session_id = _query(server, "SELECT session_id FROM sessions_app_session ORDER BY id DESC LIMIT 1")
    kinds = {
        "words of a name": (f"{one} custom", 200),
        "a word that all have": ("customer", 200),
        "two words that many have": ("customer 1", 200),
        "first digits": ("+4420000123", 200),
        "last digits": (f"{one}", 200),
        "digits in the middle": (f"0000{one}", 200),
        "a whole number": (f"+44 20 {one:08}", 302),
        "session id": (session_id, 302),
        "tier": ("premium", 200),
        "agent": ("agent 3", 200),
        "nothing": ("zzzzz 99999999", 200),
    }
    for name, (text, status) in kinds.items():
        address = f"/reports/search/?{urlencode({'q': text})}"
        times = sorted(staff.took_ms(address, status) for _ in range(SEARCHES))
        _say(f"search, {name}: median {median(times):.1f} ms, p95 {times[SEARCHES * 95 // 100]:.1f} ms")
        yield times[SEARCHES * 95 // 100]


def _overview(many: Staff, few: Staff) -> Iterator[tuple[str, float]]:
    """With many sessions and with few in turn: between two measurements, minutes apart, the machine's speed changes."""
    for staff in (many, few):
        staff.warm_up(OVERVIEW)
    rounds = [(many.took_ms(OVERVIEW), few.took_ms(OVERVIEW), fixed_work_ms()) for _ in range(ROUNDS)]
    with_many, with_few, work = map(median, zip(*rounds, strict=True))
    _say(f"overview: {with_many:.1f} ms, with few sessions {with_few:.1f} ms (fixed work: {work:.1f} ms)")
    yield "reports_overview_ms", with_many
    yield "reports_overview_of_few", median(took / few_took for took, few_took, _ in rounds)


def _export(server: LiveServer, staff: Staff) -> Iterator[tuple[str, float]]:
    """A file of up to a million sessions: how soon it begins, how fast it comes, and what it takes of memory."""
    processes = web_processes(server.process.pid)
    idle = memory_mb(processes)
    peak, done = idle, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, memory_mb(processes))

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.perf_counter()
    response = staff.stream("/reports/sessions/?period=90d&format=csv")
    response.read(1)
    first_byte = time.perf_counter() - began
    lines = 0
    while lines < EXPORTED and (chunk := response.read(CHUNK)):
        lines += chunk.count(b"\n")
    took = time.perf_counter() - began
    staff.connection.close()
    done.set()
    watching.join()
    _say(f"{lines:,} rows in {took:.1f} s, {idle:.0f} MB before, {peak:.0f} MB at most")
    yield "reports_first_byte_s", first_byte
    yield "reports_export_mb", peak - idle
    yield "reports_rows_per_s", lines / took


def _far_cursor(server: LiveServer, sessions: int) -> str:
    """Of the page so far down, or the last one that there is."""
    offset = min(PAGE_NUMBER * PAGE_SIZE, sessions // 5)
    moment, pk = _row(
        server,
        f"SELECT started_at, id FROM sessions_app_session ORDER BY started_at DESC, id DESC LIMIT 1 OFFSET {offset}",
    )
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z_{pk}"


def _query(server: LiveServer, statement: str) -> Any:
    return _row(server, statement)[0]


def _row(server: LiveServer, statement: str) -> Any:
    database = "sqlite" if server.database_url.startswith("sqlite") else "postgresql"
    with closing(Year(database, server.database_url)) as year:
        if database == "postgresql":
            year.connection.execute("SET TIME ZONE 'UTC'")
        return year.connection.execute(statement).fetchone()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
