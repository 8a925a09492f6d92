"""What is sent, how often, to whom, and what comes of it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.utils import timezone
from standardwebhooks import Webhook

from automations.admin.offers import action_for
from automations.deliveries import copies
from automations.deliveries.claiming import LEASE, NO_RESULT, claim
from automations.deliveries.pausing import resume
from automations.deliveries.results import AGAIN_AFTER, Tried, record, wait_before
from automations.deliveries.worker import send_due
from automations.models import Action, Attempt, Delivery, Destination, Installation
from automations.outgoing.addresses import AllowedHosts, parse_allowed_hosts
from automations.outgoing.signing import made_signing_secret
from automations.rules.judging import judge
from automations.sealing import KEY_FILE
from customers.models import Customer
from tests.builders import make_customer, make_tier
from tests.following import add_secret, judge_and_send, later, make_destination, make_rule
from tests.standins import Reply, http_standin

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings):
    settings.OUTGOING_ALLOWED_HOSTS = parse_allowed_hosts(["127.0.0.0/8"])
    settings.OUTGOING_ALLOW_HTTP = True


@pytest.fixture
def receiver(livetok):
    make_customer(make_tier("premium"))
    with http_standin() as server:
        yield server


@pytest.fixture
def destination(receiver):
    return make_destination(f"{receiver.url}/in")


def happen(livetok, *session_ids):
    for session_id in session_ids:
        livetok.begin(sessionId=session_id)
    judge.judge()


def states():
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


def test_a_request_goes_out_with_its_key_and_what_came_of_it_is_kept(livetok, receiver, destination):
    make_rule("began_allowed", destination)
    receiver.answer = Reply(200, body=b'{"ok": true}')
    happen(livetok, "a")
    assert send_due() == 1

    [request] = receiver.requests
    delivery = Delivery.objects.get()
    assert (request.method, request.path, json.loads(request.body)) == ("POST", "/in", {"id": "a"})
    assert request.headers["Idempotency-Key"] == request.headers["webhook-id"] == str(delivery.key)
    assert delivery.state == "delivered"
    made = delivery.attempts.get()
    assert (made.status, made.error, made.answer) == (200, "", '{"ok": true}')


def test_a_retry_sends_the_same_bytes_with_the_same_key_after_the_wait_of_the_table(livetok, receiver, destination):
    make_rule("began_allowed", destination)
    receiver.answer = Reply(503)
    happen(livetok, "a")
    waits = []
    for wait in (*AGAIN_AFTER, timedelta()):
        before = datetime.now(UTC)
        assert send_due() == 1
        sent = datetime.now(UTC)
        assert send_due() == 0  # not before its time
        delivery = Delivery.objects.get()
        if wait:
            waits.append(
                (delivery.next_attempt_at - before > wait * 0.79, delivery.next_attempt_at - sent < wait * 1.21)
            )
        later(hours=10)

    assert waits == [(True, True)] * len(AGAIN_AFTER)
    assert states() == ["failed"]
    assert len({(request.body, request.headers["webhook-id"]) for request in receiver.requests}) == 1
    assert len(receiver.requests) == delivery.attempts.count() == 7


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (204, "delivered"),
        *[(status, "failed") for status in (301, 400, 401, 404, 409, 422)],
        *[(status, "waiting") for status in (408, 425, 429, 500, 503, 599)],
    ],
)
def test_which_answers_are_tried_again(livetok, receiver, destination, status, state):
    make_rule("began_allowed", destination)
    receiver.answer = Reply(status)
    happen(livetok, "a")
    send_due()

    assert states() == [state]


def test_retry_after_is_obeyed():
    now = datetime(2024, 3, 15, 12, tzinfo=UTC)

    assert wait_before(1, "120", now) == timedelta(minutes=2)
    assert wait_before(1, "Fri, 15 Mar 2024 12:01:00 GMT", now) == timedelta(minutes=1)
    assert wait_before(1, "999999999", now) == timedelta(days=1)
    assert wait_before(1, "-5", now) < timedelta(seconds=7)
    assert wait_before(1, "Fri, 15 Mar 2024 11:00:00 GMT", now) >= timedelta(seconds=4)


def test_410_stops_the_destination_and_what_is_for_it_waits(livetok, receiver, destination):
    make_rule("began_allowed", destination)
    receiver.answer = Reply(410)
    happen(livetok, "a", "b")
    send_due()

    destination.refresh_from_db()
    assert "410" in destination.paused_because
    assert states() == ["waiting", "waiting"]
    # However often it is resumed too early, what met the 410 uses up no attempt.
    for _ in range(len(AGAIN_AFTER) + 1):
        resume(destination)
        assert send_due() == 1
        destination.refresh_from_db()

    receiver.answer = Reply(200)
    resume(destination)
    assert send_due() == 2
    assert states() == ["delivered", "delivered"]


@pytest.mark.parametrize("kind", ["email", "slack", "whatsapp"])
def test_while_a_destination_is_paused_its_messages_do_not_age(livetok, receiver, kind):
    now = timezone.now()
    to = make_destination(f"{receiver.url}/in", kind=kind, paused_at=now - timedelta(hours=5), paused_because="x")
    stored = {"destination": to, "method": "POST", "recipient": "a@example.com", "subject": "x", "body": b"{}"}
    old, late, new = (
        Delivery.objects.create(**stored, created_at=made, next_attempt_at=made, not_after=until)
        for made, until in (
            (now - timedelta(hours=5, minutes=10), now - timedelta(hours=4, minutes=10)),  # 50 minutes were left
            (now - timedelta(hours=7), now - timedelta(hours=6)),  # before the pause began
            (now - timedelta(hours=2), now - timedelta(hours=1)),
        )
    )
    claim(16)
    assert states() == ["waiting"] * 3

    resume(to)
    left = {one.pk: one.not_after - timezone.now() for one in Delivery.objects.all()}
    assert timedelta(minutes=49) < left[old.pk] <= timedelta(minutes=50)
    assert timedelta(minutes=59) < left[new.pk] <= timedelta(minutes=60)
    assert timedelta(minutes=-61) < left[late.pk] <= timedelta(minutes=-60)
    send_due()
    assert states() == ["delivered", "skipped", "delivered"]


def test_twenty_failures_over_fifteen_minutes_pause_it_its_owner_is_told_and_nothing_is_lost(
    livetok, receiver, destination
):
    Destination.objects.update(owner_email="owner@example.com")
    make_rule("began_allowed", destination)
    receiver.answer = Reply(500)
    happen(livetok, *(f"s{number}" for number in range(21)))
    for _ in range(19):
        send_due()
    destination.refresh_from_db()
    assert destination.paused_at is None  # many, but not for long

    later(minutes=16)
    send_due()
    destination.refresh_from_db()
    assert destination.paused_at is not None
    [told] = mail.outbox
    assert told.to == ["owner@example.com"]
    receiver.answer = Reply(200)
    later(hours=10)
    assert send_due() == 0

    Destination.objects.update(paused_at=None, paused_because="", failures_in_row=0, failing_since=None)
    assert send_due() == 21
    assert set(states()) == {"delivered"}


def test_of_one_sessions_deliveries_a_later_one_waits_for_the_earlier(livetok, receiver, destination):
    make_rule("began_allowed", destination, action={"body": '{"id": "began"}'})
    make_rule("ended", destination, action={"body": '{"id": "ended"}'})
    receiver.answer = Reply(500)
    livetok.begin(sessionId="a")
    livetok.end(sessionId="a")
    livetok.begin(sessionId="b")
    judge.judge()
    send_due()
    assert [json.loads(request.body)["id"] for request in receiver.requests] == ["began", "began"]

    receiver.answer = Reply(200)
    later(minutes=1)
    send_due()
    assert states() == ["delivered"] * 3


def test_no_more_at_once_and_in_a_second_than_the_destination_takes(livetok, destination):
    Destination.objects.update(at_once=2, per_second=5)
    make_rule("began_allowed", destination)
    happen(livetok, *(f"s{number}" for number in range(10)))

    claims = claim(16)
    assert len(claims) == 2
    assert claim(16) == []
    for one in claims:
        record(one, Tried(0.1, 200))
    claims = claim(16)
    assert len(claims) == 2
    for one in claims:
        record(one, Tried(0.1, 200))
    assert len(claim(16)) == 1  # the fifth within a second


def test_a_result_counts_only_under_its_lease_and_a_killed_workers_is_taken_up_when_it_ends(livetok, destination):
    make_rule("began_allowed", destination)
    happen(livetok, "a")
    [lost] = claim(16)
    assert claim(16) == []
    later(seconds=LEASE.total_seconds() - 5)
    assert claim(16) == []
    later(seconds=6)
    [taken] = claim(16)

    assert record(lost, Tried(0.1, 500)) is False
    assert Attempt.objects.get().error == NO_RESULT
    assert record(taken, Tried(0.1, 200)) is True
    assert states() == ["delivered"]


def test_what_is_too_late_is_skipped(livetok):
    make_customer(make_tier("premium"))
    to = make_destination("", kind="email")
    make_rule("began_allowed", to, action={"recipient": "a@example.com", "subject": "x", "text": "y"})
    happen(livetok, "a")
    Delivery.objects.update(not_after=timezone.now() - timedelta(seconds=1))

    assert send_due() == 0
    assert mail.outbox == []
    assert Destination.objects.count() == 1
    claim(1)
    assert states() == ["skipped"]


def test_a_mail_goes_out_and_no_value_breaks_its_headers(livetok):
    make_customer(make_tier("premium"), name="Ada\r\nBcc: evil@example.com")
    to = make_destination("", kind="email")
    action = {"recipient": "sales@example.com, boss@example.com", "subject": "{{ customer.name }} calls", "text": "Hi"}
    make_rule("began_allowed", to, action=action)
    happen(livetok, "a")
    send_due()

    [message] = mail.outbox
    assert message.to == ["sales@example.com", "boss@example.com"]
    assert "\n" not in message.subject
    assert states() == ["delivered"]


class TestWhatsApp:
    @pytest.fixture
    def whatsapp(self, receiver):
        to = make_destination(f"{receiver.url}/v1", kind="whatsapp", headers="Authorization: Bearer {{ secrets.key }}")
        add_secret(to, "key", "lt_secret")
        action = {"recipient": "{{ session.number }}", "template_name": "hello", "text": "{{ session.id }}"}
        make_rule("began_allowed", to, action=action)
        return to

    def test_it_is_what_livetok_documents(self, livetok, receiver, whatsapp):
        happen(livetok, "a")
        send_due()

        [request] = receiver.requests
        assert (request.path, request.headers["Authorization"]) == ("/v1/messages/templates", "Bearer lt_secret")
        assert json.loads(request.body) == {
            "to": "+1234567890",
            "template_name": "hello",
            "template_language": "en_US",
            "template_parameters": [{"type": "text", "text": "a"}],
        }

    def test_as_it_is_offered_it_reaches_a_caller_without_a_name(self, livetok, receiver, whatsapp):
        Action.objects.update(text=action_for(whatsapp)["text"])
        Customer.objects.update(name="")
        happen(livetok, "a")
        send_due()

        assert json.loads(receiver.requests[0].body)["template_parameters"] == [{"type": "text", "text": "there"}]

    def test_what_may_have_been_sent_is_not_repeated(self, livetok, receiver, whatsapp):
        receiver.answer = Reply(502)
        happen(livetok, "a")
        send_due()

        assert states() == ["unknown"]

    def test_nor_where_the_worker_died(self, livetok, receiver, whatsapp):
        happen(livetok, "a")
        claim(16)
        later(seconds=61)
        make_rule("began_allowed", make_destination("https://192.0.2.1/"))
        happen(livetok, "b")
        claim(16)

        assert states()[0] == "unknown"

    def test_what_was_refused_before_it_went_out_is_tried_again(self, livetok, receiver, whatsapp):
        receiver.answer = Reply(429)
        happen(livetok, "a")
        send_due()

        assert states() == ["waiting"]


class TestSecrets:
    def test_they_are_in_the_address_and_headers_and_masked_in_what_is_kept(self, livetok, receiver, destination):
        Destination.objects.update(
            address=f"{receiver.url}/{{{{ secrets.path }}}}", headers="X-Token: {{ secrets.token }}"
        )
        add_secret(destination, "path", "T0/B1/abc")
        add_secret(destination, "token", "s3cr3t-token")
        make_rule("began_allowed", destination)
        receiver.answer = lambda received: Reply(400, body=f"bad token {received.headers['X-Token']}".encode())
        happen(livetok, "a")
        send_due()

        [request] = receiver.requests
        assert (request.path, request.headers["X-Token"]) == ("/T0/B1/abc", "s3cr3t-token")
        kept = Attempt.objects.get()
        assert "s3cr3t" not in kept.answer
        assert kept.answer.startswith("bad token •••")

    def test_a_value_that_looks_like_a_secret_stays_what_it_is(self, livetok, receiver, destination):
        Destination.objects.update(headers="X-Token: {{ secrets.token }}")
        add_secret(destination, "token", "s3cr3t-token")
        make_rule("began_allowed", destination)
        happen(livetok, "{{ secrets.token }}")
        send_due()

        assert json.loads(receiver.requests[0].body) == {"id": "{{ secrets.token }}"}

    def test_a_signed_request_verifies_with_either_secret_while_one_is_rotated(self, livetok, receiver, destination):
        Destination.objects.update(is_signed=True)
        secrets = made_signing_secret(), made_signing_secret()
        for name, secret in zip(("signing", "signing-before"), secrets, strict=True):
            add_secret(destination, name, secret)
        make_rule("began_allowed", destination)
        happen(livetok, "a")
        send_due()

        [request] = receiver.requests
        for secret in secrets:
            assert Webhook(secret).verify(request.body, dict(request.headers.items())) == {"id": "a"}

    def test_without_its_key_the_destination_is_paused_and_says_which(self, livetok, receiver, destination, settings):
        secret = add_secret(destination, "token", "s3cr3t-token")
        make_rule("began_allowed", destination)
        happen(livetok, "a")
        settings.ENCRYPTION_KEYS = ["x" * 43 + "="]
        send_due()

        destination.refresh_from_db()
        assert secret.fingerprint in destination.paused_because
        assert states() == ["waiting"]
        assert receiver.requests == []
        assert Delivery.objects.get().attempts_made == 0


def test_a_damaged_key_file_pauses_the_destination_and_says_so(livetok, destination, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    add_secret(destination, "token", "s3cr3t-token")
    make_rule("began_allowed", destination)
    happen(livetok, "a")
    (tmp_path / KEY_FILE).write_text("cut short")
    send_due()

    destination.refresh_from_db()
    assert "empty or cut short" in destination.paused_because
    assert states() == ["waiting"]


def test_a_value_of_the_answer_is_kept_with_its_link(livetok, receiver, destination):
    action = {"kept_pointer": "/ticket/id", "kept_link": "https://you.zendesk.com/agent/tickets/{{ kept.value }}"}
    make_rule("began_allowed", destination, action={"body": "{}"} | action)
    receiver.answer = Reply(201, body=b'{"ticket": {"id": 1234}}')
    happen(livetok, "a")
    send_due()

    delivery = Delivery.objects.get()
    assert (delivery.kept_value, delivery.kept_link) == ("1234", "https://you.zendesk.com/agent/tickets/1234")


def test_what_cannot_be_filled_in_is_kept_as_failed_and_says_why(livetok, destination):
    make_rule("began_allowed", destination, action={"body": '{"id": "{{ session.nothing }}"}'})
    happen(livetok, "a")

    assert states() == ["failed"]
    assert "session.nothing" in Attempt.objects.get().error


def test_an_address_that_is_not_public_is_refused(livetok, receiver, destination, settings):
    settings.OUTGOING_ALLOWED_HOSTS = AllowedHosts()
    make_rule("began_allowed", destination)
    happen(livetok, "a")
    send_due()

    assert receiver.requests == []
    assert "127.0.0.1" in Attempt.objects.get().error


def test_a_copied_database_sends_nothing_until_staff_say_it_is_the_real_one(
    livetok, receiver, destination, monkeypatch
):
    make_rule("began_allowed", destination)
    happen(livetok, "a")
    assert copies.may_send()
    monkeypatch.setattr(copies, "identity", lambda: "another file")
    assert send_due() == 0

    copies.confirm_this_one()
    assert send_due() == 1
    assert Installation.objects.get().identity == "another file"


def test_a_copy_of_the_file_is_another_one(tmp_path):
    real, copy = tmp_path / "real", tmp_path / "copy"
    real.write_bytes(b"x")
    copy.write_bytes(real.read_bytes())

    assert copies._file_of(str(real)) == copies._file_of(str(real))
    assert copies._file_of(str(real)) != copies._file_of(str(copy))


def test_everything_that_happens_reaches_the_destination_once(livetok, receiver, destination):
    make_rule("began_allowed", destination)
    livetok.begin(sessionId="a")
    livetok.begin(sessionId="a")
    assert judge_and_send() == 1
    assert judge_and_send() == 0

    assert len(receiver.requests) == 1
