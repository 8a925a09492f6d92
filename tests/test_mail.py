"""Mails of rules: by a server that refuses some recipients, without any server, and who they are from."""

import os
import socket
import subprocess
import sys

import pytest
from django.core import mail
from django.core.mail.utils import DNS_NAME
from django.utils import timezone

from automations.deliveries.results import AGAIN_AFTER, tell_owner
from automations.deliveries.worker import send_due
from automations.models import Delivery, Destination
from automations.rules.judging import judge
from config.settings import sender_by_host
from tests.builders import make_customer, make_tier
from tests.following import later, make_destination, make_rule
from tests.staff import staff, text_of
from tests.standins import smtp_standin

GONE, BUSY = "550 5.1.1 No such user", "451 4.7.1 Greylisted"
NO_SERVER = "No mail server is set, so no mail is sent: set EMAIL_URL and start Frontdesk again."
DESTINATIONS, RULES = "/admin/automations/destination/", "/admin/automations/rule/"


@pytest.fixture
def server(settings, monkeypatch):
    # Else the machine's own name is looked up once, which takes seconds where no name server answers.
    monkeypatch.setattr(DNS_NAME, "_fqdn", "localhost", raising=False)
    with smtp_standin() as standin:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", standin.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        yield standin


@pytest.fixture
def to(transactional_db, livetok):
    make_customer(make_tier("premium"))
    return make_destination("", kind="email", name="Mail")


