"""Promises 3 and 5: limits hold, and edits are seen, with real connections at once against a real server."""

import http.client
import json
import re
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from html import unescape
from http.cookiejar import CookieJar
from typing import Any
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest

from customers.keys import BELIEVED_SECONDS
from tests.builders import begin_body, end_body
from tests.live import ROOT, LiveServer, running_server

pytestmark = pytest.mark.serial

AT_ONCE = 16
# A race that is lost only now and then, or rarely, must not slip through.
ROUNDS = 3
RARE_ROUNDS = 15
# LiveTok's, and a few more.
TRIES = 10
NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)

Reply = tuple[int, bytes]


class Frontdesk:
    """A running server as LiveTok and a CRM see it. Every request has a connection of its own."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.port = int(server.env["PORT"])
        self.manage_key = server.manage("create_api_key", "--name", "CRM", "--scope", "manage").strip()
        self.used = 0

    def number(self) -> str:
        """A number that no test has used."""
        self.used += 1
        return f"+1555{self.used:07}"

    def open(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.connect()
        return connection

    def request(
        self, method: str, path: str, body: Any = None, key: str = "", through: http.client.HTTPConnection | None = None
    ) -> Reply:
        """The reply, after as many tries as a machine takes that is too busy: whoever is told so tries again."""
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        for _ in range(TRIES):
            connection = through or self.open()
            try:
                connection.request(method, path, b"" if body is None else json.dumps(body), headers)
                response = connection.getresponse()
                content = response.read()
            finally:
                connection.close()
            if response.status != 503:
                break
            through = None
            time.sleep(0.2)
        assert response.status < 500, (response.status, content)
        return response.status, content

    def api(self, method: str, path: str, body: Any = None) -> Any:
        status, content = self.request(method, f"/api/v1/{path}", body, self.manage_key)
        assert status in (200, 201), (status, content)
        return json.loads(content)

    def tier(self, slug: str, *limits: dict[str, Any], **fields: Any) -> None:
        self.api("PUT", f"tiers/{slug}/", {"name": slug, "limits": list(limits), **fields})

    def customer(self, tier: str, **fields: Any) -> str:
        """A new customer's number."""
        number = self.number()
        self.api("PUT", f"customers/by-external-id/{number[1:]}/", {"tier": tier, "numbers": [number], **fields})
        return number

    def top_up(self, number: str, metric: str, amount: int) -> int:
        """The id of a new top-up that has been valid since long ago."""
        customer = self.api("GET", f"customers/by-phone/{urllib.parse.quote(number)}/")["id"]
        values = {"metric": metric, "amount": amount, "valid_from": "2020-01-01T00:00:00Z"}
        return self.api("POST", f"customers/{customer}/top-ups/", values)["id"]

    def sessions(self, **filters: Any) -> list[dict[str, Any]]:
        page = self.api("GET", f"sessions/?{urllib.parse.urlencode({**filters, 'page_size': 100})}")
        assert page["next"] is None
        return page["results"]

    def usage(self, number: str, at: datetime = NOON) -> dict[str, Any]:
        return self.api("GET", f"usage/?{urllib.parse.urlencode({'phone': number, 'at': at.isoformat()})}")["day"]

    def send(self, body: dict[str, Any]) -> dict[str, Any]:
        [(status, content)] = self.send_at_once([body])
        assert status == 200, content
        return json.loads(content)

    def at_once(self, requests: Sequence[tuple[str, str, Any, str]]) -> list[Reply]:
        """Make all of the requests at the same moment, each over a connection that is open already."""
        barrier = threading.Barrier(len(requests))

        def make(request: tuple[str, str, Any, str]) -> Reply:
            connection = self.open()
            barrier.wait(60)
            return self.request(*request, connection)

        with ThreadPoolExecutor(len(requests)) as pool:
            replies = list(pool.map(make, requests))
        self.wait_until_fed()
        return replies

    def wait_until_fed(self) -> None:
        """On a busy machine some requests may have been kept on disk first."""
        give_up_at = time.monotonic() + 30
        while list((self.server.folder / "spool").glob("*.spool")):
            assert time.monotonic() < give_up_at, "what waits on disk is not fed"
            time.sleep(0.05)

    def send_at_once(self, bodies: Sequence[dict[str, Any]], key: str = "") -> list[Reply]:
        return self.at_once([self.delivery(body, key) for body in bodies])

    def delivery(self, body: dict[str, Any], key: str = "") -> tuple[str, str, Any, str]:
        return "POST", "/webhooks/livetok", body, key or self.server.webhook_key

    def answers_at_once(self, bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        replies = self.send_at_once(bodies)
        assert [status for status, _ in replies] == [200] * len(bodies)
        return [json.loads(content) for _, content in replies]


@pytest.fixture(scope="module")
def frontdesk(database_name, web_processes):
    """No begin is answered without being decided: on a busy machine it is sent again."""
    with running_server(database_name, WEB_PROCESSES=str(web_processes), DECISION_FALLBACK="retry") as server:
        yield Frontdesk(server)


RECOUNT_AT_EACH_LINE = """
import io, json, sys
from contextlib import suppress
from django.core.management import CommandError, call_command
for line in sys.stdin:
    said = io.StringIO()
    with suppress(CommandError):
        call_command("verify_usage", stdout=said)
    print(json.dumps(said.getvalue()), flush=True)
"""


@pytest.fixture(scope="module")
def recounting(frontdesk):
    """One process for the recounts of all tests: to start one takes longer than many a test."""
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", RECOUNT_AT_EACH_LINE]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=frontdesk.server.env, text=True, bufsize=1, **streams) as process:
        yield process


@pytest.fixture(autouse=True)
def _every_number_can_be_recounted(recounting):
    yield
    recounting.stdin.write("\n")
    assert json.loads(recounting.stdout.readline()) == "Every sum equals its recount.\n"


def begins(number: str, name: str, count: int = AT_ONCE, at: datetime = NOON) -> list[dict[str, Any]]:
    return [
        begin_body(sessionId=f"{name}-{number}-{index}", phoneNumber=number, timestamp=at.isoformat())
        for index in range(count)
    ]


def end(number: str, name: str, index: int, duration: int, at: datetime = NOON, **changes: Any) -> dict[str, Any]:
    session_id = f"{name}-{number}-{index}"
    return end_body(sessionId=session_id, phoneNumber=number, duration=duration, timestamp=at.isoformat(), **changes)


def admitted(answers: Sequence[dict[str, Any]]) -> int:
    return sum(answer["allowed"] for answer in answers)


def per_day(metric: str, amount: int) -> dict[str, Any]:
    return {"metric": metric, "period": "day", "amount": amount}


def flags_of(session) -> list[str]:
    """Those that tell of the session: on a slow machine, a begin that waited too long is stored later."""
    return [flag for flag in session["flags"] if flag != "stored_later"]


def test_one_minute_left_admits_exactly_one_of_16_begins_at_once(frontdesk):
    for _ in range(ROUNDS):
        frontdesk.tier("hour", per_day("call_minutes", 60))
        number = frontdesk.customer("hour")
        frontdesk.send(begins(number, "long", 1, at=NOON - timedelta(hours=2))[0])
        frontdesk.send(end(number, "long", 0, 59 * 60, at=NOON - timedelta(hours=1)))

        answers = frontdesk.answers_at_once(begins(number, "last-minute"))

        assert admitted(answers) == 1
        assert {answer["context"].get("denied_reason") for answer in answers} == {None, "call_minutes_day"}
        assert len(frontdesk.sessions(phone=number, reason="call_minutes_day")) == AT_ONCE - 1


@pytest.mark.parametrize(("minutes_used", "top_up_minutes", "expected"), [(59, 0, 1), (60, 1, 1), (59, 1, 2)])
def test_a_minute_left_of_the_day_and_one_of_a_top_up_admit_one_each_of_16_begins(
    frontdesk, minutes_used, top_up_minutes, expected
):
    frontdesk.tier("hour", per_day("call_minutes", 60))
    for _ in range(ROUNDS):
        number = frontdesk.customer("hour")
        drawn = frontdesk.top_up(number, "call_minutes", 3)
        frontdesk.send(begins(number, "long", 1, at=NOON - timedelta(hours=4))[0])
        frontdesk.send(end(number, "long", 0, 60 * 60, at=NOON - timedelta(hours=3)))
        # Uses the top-up but for so many minutes.
        frontdesk.send(begins(number, "drawing", 1, at=NOON - timedelta(hours=2))[0])
        frontdesk.send(end(number, "drawing", 0, (3 - top_up_minutes) * 60, at=NOON - timedelta(hours=1)))
        frontdesk.send(end(number, "long", 0, minutes_used * 60, at=NOON - timedelta(minutes=1)))

        answers = frontdesk.answers_at_once(begins(number, "last-minute"))

        assert admitted(answers) == expected
        drawing = [
            one["session_id"]
            for one in frontdesk.sessions(phone=number, allowed="true")
            if frontdesk.api("GET", f"sessions/{one['id']}/")["top_ups"] == [drawn]
        ]
        assert len(drawing) == 1 + bool(top_up_minutes)


def test_a_top_up_of_three_sessions_admits_three_of_16_begins_at_once_and_is_drawn_on_by_each(frontdesk):
    frontdesk.tier("none", per_day("sessions", 0))
    for _ in range(RARE_ROUNDS):
        number = frontdesk.customer("none")
        first, second = (frontdesk.top_up(number, "sessions", amount) for amount in (1, 2))
        bodies = begins(number, "drawn")

        assert admitted(frontdesk.answers_at_once([*bodies, end(number, "drawn", 0, 60)])[:AT_ONCE]) == 3

        usage = frontdesk.api("GET", f"usage/?{urllib.parse.urlencode({'phone': number, 'at': NOON.isoformat()})}")
        assert [(one["id"], one["left"]) for one in usage["top_ups"]] == [(first, 0), (second, 0)]


@pytest.mark.parametrize("metric", ["concurrent_sessions", "sessions"])
def test_a_limit_of_three_sessions_admits_exactly_three_of_16_begins_at_once(frontdesk, metric):
    for _ in range(ROUNDS):
        limit = {"metric": metric, "amount": 3} if metric == "concurrent_sessions" else per_day(metric, 3)
        frontdesk.tier(f"three-{metric.replace('_', '-')}", limit)
        number = frontdesk.customer(f"three-{metric.replace('_', '-')}")

        answers = frontdesk.answers_at_once(begins(number, metric))

        assert admitted(answers) == 3
        assert frontdesk.usage(number)["sessions"] == 3


def test_a_limit_holds_among_new_session_ids_and_ids_that_somebody_else_has_used(frontdesk):
    """The latter take longer to decide, which gives the others time to read what is about to change."""
    frontdesk.tier("free")
    frontdesk.tier("three", {"metric": "concurrent_sessions", "amount": 3})
    for _ in range(RARE_ROUNDS):
        number, other = frontdesk.customer("three"), frontdesk.customer("free")
        bodies = begins(number, "mixed")
        frontdesk.answers_at_once([body | {"phoneNumber": other} for body in bodies[::2]])

        assert admitted(frontdesk.answers_at_once(bodies)) == 3


def test_16_identical_begins_at_once_get_16_identical_answers_and_one_session(frontdesk):
    for _ in range(ROUNDS):
        frontdesk.tier("one", per_day("sessions", 1))
        number = frontdesk.customer("one")
        [body] = begins(number, "same", 1)

        replies = frontdesk.send_at_once([body] * AT_ONCE)

        assert {status for status, _ in replies} == {200}
        assert len({content for _, content in replies}) == 1
        assert json.loads(replies[0][1])["allowed"] is True
        assert len(frontdesk.sessions(session_id=body["sessionId"])) == 1
        assert frontdesk.usage(number)["sessions"] == 1


def test_16_identical_begins_at_once_after_their_end_are_decided_once(frontdesk):
    frontdesk.tier("one", per_day("sessions", 1))
    for _ in range(ROUNDS):
        number = frontdesk.customer("one")
        [body] = begins(number, "late", 1)
        frontdesk.send(end(number, "late", 0, 60))

        replies = frontdesk.send_at_once([body] * AT_ONCE)

        assert len(set(replies)) == 1
        [session] = frontdesk.sessions(phone=number)
        assert (session["allowed"], session["state"], flags_of(session)) == (True, "ended", [])


@pytest.mark.parametrize("is_id_used_twice", [False, True])
def test_16_identical_ends_at_once_are_one_end(frontdesk, is_id_used_twice):
    frontdesk.tier("free")
    for _ in range(ROUNDS):
        number = frontdesk.customer("free")
        [body] = begins(number, "once", 1)
        frontdesk.send(body)
        if is_id_used_twice:
            frontdesk.send(body | {"phoneNumber": frontdesk.customer("free")})

        frontdesk.answers_at_once([end(number, "once", 0, 60)] * AT_ONCE)

        [session] = frontdesk.sessions(phone=number)
        assert (session["state"], session["duration_seconds"], flags_of(session)) == ("ended", 60, [])
        assert frontdesk.usage(number)["call_minutes"] == 1


def test_16_identical_begins_at_once_without_a_number_are_one_session(frontdesk):
    for _ in range(ROUNDS):
        [body] = begins(frontdesk.number(), "same", 1)

        replies = frontdesk.send_at_once([body | {"phoneNumber": None}] * AT_ONCE)

        assert {status for status, _ in replies} == {200}
        assert len({content for _, content in replies}) == 1
        assert len(frontdesk.sessions(session_id=body["sessionId"])) == 1


@pytest.mark.parametrize("ends", [0, AT_ONCE // 2, AT_ONCE])
def test_16_first_contacts_at_once_of_a_new_caller_make_one_customer(frontdesk, ends):
    for _ in range(ROUNDS):
        number = frontdesk.number()
        bodies = begins(number, "first", AT_ONCE - ends)
        bodies += [end(number, "first-end", index, 60) for index in range(ends)]
        # New channels and agents make themselves on the way.
        fresh = {"kind": f"kind{number}", "agentId": f"agent{number}"}

        frontdesk.answers_at_once([body | fresh for body in bodies])

        customer = frontdesk.api("GET", f"customers/by-phone/{urllib.parse.quote(number)}/")
        sessions = frontdesk.sessions(phone=number)
        assert len(sessions) == AT_ONCE
        assert {session["customer_id"] for session in sessions} == {customer["id"]}
        assert frontdesk.usage(number)["sessions"] == AT_ONCE


def test_what_a_caller_does_while_staff_give_the_number_to_a_customer_goes_to_that_customer(frontdesk):
    frontdesk.tier("free")
    for _ in range(RARE_ROUNDS):
        named, number = frontdesk.customer("free"), frontdesk.number()
        frontdesk.answers_at_once(begins(number, "before", 5))
        bodies = begins(number, "meanwhile", 5) + [end(number, "before", index, 60) for index in range(5)]
        bodies += [end(number, "alone", index, 60) for index in range(5)]
        path = f"/api/v1/customers/by-external-id/{named[1:]}/"

        replies = frontdesk.at_once(
            [
                ("PATCH", path, {"numbers": [named, number]}, frontdesk.manage_key),
                *(frontdesk.delivery(body) for body in bodies),
            ]
        )

        assert [status for status, _ in replies] == [200] * AT_ONCE
        sessions = frontdesk.sessions(phone=number)
        assert [session["customer"] for session in sessions] == [named[1:]] * 15
        day = frontdesk.usage(number)
        assert (day["sessions"], day["call_minutes"] - day["call_minutes_open"]) == (15, 10)


def test_one_session_id_from_several_callers_at_once_is_a_session_for_each(frontdesk):
    for _ in range(ROUNDS):
        frontdesk.tier("free")
        numbers = [frontdesk.customer("free", name=f"Caller {index}") for index in range(AT_ONCE // 2)]
        bodies = [begins(number, "reused", 1)[0] | {"sessionId": f"reused-{numbers[0]}"} for number in numbers]

        answers = frontdesk.answers_at_once(bodies * 2)

        assert [answer["context"]["customer_name"] for answer in answers] == [
            f"Caller {index}" for index in range(AT_ONCE // 2)
        ] * 2
        sessions = frontdesk.sessions(session_id=f"reused-{numbers[0]}")
        assert sorted(session["phone"] for session in sessions) == numbers
        assert sorted("session_id_reused" in session["flags"] for session in sessions) == [False] + [True] * 7


@pytest.mark.parametrize("is_known", [True, False])
def test_begin_and_end_of_one_session_at_once_are_one_ended_session(frontdesk, is_known):
    for _ in range(ROUNDS):
        frontdesk.tier("free")
        number = frontdesk.customer("free") if is_known else frontdesk.number()
        ends = [end(number, "pair", index, 60, at=NOON + timedelta(minutes=1)) for index in range(AT_ONCE)]

        frontdesk.answers_at_once([body for pair in zip(begins(number, "pair"), ends, strict=True) for body in pair])

        sessions = frontdesk.sessions(phone=number)
        assert [session["state"] for session in sessions] == ["ended"] * AT_ONCE
        assert {session["duration_seconds"] for session in sessions} == {60}
        assert {(session["reason"], *flags_of(session)) for session in sessions} == {("allowed",)}
        day = frontdesk.usage(number)
        assert (day["sessions"], day["call_minutes"], day["call_minutes_open"]) == (AT_ONCE, AT_ONCE, 0)


@pytest.mark.parametrize("has_begin", [True, False])
def test_of_ends_that_differ_at_once_the_latest_counts(frontdesk, has_begin):
    for _ in range(ROUNDS):
        frontdesk.tier("free")
        number = frontdesk.customer("free")
        if has_begin:
            frontdesk.send(begins(number, "differ", 1)[0])
        bodies = [end(number, "differ", 0, 60 * n, at=NOON + timedelta(minutes=n)) for n in range(1, AT_ONCE + 1)]

        frontdesk.answers_at_once(bodies)

        [session] = frontdesk.sessions(phone=number)
        assert session["duration_seconds"] == 60 * AT_ONCE
        assert "ends_differ" in session["flags"]
        day = frontdesk.usage(number)
        assert (day["sessions"], day["call_minutes"]) == (1, AT_ONCE)


def test_an_end_at_once_with_begins_gives_its_minutes_to_one_of_them_at_most(frontdesk):
    for _ in range(ROUNDS):
        frontdesk.tier("one-call", per_day("call_minutes", 60), call_hold_minutes=60)
        number = frontdesk.customer("one-call")
        frontdesk.send(begins(number, "first", 1)[0])
        assert admitted([frontdesk.send(begins(number, "too-early", 1)[0])]) == 0

        answers = frontdesk.answers_at_once([end(number, "first", 0, 0), *begins(number, "waiting", AT_ONCE - 1)])

        came_in = admitted(answers[1:])
        assert came_in <= 1
        assert came_in + admitted([frontdesk.send(begins(number, "later", 1)[0])]) == 1


def test_an_end_is_never_lost_among_begins_and_redeliveries(frontdesk):
    for _ in range(ROUNDS):
        frontdesk.tier("free")
        number = frontdesk.customer("free")
        [body] = begins(number, "busy", 1)
        ended = end(number, "busy", 0, 120, at=NOON + timedelta(minutes=2))

        frontdesk.answers_at_once([body, ended] * (AT_ONCE // 2))

        [session] = frontdesk.sessions(phone=number)
        assert (session["state"], session["duration_seconds"], flags_of(session)) == ("ended", 120, [])
        assert frontdesk.usage(number)["call_minutes"] == 2


def sign_in(server: LiveServer) -> Callable[..., str]:
    """A browser of staff's: a function that posts a form, or gets a page where none is given."""
    cookies = CookieJar()
    opener = build_opener(HTTPCookieProcessor(cookies))

    def browse(path: str, form: dict[str, str] | None = None) -> str:
        request = Request(f"{server.url}{path}")
        if form is not None:
            token = next(cookie.value for cookie in cookies if cookie.name == "csrftoken")
            request.data = urllib.parse.urlencode({**form, "csrfmiddlewaretoken": token}).encode()
        with opener.open(request, timeout=60) as response:
            return response.read().decode()

    browse("/accounts/login/")
    browse("/accounts/login/?next=/admin/", {"login": server.username, "password": server.password})
    return browse


def shown_state(page: str) -> dict[str, str]:
    """What a page of the admin says of the state it shows, to be sent back with its form."""
    return {"_shown_state": unescape(re.search(r'name="_shown_state" value="([^"]*)"', page)[1])}


def test_of_16_forms_and_16_scripts_that_saw_one_state_one_each_is_saved(frontdesk):
    path, browse = "/admin/customers/policy/1/change/", sign_in(frontdesk.server)
    page = browse(path)
    [tier, _] = re.findall(r'<option value="(\d+)" selected', page)
    policy = {"unknown_callers": "serve", "unknown_callers_tier": tier, "callers_without_number": "serve"}
    policy |= {"callers_without_number_tier": tier, "emergency": "normal", **shown_state(page)}
    barrier = threading.Barrier(AT_ONCE)

    def save(number: int) -> str:
        barrier.wait(60)
        # Each another one, so that none is the state that was shown.
        until = {"emergency_until_0": "2020-01-01", "emergency_until_1": f"00:00:{number:02}"}
        return browse(path, {**policy, **until, "limits_in_answer": "day_total"})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        pages = list(pool.map(save, range(AT_ONCE)))
    refused = [page for page in pages if "Nothing was saved: you saved other values" in page]
    [saved] = [page for page in pages if page not in refused]
    # The same person asks sixteen times, so that other pages may show the message, too.
    assert "was changed successfully" in "".join(pages)
    assert "Traceback" not in saved
    assert len(refused) == AT_ONCE - 1

    frontdesk.tier("raced")
    connection = frontdesk.open()
    connection.request("GET", "/api/v1/tiers/raced/", headers={"X-API-Key": frontdesk.manage_key})
    etag = connection.getresponse().headers["ETag"]

    def write(number: int) -> int:
        body = json.dumps({"context": {"number": number}}).encode()
        headers = {"X-API-Key": frontdesk.manage_key, "If-Match": etag, "Content-Type": "application/json"}
        connection = frontdesk.open()
        barrier.wait(60)
        while True:
            connection.request("PATCH", "/api/v1/tiers/raced/", body, headers)
            response = connection.getresponse()
            if response.status != 503:  # too many at once: scripts come again
                return response.status
            response.read()
            connection.close()
            time.sleep(0.1)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert sorted(pool.map(write, range(AT_ONCE))) == [200] + [412] * (AT_ONCE - 1)


def test_an_edit_in_the_admin_holds_from_the_very_next_begin_in_every_process(frontdesk):
    number = frontdesk.customer("standard")
    browse = sign_in(frontdesk.server)
    [tier, _] = re.findall(r'<option value="(\d+)" selected', browse("/admin/customers/policy/1/change/"))
    policy = {"unknown_callers": "serve", "unknown_callers_tier": tier, "callers_without_number": "serve"}
    policy |= {"callers_without_number_tier": tier, "limits_in_answer": "day_total", "deny_all_confirmed": "on"}

    for turn, (emergency, expected) in enumerate([("deny_all", 0), ("normal", AT_ONCE)] * 4):
        shown = shown_state(browse("/admin/customers/policy/1/change/"))
        page = browse("/admin/customers/policy/1/change/", {**policy, **shown, "emergency": emergency})
        assert "was changed successfully" in page
        assert admitted(frontdesk.answers_at_once(begins(number, f"turn-{turn}"))) == expected


def test_a_revoked_key_is_refused_in_every_process_within_five_seconds(frontdesk):
    key = frontdesk.server.manage("create_api_key", "--name", "Old", "--scope", "webhook").strip()
    bodies = begins(frontdesk.number(), "key")
    revoke = "from customers.models import ApiKey; from django.utils import timezone; "
    revoke += f"print(ApiKey.objects.filter(prefix='{key.split('_')[1]}').update(revoked_at=timezone.now()))"
    stop = threading.Event()

    def keep_using() -> None:
        while not stop.is_set():
            frontdesk.send_at_once(bodies[:2], key)

    using = threading.Thread(target=keep_using)
    using.start()
    # No more than fit into the line of those whose key a process does not know.
    assert {status for status, _ in frontdesk.send_at_once(bodies[:8], key)} == {200}
    assert frontdesk.server.manage("shell", "-c", revoke).strip().endswith("1")
    time.sleep(BELIEVED_SECONDS)
    stop.set()
    using.join()

    for _ in range(4):
        assert {status for status, _ in frontdesk.send_at_once(bodies[:8], key)} == {401}


def test_a_scheduled_change_holds_from_its_moment_in_every_process_and_nobody_sees_a_mixture(frontdesk):
    """Begins go on while the worker writes it. LiveTok's moment decides, also of those who say an earlier one late."""
    before, after = (60, 10), (90, 20)
    frontdesk.tier("scheduled", per_day("call_minutes", before[0]), per_day("messages", before[1]))
    number = frontdesk.customer("scheduled")
    starts_at = datetime.now(UTC) + timedelta(seconds=2)
    limits = [per_day("call_minutes", after[0]), per_day("messages", after[1])]
    made = frontdesk.api("POST", "tiers/scheduled/changes/", {"starts_at": starts_at.isoformat(), "limits": limits})
    assert made["state"] == "scheduled"
    wrong, seen, count = [], set(), 0

    while datetime.now(UTC) < starts_at + timedelta(seconds=5):
        moments = [datetime.now(UTC), starts_at - timedelta(microseconds=1), starts_at, starts_at + timedelta(hours=1)]
        bodies = [body for at in moments for body in begins(number, f"{count}-{at.timestamp()}", 2, at)]
        for body, answer in zip(bodies, frontdesk.answers_at_once(bodies), strict=True):
            got = answer["limits"]["dailyCallMinutes"], answer["limits"]["dailyMessageLimit"]
            is_after = datetime.fromisoformat(body["timestamp"]) >= starts_at
            seen.add(got)
            if got != (after if is_after else before):
                wrong.append((body["timestamp"], got))
        count += 1

    assert not wrong
    assert seen == {before, after}
    stored = frontdesk.api("GET", "tiers/scheduled/")["limits"]
    assert sorted(row["amount"] for row in stored) == [after[1], after[0]]  # the worker has written it
