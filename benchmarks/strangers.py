"""Who comes beside LiveTok: guessers, readers, downloads, an import, slow and idle clients. In a process of their own.

They keep on until their standard input ends, and give way to whoever needs the processor: they stand for clients on
other machines.
"""

import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

GUESSERS, READERS, DOWNLOADS, SLOW_BODIES, IDLE, KNOCKERS = 50, 16, 4, 64, 4000, 300
IMPORTED = 1000
NICENESS = 19
PATIENCE_SECONDS = 30
OVERVIEW, SESSIONS_CSV = "/reports/?period=30d", "/reports/sessions/?period=30d&format=csv"
SESSIONS_XLSX = "/reports/sessions/?period=30d&format=xlsx"
IMPORT, CONFIRM = "/admin/customers/customer/import/", "/admin/customers/customer/process_import/"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Site:
    """Where to, and a member of staff who may do everything."""

    port: int
    username: str
    password: str


class Browser:
    """A connection with cookies, which is opened again where the server closes it."""

    def __init__(self, site: Site, cookies: dict[str, str] | None = None, address: str = "") -> None:
        self.site, self.cookies, self.address = site, cookies or {}, address
        self.connection = HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE_SECONDS)

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = FORM) -> HTTPResponse:
        """The answer, whose body is still to be read."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        headers |= {"X-Forwarded-For": self.address} if self.address else {}
        headers |= {"Content-Type": kind} if body is not None else {}
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return response

    def get(self, path: str) -> str:
        return self.ask("GET", path).read().decode(errors="replace")

    def token(self, path: str) -> str:
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(path))
        return found[1] if found else ""

    def sign_in(self, username: str, password: str) -> HTTPResponse:
        form = {"csrfmiddlewaretoken": self.token("/accounts/login/"), "login": username, "password": password}
        response = self.ask("POST", "/accounts/login/", urlencode(form).encode())
        response.read()
        return response


def staff(site: Site) -> dict[str, str]:
    """The cookies of who has signed in."""
    browser = Browser(site)
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while "sessionid" not in browser.cookies:  # guessers may stand in the line
        assert time.monotonic() < give_up_at, "the password was refused"
        browser.sign_in(site.username, site.password)
    return browser.cookies


def guess(site: Site, number: int) -> None:
    """From ever other addresses, so that no limit by address spares the server the work."""
    while True:
        address = f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"  # noqa: S311
        _keep_trying(lambda address=address: Browser(site, address=address).sign_in(f"ana{number}", "wrong"))


def read(site: Site, cookies: dict[str, str]) -> None:
    browser = Browser(site, cookies)
    while True:
        _keep_trying(lambda: browser.get(OVERVIEW))


def download(site: Site, cookies: dict[str, str], path: str) -> None:
    """Slowly, with little room for what comes."""
    while True:
        _keep_trying(lambda: _take_slowly(Browser(site, cookies), path))


def _take_slowly(browser: Browser, path: str) -> None:
    response = browser.ask("GET", path)
    while response.read(16 * 1024):
        time.sleep(0.02)


def preview_import(site: Site, cookies: dict[str, str]) -> None:
    rows = "".join(f"Customer {number},+4930{number:08d},standard\n" for number in range(IMPORTED))
    while True:
        _keep_trying(lambda: post_import(Browser(site, cookies), f"name,numbers,tier\n{rows}"))


def post_import(browser: Browser, content: str) -> str:
    """The page with the preview, or what is wrong with the file."""
    parts = {"csrfmiddlewaretoken": browser.token(IMPORT), "format": "0", "resource": "0"}
    body = "".join(f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts.items())
    body += '--x\r\nContent-Disposition: form-data; name="import_file"; filename="c.csv"\r\n'
    body += f"Content-Type: text/csv\r\n\r\n{content}\r\n--x--\r\n"
    return browser.ask("POST", IMPORT, body.encode(), "multipart/form-data; boundary=x").read().decode()


def confirm_import(browser: Browser, preview: str) -> int:
    """Say yes to a preview. Returns the status: 302 where all of it is stored."""
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', preview))
    response = browser.ask("POST", CONFIRM, urlencode(hidden).encode())
    response.read()
    return response.status


def send_slowly(site: Site, number: int) -> None:
    """A sign-in's body, byte after byte."""
    while True:
        _keep_trying(lambda: send_body_slowly(site, f"10.0.{number % 256}.1"))


def send_body_slowly(site: Site, address: str) -> None:
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE_SECONDS) as connection:
        connection.sendall(slow_head(address))
        for _ in range(1000):
            connection.sendall(b"x")
            time.sleep(0.5)


def slow_head(address: str) -> bytes:
    head = f"POST /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {address}\r\n"
    head += f"Cookie: csrftoken={'x' * 32}\r\n"  # without one, the body is not asked for
    return f"{head}Content-Type: {FORM}\r\nContent-Length: 1000\r\n\r\n".encode()


def knock(site: Site, number: int) -> None:
    """At the webhook with a key that has the right form, over a connection that stays."""
    key = f"fd_{number:08x}_{'x' * 43}"
    while True:
        _keep_trying(lambda: _knock_again_and_again(HTTPConnection("127.0.0.1", site.port, timeout=30), key))


def _knock_again_and_again(connection: HTTPConnection, key: str) -> None:
    with closing(connection):
        while True:
            connection.request("POST", "/webhooks/livetok/begin", b"{}", {"X-API-Key": key})
            connection.getresponse().read()


def stand_idle(site: Site) -> None:
    connections: list[socket.socket] = []
    while True:
        with suppress(OSError):
            connections += [socket.create_connection(("127.0.0.1", site.port)) for _ in range(IDLE - len(connections))]
        time.sleep(1)


def _keep_trying(task: Callable[[], object]) -> None:
    with suppress(OSError, HTTPException):
        task()


def tasks(kind: str, site: Site) -> list[Callable[[], None]]:
    """What each of them does, for ever."""
    if kind == "guessers":
        return [lambda number=number: guess(site, number) for number in range(GUESSERS)]
    if kind == "slow_bodies":
        return [lambda number=number: send_slowly(site, number) for number in range(SLOW_BODIES)]
    if kind == "knockers":
        return [lambda number=number: knock(site, number) for number in range(KNOCKERS)]
    if kind == "idle":
        return [lambda: stand_idle(site)]
    cookies = staff(site)
    if kind == "readers":
        return [lambda: read(site, cookies)] * READERS
    if kind == "import":
        return [lambda: preview_import(site, cookies)]
    return [
        lambda path=path: download(site, cookies, path) for path in (SESSIONS_CSV, SESSIONS_XLSX) * (DOWNLOADS // 2)
    ]


@contextmanager
def going_on(kind: str, site: Site) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.strangers", kind, json.dumps(asdict(site))]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdin
    assert child.stdout
    try:
        assert child.stdout.readline() == b"ready\n", f"{kind} did not come"
        time.sleep(1)
        yield
        assert child.poll() is None, f"{kind} went away"
    finally:
        child.kill()  # to end by itself would take it long: it gives way to everybody
        child.wait()
        child.stdin.close()
        child.stdout.close()


def _give_way() -> None:
    """To whoever wants the processor. Where Linux groups processes by session, niceness alone counts within a group."""
    os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))


def main() -> None:
    kind, site = sys.argv[1], Site(**json.loads(sys.argv[2]))
    _give_way()
    all_are_here = threading.Event()
    for task in tasks(kind, site):  # those that are busy already would not let the next one start
        threading.Thread(target=lambda task=task: all_are_here.wait() and task(), daemon=True).start()
    all_are_here.set()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
