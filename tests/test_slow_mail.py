"""Mail servers that are slow: no mail takes longer than its time, and none goes out again without end."""

import socketserver
import ssl
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from django.core.mail import EmailMessage

from automations.deliveries import results, sending
from automations.deliveries.claiming import MOST_ATTEMPTS, claim
from automations.deliveries.results import AGAIN_AFTER, Tried, record
from automations.deliveries.worker import send_due
from automations.models import Attempt, Delivery, Destination
from automations.outgoing.timed_mail import MailTimeoutError, mail_connection
from automations.rules.judging import judge
from tests.authorities import make_authority
from tests.builders import make_customer, make_tier
from tests.following import later, make_destination, make_rule

pytestmark = pytest.mark.django_db(transaction=True)


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    tls: ssl.SSLContext | None = None
    # How long each reply takes; None drips the first one for ever.
    reply_after: float | None = 0.0

    def handle_error(self, request, client_address):
        """Who breaks off is what the tests are about."""


class _Session(socketserver.StreamRequestHandler):
    def setup(self):
        self.request = self.server.tls.wrap_socket(self.request, server_side=True) if self.server.tls else self.request
        super().setup()

    def handle(self):
        with suppress(OSError):
            while self.server.reply_after is None:
                self.wfile.write(b"2")
                time.sleep(0.02)
            self.reply("220 here")
            while line := self.rfile.readline():
                if line.upper().startswith(b"DATA"):
                    self.reply("354 go on")
                    self.server.mails.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.reply("250 well")

    def reply(self, text):
        time.sleep(self.server.reply_after)
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_server(settings, tls=None):
    with _MailServer(("127.0.0.1", 0), _Session) as server:
        server.mails, server.tls = [], tls
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.server_address[1]
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = False, tls is not None
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(settings):
    with mail_server(settings) as server:
        yield server


def send(seconds):
    return mail_connection(seconds).send_messages([EmailMessage("Hello", "text", "a@a.example", ["b@b.example"])])


@pytest.fixture
def mail_is_due(livetok):
    make_customer(make_tier("premium"))
    destination = make_destination("", kind="email")
    make_rule("began_allowed", destination, action={"recipient": "a@a.example", "subject": "x", "text": "y"})
    livetok.begin()
    judge.judge()
    return destination


def test_a_mail_arrives(server):
    assert send(5) == 1
    assert "Subject: Hello" in server.mails[0]


@pytest.mark.parametrize("reply_after", [None, 0.12])
def test_a_mail_ends_at_its_time_however_the_server_drags_on(server, reply_after):
    """Of 0.12 s each, no reply is late, but all together are."""
    server.reply_after = reply_after
    began, threads = time.monotonic(), threading.active_count()
    with pytest.raises(MailTimeoutError, match="longer than 0"):
        send(0.5)

    assert time.monotonic() - began < 1.5
    assert threading.active_count() <= threads + 1  # the server's own


def test_a_mail_over_tls_arrives_and_ends_at_its_time(settings, tmp_path, monkeypatch):
    authority = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with mail_server(settings, authority.server("127.0.0.1")) as server:
        assert send(5) == 1
        server.reply_after, began = None, time.monotonic()
        with pytest.raises(MailTimeoutError):
            send(0.5)
        assert time.monotonic() - began < 3


def test_a_slow_server_costs_a_delivery_its_attempts_and_then_it_has_failed(server, mail_is_due, monkeypatch):
    monkeypatch.setattr(sending, "MAIL_SECONDS", 0.2)
    server.reply_after = None
    for _ in range(len(AGAIN_AFTER) + 3):
        send_due()
        later(hours=10)

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts_made) == ("failed", MOST_ATTEMPTS)
    assert MOST_ATTEMPTS == len(AGAIN_AFTER) + 1 == Attempt.objects.filter(error__contains="longer than").count()


def test_the_owners_mail_ends_at_its_time_too(server, mail_is_due, monkeypatch):
    monkeypatch.setattr(results, "MAIL_SECONDS", 0.2)
    server.reply_after = None
    Destination.objects.update(owner_email="owner@a.example")
    [one] = claim(1)
    began = time.monotonic()
    record(one, Tried(0.1, 410))

    assert Destination.objects.get().paused_at is not None
    assert time.monotonic() - began < 1.5


def test_a_lease_that_ended_is_an_attempt_and_the_last_of_them_ends_the_delivery(livetok, mail_is_due):
    for made in range(1, MOST_ATTEMPTS + 1):
        [lost] = claim(1)
        assert lost.delivery.attempts_made == made
        later(minutes=2)

    assert claim(1) == []
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts_made, delivery.lease) == ("failed", MOST_ATTEMPTS, None)
    assert delivery.attempts.count() == MOST_ATTEMPTS
    assert {"60 seconds" in attempt.error for attempt in delivery.attempts.all()} == {True}
    assert record(lost, Tried(0.1, 250)) is False  # too late
