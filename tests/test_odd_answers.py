"""Receivers that answer oddly: what came of it is recorded, others are sent to, and no secret is shown."""

import base64
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from django.db import connections

from automations.apart import each_alone
from automations.deliveries import results, worker
from automations.deliveries.masks import hidden_texts, masked
from automations.deliveries.results import AGAIN_AFTER, wait_before
from automations.deliveries.worker import Sender, send_due
from automations.models import Attempt, Delivery
from automations.outgoing.addresses import parse_allowed_hosts
from automations.rules.judging import judge
from tests.builders import make_customer, make_tier
from tests.following import add_secret, later, make_destination, make_rule
from tests.standins import Reply, http_standin

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2024, 3, 15, 12, tzinfo=UTC)
FAR_AWAY = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
NO_ZONE = "Mon, 01 Jan 2030 00:00:00 +99999999999999999999"


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings):
    settings.OUTGOING_ALLOWED_HOSTS = parse_allowed_hosts(["127.0.0.0/8"])
    settings.OUTGOING_ALLOW_HTTP = True


@pytest.fixture
def odd(livetok):
    with http_standin() as server:
        yield server


@pytest.fixture
def well(livetok):
    with http_standin() as server:
        yield server


@pytest.fixture
def both_are_told(livetok, odd, well):
    """An odd receiver, of whose answers `/id` is kept, and one that is well; a session began."""
    make_customer(make_tier("premium"))
    for name, server in (("odd", odd), ("well", well)):
        make_rule("began_allowed", make_destination(server.url, name=name), action={"kept_pointer": "/id"})
    livetok.begin(sessionId="a")
    judge.judge()


def run_sender_until(holds, seconds=10):
    """The worker's own thread for sending. Returns whether it was still there when it was asked to stop."""
    stop, is_there = threading.Event(), []

    def run():
        try:
            Sender().run(stop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    give_up = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if holds() or not thread.is_alive():
            break
        give_up.wait(0.05)
    is_there.append(thread.is_alive())
    stop.set()
    thread.join()
    return is_there[0]


def states():
    return dict(Delivery.objects.values_list("destination__name", "state"))


def is_through():
    return Attempt.objects.count() >= 2


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (rb'{"id": "a\ud800b"}', "a�b"),
        (rb'{"id": "a\u0000b"}', "ab"),
        (b'{"id": "' + b"x" * 400 + b'"}', "x" * 300),
        (b'{"id": ' + b"9" * 5000 + b"}", ""),
        (b'{"id": ' + b"[" * 50_000, ""),
    ],
)
def test_a_value_that_no_database_holds_is_kept_as_far_as_it_can_be(both_are_told, odd, well, answer, kept):
    odd.answer = Reply(200, body=answer)

    assert run_sender_until(is_through)
    assert states() == {"odd": "delivered", "well": "delivered"}
    assert Delivery.objects.get(destination__name="odd").kept_value == kept
    assert len(odd.requests) == len(well.requests) == 1


