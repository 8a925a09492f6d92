"""Nobody but LiveTok slows LiveTok: a short form of `make bench-room`, with clients that stand still all the while."""

import json
import secrets
import socket
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from benchmarks.goals import STRANGERS
from benchmarks.strangers import Browser, Site, going_on, slow_head

pytestmark = pytest.mark.serial

BEGINS, PAUSE_SECONDS = 15, 0.05
# Without a room of its own, LiveTok waits for as long as the others please.
WITHIN_SECONDS = 1.0
CUT_WITHIN_SECONDS = 90  # ten seconds, once a busy machine has done what others left to be worked on
PER_ADDRESS = 4
BUNDLE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"


@pytest.fixture(scope="module")
def standing_still(live_server_process):
    """Clients that send the first byte of a body and no more, and some that ask for much and take none of it."""
    with ExitStack() as stack:

        def send(request):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", int(live_server_process.env["PORT"])))
            connection.sendall(request)
            return stack.enter_context(connection)

        bodies = [send(slow_head("198.51.100.1") + b"x") for _ in range(PER_ADDRESS)]
        takers = [send(f"GET {BUNDLE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * 20) for _ in range(3)]
        yield bodies, takers


def site(server):
    return Site(int(server.env["PORT"]), server.username, server.password)


def begin(server):
    """Its status, and how long it took."""
    said = {"event": "session_begin", "sessionId": secrets.token_hex(8), "kind": "telephony", "phoneNumber": "+4915"}
    headers = {"X-API-Key": server.webhook_key}
    request = urllib.request.Request(f"{server.url}/webhooks/livetok", json.dumps(said).encode(), headers)
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.status, time.monotonic() - began


@pytest.mark.parametrize("kind", STRANGERS)
def test_every_begin_is_answered_at_once(live_server_process, standing_still, kind):
    with going_on(kind, site(live_server_process)):
        answers = []
        for _ in range(BEGINS):
            answers.append(begin(live_server_process))
            time.sleep(PAUSE_SECONDS)

    assert {status for status, _ in answers} == {200}
    assert max(seconds for _, seconds in answers) < WITHIN_SECONDS


def test_a_full_line_says_when_to_try_again_and_health_says_that_somebody_waited(live_server_process):
    def look(number):
        browser = Browser(site(live_server_process))
        response = browser.ask("GET", "/accounts/login/")
        return response.status, response.headers["Retry-After"], response.read()

    with ThreadPoolExecutor(120) as pool:
        answers = list(pool.map(look, range(240)))

    refused = [answer for answer in answers if answer[0] != 200]
    assert {(status, after) for status, after, _ in refused} == {(503, "5")}
    assert all(b"Try again in a few seconds" in words for _, _, words in refused)
    counted: set[str] = set()
    for _ in range(20):
        health = json.loads(Browser(site(live_server_process)).get("/readyz"))
        counted |= set(health.get("last_minutes_of_this_process", {}))
    assert {"people waited", "people turned away"} <= counted


def test_who_stands_still_is_cut_off_and_others_are_served(live_server_process, standing_still):
    bodies, takers = standing_still
    # From now on: what strangers left to be worked on protects everybody while it lasts.
    until = time.monotonic() + CUT_WITHIN_SECONDS
    for body in bodies:
        body.settimeout(max(1, until - time.monotonic()))
        assert body.recv(64).startswith(b"HTTP/1.1 408")
    for taker in takers:
        assert was_cut_off(taker, until)
    assert Browser(site(live_server_process)).sign_in(live_server_process.username, live_server_process.password)


def was_cut_off(taker, until):
    while time.monotonic() < until:
        try:
            taker.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        except OSError:
            return True
        time.sleep(0.5)
    return False
