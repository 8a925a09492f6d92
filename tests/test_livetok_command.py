"""`manage.py livetok` against a small server that answers as it is told, and against Frontdesk itself."""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.management import CommandError, call_command

from customers.defaults import make_defaults
from customers.keys import create_key
from sessions_app.livetok.events import SessionBegin, SessionEnd
from sessions_app.livetok.payloads import Conversation, begin_document, end_document, read_event
from tests.builders import limit, make_customer, make_tier, set_policy, the_session
from tests.staff import staff

ALLOWED = (200, b'{"allowed": true, "context": {}, "limits": {}}')
DENIED = (200, b'{"allowed": false, "context": {}, "limits": {}}')


class Receiver:
    """Answers each request with the next of its answers, the last one again and again, and keeps what came."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.received: list[dict] = []
        self.keys: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, content = answers[min(len(receiver.received), len(answers) - 1)]
                receiver.received.append(json.loads(body))
                receiver.keys.append(self.headers["X-API-Key"])
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self):
                """Where a redirect would lead."""
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/livetok"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def receiver_of():
    receivers = []

    def make(*answers):
        receivers.append(Receiver(*answers))
        return receivers[-1]

    yield make
    for receiver in receivers:
        receiver.server.shutdown()
        receiver.server.server_close()


def play(receiver, *arguments):
    call_command("livetok", *arguments, "--url", receiver.url, "--key", "secret", "--backoff", "0.01")


def test_a_begin_is_sent_in_the_contracts_words(receiver_of, capsys):
    receiver = receiver_of(ALLOWED)

    play(
        receiver,
        *("begin", "--phone", "+1234567890", "--kind", "whatsapp", "--session-id", "123"),
        *("--timestamp", "2024-03-15T10:30:00Z"),
    )

    assert receiver.keys == ["secret"]
    assert receiver.received == [
        {
            "event": "session_begin",
            "sessionId": "123",
            "kind": "whatsapp",
            "agentId": 1,
            "agentName": "My Agent",
            "phoneNumber": "+1234567890",
            "timestamp": "2024-03-15T10:30:00Z",
        }
    ]
    shown = capsys.readouterr().out
    assert f"POST {receiver.url}" in shown
    assert "200 OK" in shown
    assert '  "allowed": true,' in shown
    assert "secret" not in shown


def test_an_end_states_its_duration(receiver_of):
    receiver = receiver_of((200, b"{}"))

    play(receiver, "end", "--session-id", "123", "--duration", "61", "--timestamp", "2024-03-15T10:30:00")

    (sent,) = receiver.received
    assert (sent["event"], sent["duration"], sent["timestamp"]) == ("session_end", 61, "2024-03-15T10:30:00Z")


def test_the_second_envelope_can_be_test_traffic(receiver_of):
    receiver = receiver_of(ALLOWED)

    play(receiver, "begin", "--envelope", "second", "--test", "--phone", "+1234567890", "--session-id", "123")

    (sent,) = receiver.received
    assert (sent["type"], sent["livemode"], sent["data"]["session_id"]) == ("session.begin", False, "123")
    assert sent["data"]["customer"]["phone"] == "+1234567890"


def test_a_session_is_a_begin_and_an_end_that_lies_its_duration_later(receiver_of):
    receiver = receiver_of(ALLOWED, (200, b"{}"))

    play(receiver, "session", "--duration", "90", "--timestamp", "2024-03-15T10:30:00Z")

    begin, end = receiver.received
    assert begin["sessionId"] == end["sessionId"] != ""
    assert (end["event"], end["duration"], end["timestamp"]) == ("session_end", 90, "2024-03-15T10:31:30Z")


def test_a_session_tells_where_its_page_is(receiver_of, capsys):
    receiver = receiver_of(ALLOWED, (200, b"{}"))

    play(receiver, "session", "--session-id", "a b/1")

    page = receiver.url.replace("webhooks/livetok", "reports/search/?q=a+b%2F1")
    assert capsys.readouterr().out.splitlines()[-1] == f"The session's page: {page}"


@pytest.mark.parametrize("options, events", [([], 1), (["--always"], 2)])
def test_a_denied_session_gets_an_end_only_on_demand(receiver_of, options, events):
    receiver = receiver_of(DENIED)

    play(receiver, "session", *options)

    assert len(receiver.received) == events


@pytest.mark.parametrize("status", [500, 401, 404, 204, 302])
def test_whatever_is_not_200_is_tried_again(receiver_of, status):
    receiver = receiver_of((status, b""), (status, b""), ALLOWED)

    play(receiver, "begin", "--session-id", "123")

    assert len(receiver.received) == 3
    assert receiver.received[0] == receiver.received[2]


def test_it_gives_up_after_three_retries_with_exit_code_1(receiver_of, capsys):
    receiver = receiver_of((503, b'{"error": "away"}'))

    with pytest.raises(CommandError, match="did not answer 200") as error:
        play(receiver, "session")

    assert error.value.returncode == 1
    assert len(receiver.received) == 4
    shown = capsys.readouterr().out
    assert "503 Service Unavailable" in shown
    assert [line for line in shown.splitlines() if line.startswith("Retry")] == [
        "Retry 1 of 3 in 0.01 s",
        "Retry 2 of 3 in 0.02 s",
        "Retry 3 of 3 in 0.04 s",
    ]


def test_nobody_at_the_address_is_said_in_words(receiver_of, capsys):
    receiver = receiver_of(ALLOWED)
    receiver.server.server_close()

    with pytest.raises(CommandError, match="did not answer 200"):
        play(receiver, "begin")

    assert capsys.readouterr().out.count("No answer: ") == 4


@pytest.mark.parametrize(
    "arguments, option",
    [
        (["--duration", "-1"], "--duration"),
        (["--duration", "soon"], "--duration"),
        (["--timestamp", "tomorrow"], "--timestamp"),
        (["--url", "127.0.0.1:8000"], "--url"),
        (["--url", "file:///etc/passwd"], "--url"),
        (["--url", "http://127.0.0.1:99999/"], "--url"),
        (["--test"], "--test"),
        (["--kind", " "], "--kind"),
        (["--backoff", "x"], "--backoff"),
        (["--key", "naïve"], "--key"),
    ],
)
def test_bad_input_is_an_error_that_names_the_option(arguments, option):
    with pytest.raises(CommandError, match=f"^{option}: give|^{option}: "):
        call_command("livetok", "begin", *["--key", "secret", "--url", "http://127.0.0.1:9/", *arguments])


def test_without_a_key_it_says_how_to_make_one(settings):
    settings.WEBHOOK_SECRET = ""

    with pytest.raises(CommandError, match="create_api_key --name trial --scope webhook"):
        call_command("livetok", "begin")


@pytest.mark.parametrize("second_envelope", [False, True])
@pytest.mark.parametrize("is_test", [False, True])
def test_what_is_written_is_read_as_what_was_meant(second_envelope, is_test):
    number = "+1234567890"
    talk = Conversation("123", "web", number, customer_id="crm-1", is_test=is_test, second_envelope=second_envelope)
    at = datetime(2026, 3, 1, 10, 30, 0, 250000, UTC)

    documents = [begin_document(talk, at), end_document(talk, at, 61)]

    begin, end = (
        read_event(json.dumps(document).encode(), route="", received_at=datetime.now(UTC)) for document in documents
    )
    assert isinstance(begin, SessionBegin)
    assert isinstance(end, SessionEnd)
    assert end.duration_seconds == 61
    for event in (begin, end):
        assert (event.session_id, event.channel, event.at, event.flags) == ("123", "web", at, frozenset())
        assert event.caller.identity == ("number", number)
        assert event.is_test is is_test
        assert event.caller.external_id == "crm-1"


@pytest.mark.serial
def test_it_plays_a_session_against_frontdesk(live_server, settings, capsys):
    make_defaults()
    set_policy(unknown_callers="deny", unknown_callers_tier=None)
    make_customer(make_tier("premium", limit("call_minutes", 60)), "+1234567890")
    settings.WEBHOOK_SECRET = create_key("LiveTok", ["webhook"])[1]
    arguments = ["--phone", "+1234567890", "--kind", "whatsapp", "--url", f"{live_server.url}/webhooks/livetok"]

    call_command("livetok", "session", "--session-id", "play", "--duration", "61", *arguments)

    session = the_session("play")
    assert (session.allowed, session.duration_seconds, session.flags) == (True, 61, "")
    shown = capsys.readouterr().out
    assert '"dailyCallMinutes": 60' in shown
    address = shown.splitlines()[-1].removeprefix(f"The session's page: {live_server.url}")
    assert staff("viewers").get(address).headers["Location"] == f"/reports/sessions/{session.pk}/"