@pytest.mark.parametrize("retry_after", [FAR_AWAY, NO_ZONE])
def test_an_odd_time_to_wait_ends_nothing(both_are_told, odd, well, retry_after):
    odd.answer = Reply(raw=[b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: ", retry_after.encode(), b"\r\n\r\n"])

    assert run_sender_until(is_through)
    assert states() == {"odd": "waiting", "well": "delivered"}
    assert len(odd.requests) == 1


@pytest.mark.parametrize(
    ("asked", "least"),
    [
        ("0", 4),
        ("-5", 4),
        ("2", 4),
        ("Fri, 15 Mar 2024 11:00:00 GMT", 4),
        (FAR_AWAY, 4),
        *[(text, 4) for text in ("1e3", ",", "", "Fri, 31 Dec -1 23:59:59 -2359")],
        (NO_ZONE, 4),
        ("120", 120),
        ("Fri, 15 Mar 2024 12:01:00 GMT", 60),
        ("999999999", 24 * 60 * 60),
    ],
)
def test_a_receiver_may_ask_for_more_time_than_the_table_gives_and_for_a_day_at_most(asked, least):
    wait = wait_before(1, asked, NOW).total_seconds()

    assert least <= wait <= max(least, AGAIN_AFTER[0].total_seconds() * 1.2)
    assert wait_before(len(AGAIN_AFTER), asked, NOW) >= min(AGAIN_AFTER[-1] * 0.8, timedelta(days=1))


@pytest.mark.parametrize(("status", "state"), [(200, "delivered"), (404, "failed")])
def test_a_result_that_cannot_be_recorded_is_closed_and_holds_up_no_other(
    both_are_told, odd, well, status, state, monkeypatch
):
    odd.answer = Reply(status, body=b'{"id": "bad"}')
    recorded = results._attempt

    def fail_on_one(claim, tried, now):
        if claim.delivery.destination.name == "odd":
            raise RuntimeError("a mistake")
        return recorded(claim, tried, now)

    monkeypatch.setattr(results, "_attempt", fail_on_one)

    assert run_sender_until(is_through)
    assert states() == {"odd": state, "well": "delivered"}
    assert "RuntimeError" in Attempt.objects.get(delivery__destination__name="odd").error
    assert len(odd.requests) == len(well.requests) == 1


def test_a_result_that_the_database_refuses_is_closed_and_holds_up_no_other(both_are_told, odd, well, monkeypatch):
    recorded = results._attempt

    def fail_on_one(claim, tried, now):
        made = recorded(claim, tried, now)
        made.seconds = None if claim.delivery.destination.name == "odd" else made.seconds
        return made

    monkeypatch.setattr(results, "_attempt", fail_on_one)

    assert run_sender_until(is_through)
    assert states() == {"odd": "delivered", "well": "delivered"}
    assert "IntegrityError" in Attempt.objects.get(delivery__destination__name="odd").error
    assert len(odd.requests) == len(well.requests) == 1


def test_an_attempt_that_fails_by_our_fault_is_tried_again_and_ends(both_are_told, well, monkeypatch):
    def fail(delivery, sealed):
        raise RuntimeError("a mistake")

    monkeypatch.setattr("automations.deliveries.worker.attempt", fail)

    assert run_sender_until(is_through)
    assert states() == {"odd": "waiting", "well": "waiting"}
    assert {"fault of Frontdesk" in error for error in Attempt.objects.values_list("error", flat=True)} == {True}


@pytest.mark.parametrize("part", ["claim", "record_all"])
def test_a_round_that_fails_is_followed_by_the_next(both_are_told, odd, well, part, monkeypatch):
    done, failed = getattr(worker, part), []

    def fail_once(*args, **kwargs):
        if not failed:
            failed.append(part)
            raise RuntimeError("a mistake")
        return done(*args, **kwargs)

    monkeypatch.setattr(worker, part, fail_once)

    assert run_sender_until(is_through)
    assert states() == {"odd": "delivered", "well": "delivered"}
    assert len(odd.requests) == len(well.requests) == 1


def test_failed_attempts_leave_no_rows_in_the_destinations_history(both_are_told, odd):
    odd.answer = Reply(500)
    destination = Delivery.objects.get(destination__name="odd").destination
    before = destination.history.count()
    send_due()
    later(minutes=1)
    send_due()
    destination.refresh_from_db()
    assert (destination.failures_in_row, destination.history.count()) == (2, before)

    odd.answer = Reply(200)
    later(minutes=5)
    send_due()
    destination.refresh_from_db()
    assert (destination.failures_in_row, destination.failing_since) == (0, None)
    assert destination.history.count() == before


class TestMasks:
    HEADERS = "Authorization: Basic {{ secrets.user | append: ':X' | base64_encode }}\nX-Token: {{ secrets.token }}"
    SECRETS = {"user": "TOPSECRETKEY", "token": 'qu"ote/ö\\TOKEN & more'}

    def echo(self, livetok, odd, body):
        """What is stored of an answer that `body` makes of the request's headers; `/echo` is kept of it."""
        make_customer(make_tier("premium"))
        destination = make_destination(odd.url, headers=self.HEADERS.replace("ö", "o"))
        for name, secret in self.SECRETS.items():
            add_secret(destination, name, secret.replace("ö", "o"))
        action = {"kept_pointer": "/echo", "kept_link": "https://you.example/{{ kept.value }}"}
        make_rule("began_allowed", destination, action=action)
        odd.answer = lambda received: Reply(200, body=body(received.headers))
        livetok.begin()
        judge.judge()
        send_due()
        delivery = Delivery.objects.get()
        return delivery.kept_value, delivery.kept_link, delivery.attempts.get().answer

    @pytest.mark.parametrize("name", ["X-Token", "Authorization"])
    @pytest.mark.parametrize(
        "written",
        [
            lambda text: json.dumps(text).replace("/", r"\/"),
            lambda text: json.dumps(quote(text)),
            lambda text: json.dumps(re.sub("%..", lambda found: found.group().lower(), quote(text, safe=""))),
            lambda text: json.dumps(base64.b64encode(text.encode()).decode()),
        ],
    )
    def test_what_a_receiver_echoes_is_masked_in_what_is_kept(self, livetok, odd, name, written):
        shown = self.echo(livetok, odd, lambda headers: f'{{"echo": {written(headers[name])}}}'.encode())

        credential = base64.b64encode(b"TOPSECRETKEY:X").decode()
        for text in shown:
            assert "•••" in text
            assert "TOKEN" not in text.upper().replace("X-TOKEN", "")
            assert credential.rstrip("=") not in text
            assert base64.b64encode(credential.encode()).decode().rstrip("=") not in text

    def test_what_is_no_secret_stays(self, livetok, odd):
        kept, link, answer = self.echo(livetok, odd, lambda headers: b'{"echo": "Basic application/json 1234"}')

        assert (kept, link) == ("Basic application/json 1234", "https://you.example/Basic application/json 1234")
        assert "•••" not in answer

    @pytest.mark.parametrize(
        ("address", "headers"),
        [
            ("https://a.example/?k={{ secrets.key | append: ':X' | base64_encode }}", ""),
            ("https://a.example", "X-Key: {% assign a = secrets.key | append: ':X' %}{{ a | base64_encode }}"),
        ],
    )
    def test_what_a_destination_makes_of_a_secret_is_hidden_too(self, address, headers):
        credential = base64.b64encode(b"a b/c:X").decode()

        assert masked(f"no such key: {credential}", hidden_texts(address, headers, {"key": "a b/c"})).endswith("•••")

    def test_a_secret_is_hidden_as_an_address_has_it(self):
        hidden = hidden_texts("https://a.example/{{ secrets.key | url_encode }}", "", {"key": "a b/c"})

        assert masked("GET /a+b%2Fc and a b/c and a%20b/c", hidden) == "GET /••• and ••• and •••"


def test_of_rows_that_are_written_together_the_one_at_fault_alone_is_left():
    written, left = [], []

    def write(rows):
        if 3 in rows:
            raise ValueError
        written.extend(rows)

    each_alone([1, 2, 3, 4], write, lambda row, error: left.append((row, type(error))))

    assert (written, left) == ([1, 2, 4], [(3, ValueError)])