@pytest.fixture
def no_server(transactional_db, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"


def happen(livetok, to, recipient="a@x.example, b@x.example"):
    action = {"recipient": recipient, "subject": "Call", "text": "Ada called."}
    make_rule("began_allowed", to, action=action)
    livetok.begin(sessionId="a")
    judge.judge()
    send_due()
    return Delivery.objects.get()


def last(delivery):
    return delivery.attempts.last()


def test_a_mail_that_the_server_takes_for_all_is_delivered(livetok, server, to):
    delivery = happen(livetok, to)

    [received] = server.mails
    assert (received.sender, received.recipients) == ("frontdesk@example.com", ["a@x.example", "b@x.example"])
    assert b"Subject: Call" in received.content
    assert b"Ada called." in received.content
    assert f"<{delivery.key}@frontdesk>".encode() in received.content
    assert (delivery.state, last(delivery).status) == ("delivered", 250)


def test_who_is_refused_for_good_stands_on_the_attempt_and_the_others_get_it_once(livetok, server, to):
    server.refused["b@x.example"] = GONE
    delivery = happen(livetok, to)

    assert (delivery.state, delivery.reached) == ("failed", "a@x.example")
    assert last(delivery).status == 550
    assert last(delivery).error == "b@x.example was refused: 550 5.1.1 No such user. Taken for a@x.example."
    assert Destination.objects.get().failures_in_row == 0
    manager = staff("managers")
    page = f"/admin/automations/delivery/{delivery.pk}/"
    assert "taken for a@x.example, who will not get it again" in text_of(manager.get(f"{page}change/"))

    server.refused.clear()
    manager.post(f"{page}again/", {"way": "same"})
    send_due()
    assert [received.recipients for received in server.mails] == [["a@x.example"], ["b@x.example"]]
    delivery.refresh_from_db()
    assert delivery.state == "delivered"

    manager.post(f"{page}again/", {"way": "same"})  # it reached all: who asks for it once more means all
    send_due()
    assert server.mails[-1].recipients == ["a@x.example", "b@x.example"]


def test_who_is_refused_for_now_gets_it_later_and_the_others_not_again(livetok, server, to):
    server.refused["b@x.example"] = BUSY
    delivery = happen(livetok, to)
    assert (delivery.state, last(delivery).status) == ("waiting", 451)
    later(minutes=1)
    send_due()
    server.refused.clear()
    later(minutes=5)
    send_due()

    assert [received.recipients for received in server.mails] == [["a@x.example"], ["b@x.example"]]
    delivery.refresh_from_db()
    assert delivery.state == "delivered"


def test_where_all_are_refused_it_fails_or_is_tried_again(livetok, server, to):
    server.refused |= {"a@x.example": GONE, "b@x.example": BUSY}
    delivery = happen(livetok, to)
    assert (delivery.state, delivery.reached, server.mails) == ("waiting", "", [])
    assert "b@x.example was refused: 451" in last(delivery).error
    for _ in AGAIN_AFTER:
        later(hours=10)
        send_due()
    delivery.refresh_from_db()
    assert delivery.state == "failed"

    server.refused["b@x.example"] = GONE
    Delivery.objects.update(state="waiting", finished_at=None, attempts_made=0)
    send_due()
    delivery.refresh_from_db()
    assert delivery.state == "failed"
    assert Destination.objects.get().failures_in_row == 8


def test_with_an_address_that_is_none_nothing_is_sent_and_the_delivery_says_so(livetok, server, to):
    delivery = happen(livetok, to, "{{ customer.name }}, a@x.example")

    assert server.mails == []
    assert delivery.state == "failed"
    assert "is no e-mail address" in last(delivery).error


def test_a_server_that_is_away_is_tried_again(livetok, server, to, settings):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = closed.getsockname()[1]
    assert happen(livetok, to).state == "waiting"


class TestWithoutAServer:
    def test_nothing_is_printed_or_lost_and_the_destination_says_what_to_set(self, livetok, to, no_server, capfd):
        Destination.objects.update(owner_email="owner@example.com")
        delivery = happen(livetok, to)

        to.refresh_from_db()
        assert to.paused_because == NO_SERVER
        assert (delivery.state, last(delivery).error) == ("waiting", NO_SERVER)
        printed = "".join(capfd.readouterr())
        assert not any(words in printed for words in ("Ada called", "a@x.example", "owner@example.com"))

    def test_the_first_page_the_form_and_the_preview_say_so_and_no_test_is_sent(self, to, no_server):
        ana = staff("managers")
        rule = make_rule("silent", to, action={"recipient": "a@x.example", "subject": "x", "text": "y"})
        pages = (f"{DESTINATIONS}add/?preset=email", f"{DESTINATIONS}{to.pk}/change/", f"{RULES}{rule.pk}/preview/")
        for page in pages:
            assert NO_SERVER in text_of(ana.get(page)), page
        assert "No mail server is set , so no mail is sent: set EMAIL_URL" in text_of(ana.get("/admin/"))

        response = ana.post(f"{RULES}{rule.pk}/test/", {"action": rule.actions.get().pk}, follow=True)
        assert f"Nothing was sent: {NO_SERVER}" in text_of(response)
        assert not Delivery.objects.exists()

    def test_with_one_nobody_is_told(self, to):
        ana = staff("managers")
        for page in ("/admin/", f"{DESTINATIONS}add/?preset=email", f"{DESTINATIONS}{to.pk}/change/"):
            assert "No mail server" not in text_of(ana.get(page))
        to.delete()

    def test_and_without_a_destination_for_mails_neither(self, db, no_server):
        assert "No mail server" not in text_of(staff("managers").get("/admin/"))


def test_the_owner_of_a_paused_destination_is_told_by_the_sender_of_the_settings(to):
    Destination.objects.update(owner_email="o@x.example", paused_at=timezone.now(), paused_because="It failed.")
    tell_owner(Destination.objects.get())

    [told] = mail.outbox
    assert told.from_email == "Frontdesk <frontdesk@example.com>"


@pytest.mark.pure
@pytest.mark.parametrize(
    ("host", "sender"),
    [
        ("desk.acme.com", "Frontdesk <frontdesk@desk.acme.com>"),
        ("xn--bcher-kva.example", "Frontdesk <frontdesk@xn--bcher-kva.example>"),
        *[(host, "") for host in (None, "", "localhost", "desk", "192.0.2.7", "2001:db8::1")],
    ],
)
def test_mails_are_from_the_public_host_where_others_can_look_it_up(host, sender):
    assert sender_by_host(host) == sender


@pytest.mark.only("sqlite")
@pytest.mark.parametrize(
    ("changes", "sender", "is_warned"),
    [
        ({"EMAIL_FROM": "Desk <desk@acme.com>", "PUBLIC_URL": "https://a.acme.com"}, "Desk <desk@acme.com>", False),
        ({"PUBLIC_URL": "https://192.0.2.7"}, "Frontdesk <frontdesk@localhost>", True),
    ],
)
def test_the_setting_comes_first_and_where_there_is_no_sender_a_check_says_so(tmp_path, changes, sender, is_warned):
    script = (
        "import django; django.setup(); from django.conf import settings; from django.core.checks import run_checks; "
        "print(settings.DEFAULT_FROM_EMAIL, *(m.id for m in run_checks() if m.id == 'frontdesk.W003'), sep='|')"
    )
    usual = {"DATA_DIR": str(tmp_path), "EMAIL_URL": "smtp://127.0.0.1:2525", "EMAIL_FROM": ""}
    environment = {**os.environ, **usual, **changes}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    assert told.stdout.strip() == sender + ("|frontdesk.W003" if is_warned else "")
