"""Promise 6 while the database is away: what LiveTok gets, what is kept, and that nothing is missing afterwards."""

import json
import threading
import time
from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given as examples
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from customers.defaults import make_defaults
from customers.keys import KNOWN_SECONDS, create_key, forget_keys
from customers.models import ApiKey, Customer, DenialMessage
from sessions_app.database.pulse import pulse
from sessions_app.decision.answer import AnswerGiven, DecisionGiven
from sessions_app.decision.rules import Reason
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.payloads import read_event
from sessions_app.models import RefusedRequests, Session, SpoolPlace, WebhookEvent
from sessions_app.recording.begin import RETRIED_WITHIN, begin_session_as_answered
from sessions_app.recording.hooks import SessionHook
from sessions_app.spool.files import Spool, SpooledRequest, files_set_aside, spool_files
from sessions_app.webhook import outage, views
from sessions_app.webhook.feeding import Feeder, feeder
from sessions_app.webhook.reception import LARGEST_BODY, receive
from sessions_app.webhook.refused import refused_requests
from tests.builders import (
    LiveTok,
    assert_usage_is_sound,
    begin_body,
    end_body,
    limit,
    make_customer,
    make_livetok,
    make_tier,
    make_top_up,
    moment,
    set_policy,
    the_session,
)
from tests.outages import database_away
from tests.staff import staff, text_of

ALLOWED = b'{"allowed":true}'


@pytest.fixture(autouse=True)
def _own_data_folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@pytest.fixture
def known_livetok(transactional_db) -> LiveTok:
    """LiveTok, whose key this process has seen."""
    make_defaults()
    livetok = make_livetok()
    assert livetok.begin(sessionId="before")["allowed"] is True
    return livetok


def send(livetok: LiveTok, body) -> tuple[int, bytes]:
    response = livetok.send(body)
    return response.status_code, response.content


def test_a_begin_and_its_end_are_answered_kept_and_fed(known_livetok):
    with database_away():
        assert send(known_livetok, begin_body()) == (200, ALLOWED)
        assert send(known_livetok, end_body()) == (200, b"{}")
    assert not Session.objects.filter(session_id="123").exists()
    before = timezone.now()
    assert feeder.feed() == 2

    session = the_session()
    assert (session.allowed, session.reason, session.flags) == (True, "fallback_allow", "fallback")
    assert (bytes(session.answer), session.trace, session.facts) == (ALLOWED, [], {})
    assert session.begin_received_at < session.end_received_at < before
    assert (session.duration_seconds, session.state_at(before)) == (300, "ended")
    assert session.customer.source == Customer.Source.FIRST_CONTACT
    assert [event.verdict for event in WebhookEvent.objects.filter(session_id="123")] == ["accepted"] * 2
    assert spool_files() == []
    assert not SpoolPlace.objects.exists()
    assert_usage_is_sound()


def test_requests_leave_a_database_alone_that_is_known_to_be_away(known_livetok, monkeypatch):
    """Opening a connection costs more than all the rest of such a request, and may take as long as it likes."""
    opened: list[str] = []
    wrapper = type(connections["default"])
    open_one = wrapper.get_new_connection

    def noting(self, parameters):
        opened.append(threading.current_thread().name)
        return open_one(self, parameters)

    monkeypatch.setattr(wrapper, "get_new_connection", noting)
    with database_away():
        send(known_livetok, begin_body(sessionId="first"))
        wait_until(lambda: pulse.is_away)
        opened.clear()
        for number in range(5):
            assert send(known_livetok, begin_body(sessionId=f"s{number}")) == (200, ALLOWED)
        assert set(opened) <= {"pulse"}


def wait_until(holds) -> None:
    give_up_at = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_redelivery_gets_the_same_bytes_during_the_outage_and_after_it(known_livetok):
    with database_away():
        assert send(known_livetok, begin_body()) == (200, ALLOWED)
        assert send(known_livetok, begin_body()) == (200, ALLOWED)
    feeder.feed()

    assert send(known_livetok, begin_body()) == (200, ALLOWED)
    assert Session.objects.filter(session_id="123").count() == 1
    assert_usage_is_sound()


def test_limits_are_not_judged_and_the_use_counts_all_the_same(known_livetok):
    customer = make_customer(make_tier("none", limit("sessions", 1)), "+15550001")
    with database_away():
        for number in range(3):
            assert send(known_livetok, begin_body(sessionId=f"s{number}", phoneNumber="+15550001")) == (200, ALLOWED)
    feeder.feed()

    assert Session.objects.filter(customer=customer, allowed=True).count() == 3
    assert known_livetok.begin(sessionId="later", phoneNumber="+15550001")["context"]["denied_reason"] == "sessions_day"
    assert_usage_is_sound()


def test_an_unknown_caller_whom_the_policy_denies_makes_no_customer(known_livetok):
    set_policy(unknown_callers="deny")
    with database_away():
        send(known_livetok, begin_body(phoneNumber="+15550002"))
    feeder.feed()

    assert (the_session().customer, the_session().allowed) == (None, True)


def test_deny_answers_with_staffs_sentence_as_it_was_read_last(known_livetok, settings, monkeypatch):
    settings.DECISION_FALLBACK = "deny"
    monkeypatch.setattr(outage._message, "read_at", None)
    DenialMessage.objects.create(reason="fallback_deny", message="Back soon.")
    known_livetok.begin(sessionId="reads the sentence")
    with database_away():
        status, content = send(known_livetok, begin_body())
    feeder.feed()

    denied = {"denied_reason": "fallback_deny", "denied_message": "Back soon."}
    assert (status, json.loads(content)) == (200, {"allowed": False, "context": denied, "limits": {}})
    session = the_session()
    assert (session.allowed, session.reason, bytes(session.answer)) == (False, "fallback_deny", content)
    assert session.state_at(timezone.now()) == "denied"
    assert_usage_is_sound()


def test_retry_has_livetok_send_begins_again_and_keeps_ends(known_livetok, settings):
    settings.DECISION_FALLBACK = "retry"
    with database_away():
        assert send(known_livetok, begin_body())[0] == 503
        assert send(known_livetok, end_body()) == (200, b"{}")
    feeder.feed()

    assert the_session().flags == "no_begin"
    assert known_livetok.begin()["allowed"] is True


def test_what_cannot_be_taken_is_kept_too(known_livetok):
    too_large = b" " * (LARGEST_BODY + 1)
    with database_away():
        assert send(known_livetok, b"\xff not JSON")[0] == 400
        assert send(known_livetok, too_large)[0] == 413
        assert send(known_livetok, {"event": "agent_moved"}) == (200, b"{}")
    feeder.feed()

    events = WebhookEvent.objects.exclude(session_id="before").order_by("received_at")
    assert [(event.verdict, event.status) for event in events] == [
        ("rejected", 400),
        ("rejected", 413),
        ("ignored", 200),
    ]
    assert [event.body and bytes(event.body) for event in events] == [
        b"\xff not JSON",
        None,
        b'{"event": "agent_moved"}',
    ]


def test_a_body_in_an_encoding_that_is_not_taken_stays_refused_when_it_is_fed(known_livetok):
    """Also where its bytes would have been a begin."""
    body = json.dumps(begin_body()).encode()
    with database_away():
        response = known_livetok.send(body, **{"Content-Encoding": "gzip"})
        assert (response.status_code, response.json()["error"]["field"]) == (400, "Content-Encoding")
    feeder.feed()

    event = WebhookEvent.objects.exclude(session_id="before").get()
    assert (event.verdict, event.status, bytes(event.body)) == ("rejected", 400, body)
    assert event.error == f"Content-Encoding: {response.json()['error']['message']}"
    assert not Session.objects.filter(session_id="123").exists()


def test_the_events_tell_who_sent_them_and_when(known_livetok):
    before = timezone.now()
    with database_away():
        known_livetok.send(end_body(), "/webhooks/livetok/end")
        after = timezone.now()
    feeder.feed()

    event = WebhookEvent.objects.get(session_id="123")
    assert before < event.received_at < after
    assert (event.key[:7], event.address, event.route) == ("LiveTok", "127.0.0.1", "end")


def test_the_time_that_a_client_takes_to_send_its_body_is_not_the_databases(known_livetok, monkeypatch):
    """Else a slow client's request would be taken for one that has waited too long, at the first lock that is held.

    Nor is it part of our latency.
    """
    read_at_once = views.read_body
    begun = threading.Event()

    def hold_a_lock():
        with transaction.atomic():
            Customer.objects.select_for_update().get()
            begun.set()
            time.sleep(0.3)
        connections.close_all()

    holding = threading.Thread(target=hold_a_lock)

    def read_slowly(request):
        time.sleep(0.75)
        holding.start()
        begun.wait()
        return read_at_once(request)

    monkeypatch.setattr(views, "read_body", read_slowly)
    answer = known_livetok.begin(sessionId="slow")
    holding.join()

    assert "context" in answer
    assert not spool_files()
    assert WebhookEvent.objects.get(session_id="slow").took_ms < 800  # of 1,050 or more with the body


@pytest.mark.only("sqlite")  # on PostgreSQL a thread connects, too
def test_a_database_that_nobody_could_look_after_is_not_given_up_for_ever(known_livetok, monkeypatch):
    def no_thread(thread):
        raise RuntimeError("can't start new thread")

    with database_away(), monkeypatch.context() as short_of_threads:
        short_of_threads.setattr(threading.Thread, "start", no_thread)
        assert send(known_livetok, begin_body()) == (200, ALLOWED)

    assert known_livetok.begin(sessionId="after")["context"]
    assert feeder.feed() == 1


def test_only_keys_that_were_seen_are_believed(known_livetok):
    unseen = LiveTok(create_key("another", ["webhook"])[1])
    with database_away():
        assert send(unseen, begin_body())[0] == 503
        assert send(LiveTok("made up"), begin_body())[0] == 401
        assert Client().post("/webhooks/livetok", b"{}", content_type="application/json").status_code == 401
        assert spool_files() == []
        assert send(known_livetok, begin_body())[0] == 200


def test_a_key_is_believed_for_an_hour_and_not_beyond_its_end(known_livetok, monkeypatch):
    expiring = create_key("short", ["webhook"], expires_at=timezone.now() + timedelta(seconds=1))[1]
    assert send(LiveTok(expiring), begin_body(sessionId="early"))[0] == 200
    assert KNOWN_SECONDS == 3600
    with database_away():
        time.sleep(1)
        assert send(LiveTok(expiring), begin_body())[0] in (401, 503)
        assert send(known_livetok, begin_body())[0] == 200
        for name in ("BELIEVED_SECONDS", "KNOWN_SECONDS"):
            monkeypatch.setattr(f"customers.keys.{name}", 0.5)
        assert send(known_livetok, begin_body())[0] == 503


def test_a_key_that_was_seen_to_be_revoked_is_not_believed(known_livetok, monkeypatch):
    ApiKey.objects.update(revoked_at=timezone.now())
    monkeypatch.setattr("customers.keys.BELIEVED_SECONDS", 0.0)
    assert send(known_livetok, begin_body())[0] == 401
    with database_away():
        assert send(known_livetok, begin_body())[0] == 503


def test_the_webhook_secret_needs_no_database(transactional_db, settings):
    settings.WEBHOOK_SECRET = "a secret from outside"
    forget_keys()
    with database_away():
        assert send(LiveTok("a secret from outside"), begin_body()) == (200, ALLOWED)


def test_a_get_answers_and_refusals_are_counted_later(known_livetok, monkeypatch):
    with database_away():
        assert Client().get("/webhooks/livetok").status_code == 200
        assert send(LiveTok("made up"), begin_body())[0] == 401
    monkeypatch.setattr(refused_requests, "_written_at", None)
    known_livetok.begin()

    assert RefusedRequests.objects.get().count == 1


def test_a_full_disk_is_no_200(known_livetok, settings, tmp_path):
    settings.DATA_DIR = tmp_path / "file"
    settings.DATA_DIR.touch()
    with database_away():
        assert send(known_livetok, begin_body())[0] == 503
        assert send(known_livetok, end_body())[0] == 503
    settings.DATA_DIR = tmp_path
    with database_away():
        assert send(known_livetok, end_body())[0] == 200


def test_files_of_several_processes_are_fed_in_the_order_in_which_requests_came(known_livetok, monkeypatch):
    with database_away():
        for number in range(6):
            monkeypatch.setattr(outage, "spool", Spool())
            send(known_livetok, begin_body(sessionId=f"s{number}"))
    assert len(spool_files()) == 6
    feeder.feed()

    stored = Session.objects.exclude(session_id="before").order_by("pk")
    assert [session.session_id for session in stored] == [f"s{number}" for number in range(6)]


def test_a_request_that_cannot_be_read_is_set_aside_and_blocks_nothing(known_livetok, caplog):
    with database_away():
        for number in range(3):
            send(known_livetok, begin_body(sessionId=f"s{number}"))
    [path] = spool_files()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"body", b"yodb") + lines[2] + lines[2][:30])
    feeder.feed()

    assert set(Session.objects.values_list("session_id", flat=True)) == {"before", "s0", "s2"}
    assert spool_files() == []
    [aside] = files_set_aside()
    assert aside.read_bytes() == lines[1].replace(b"body", b"yodb")
    assert [record.levelname for record in caplog.records if "set aside" in record.message] == ["ERROR"]
    assert Client().get("/readyz").json()["set_aside"] == 1

    aside.write_bytes(lines[1])
    aside.rename(path)  # mended by hand
    feeder.feed()
    assert the_session("s1").flags == "fallback"


def test_a_request_that_fails_again_and_again_is_set_aside(known_livetok, settings):
    with database_away():
        send(known_livetok, begin_body(sessionId="s1"))
        send(known_livetok, {"event": "agent_moved"})
    settings.SESSION_EVENT_HOOKS = ["tests.test_outage.failing_hook"]
    patient = Feeder()
    rounds = [patient.feed() for _ in range(4)]

    assert rounds == [0, 0, 2, 0]
    assert not Session.objects.filter(session_id="s1").exists()
    assert WebhookEvent.objects.filter(event="agent_moved").count() == 1
    [aside] = files_set_aside()
    settings.SESSION_EVENT_HOOKS = []
    aside.rename(aside.parent.parent / aside.name)
    assert patient.feed() == 1
    assert the_session("s1").allowed is True


def fail(happening, awaited):
    raise ValueError("a mistake")


failing_hook = SessionHook(RefusedRequests, "'all'", fail)


def test_a_request_that_fails_holds_up_what_is_behind_it_in_its_own_file_alone(known_livetok, settings, monkeypatch):
    with database_away():
        for number in range(6):
            if number % 3 == 0:
                monkeypatch.setattr(outage, "spool", Spool())
            send(known_livetok, begin_body(sessionId=f"s{number}"))
    settings.SESSION_EVENT_HOOKS = ["tests.test_outage.hook_failing_for_s1"]

    assert Feeder().feed() == 4
    fed = Session.objects.exclude(session_id="before").order_by("pk").values_list("session_id", flat=True)
    assert list(fed) == ["s0", "s3", "s4", "s5"]
    assert len(spool_files()) == 1

    settings.SESSION_EVENT_HOOKS = []
    assert Feeder().feed() == 2
    assert WebhookEvent.objects.exclude(session_id="before").count() == 6
    assert_usage_is_sound()


def fail_for_s1(happening, awaited):
    if happening.session.session_id == "s1":
        raise ValueError("a mistake")


hook_failing_for_s1 = SessionHook(RefusedRequests, "'all'", fail_for_s1)


def test_a_file_that_cannot_be_read_blocks_nothing(known_livetok, caplog):
    with database_away():
        send(known_livetok, begin_body())
    folder = spool_files()[0].with_name("a-folder.spool")
    folder.mkdir()

    assert feeder.feed() == 1
    assert spool_files() == [folder]
    assert [record.levelname for record in caplog.records if "cannot be read" in record.message] == ["ERROR"]


def test_a_feeder_that_ends_in_the_middle_goes_on_where_it_was(known_livetok):
    with database_away():
        for number in range(4):
            send(known_livetok, begin_body(sessionId=f"s{number}"))
            send(known_livetok, begin_body(sessionId=f"s{number}"))
    [path] = spool_files()
    whole = path.read_bytes()
    answers = iter([False] * 3 + [True] * 9)
    assert feeder.feed(lambda: next(answers)) == 3
    assert feeder.feed() == 5
    path.write_bytes(whole)  # as if the worker had died before it deleted the file
    SpoolPlace.objects.create(name=path.name, fed_bytes=len(whole))
    feeder.feed()

    assert WebhookEvent.objects.exclude(session_id="before").count() == 8
    assert spool_files() == []


def test_the_rest_waits_where_the_database_goes_away_again(known_livetok):
    with database_away():
        send(known_livetok, begin_body())
        with pytest.raises(Exception, match=r"open|refused"):
            feeder.feed()
    assert feeder.feed() == 1


def begin_event(body: bytes, received_at: datetime):
    return read_event(body, route="begin", received_at=received_at)


def test_an_answer_that_livetok_had_first_replaces_a_decision_that_it_had_later(known_livetok):
    """The database fell silent while it stored the decision; or the begin came again before the spool was fed."""
    make_customer(make_tier("closed", limit("sessions", 0)), "+15550003")
    body = json.dumps(begin_body(phoneNumber="+15550003")).encode()
    received_at = timezone.now()
    receive(body, route="begin", received_at=received_at, delivery=Delivery())
    assert the_session().allowed is False
    given = AnswerGiven(Reason.FALLBACK_ALLOW, ALLOWED)
    begin_session_as_answered(begin_event(body, received_at), Delivery(), given)

    session = the_session()
    assert (session.allowed, session.reason, bytes(session.answer)) == (True, "fallback_allow", ALLOWED)
    assert (session.trace, session.flags) == ([], "fallback")
    assert_usage_is_sound()


def test_what_was_decided_draws_on_no_top_up_of_another_customer(known_livetok):
    """The number came to another customer between its answer and the moment when that is stored."""
    tier = make_tier("closed", limit("call_minutes", 0))
    theirs = make_top_up(make_customer(tier, "+15550004"), "call_minutes", 30)
    make_customer(tier, "+15550005")
    decision = DecisionGiven([], {}, [], theirs.customer_id, True, 3600, minutes_top_up_id=theirs.pk)
    body = json.dumps(begin_body(phoneNumber="+15550005")).encode()

    given = AnswerGiven(Reason.ALLOWED, ALLOWED, decision)
    begin_session_as_answered(begin_event(body, timezone.now()), Delivery(), given)

    assert (the_session().reason, the_session().minutes_top_up_id) == ("allowed", None)
    assert_usage_is_sound()


TAKEN = [
    json.dumps(begin_body(sessionId="again")).encode(),
    json.dumps(end_body(sessionId="again")).encode(),
    b'{"event": "agent_updated"}',
    b"no JSON",
]


@pytest.mark.parametrize(("is_again", "logged"), [(True, 1), (False, 2)])
def test_a_request_that_the_database_took_without_a_word_is_logged_once(known_livetok, is_again, logged):
    at = timezone.now()

    for body in TAKEN:
        for delivery in (Delivery(), Delivery(is_again=is_again)):
            receive(body, route="", received_at=at, delivery=delivery)

    counts = [WebhookEvent.objects.filter(received_at=at, body=body).count() for body in TAKEN]
    assert counts == [logged] * len(TAKEN)


def test_a_request_of_the_spool_that_the_database_has_already_is_logged_once(known_livetok, settings):
    body, at = TAKEN[0], timezone.now()
    receive(body, route="", received_at=at, delivery=Delivery("LiveTok"))
    request = SpooledRequest(
        received_at=at,
        route="",
        body=body,
        status=200,
        key="LiveTok",
        address="",
        took_ms=1.0,
        reason="fallback_allow",
        answer=ALLOWED,
    )
    Spool().append(request)

    feeder.feed()

    assert WebhookEvent.objects.filter(received_at=at).count() == 1
    assert bytes(Session.objects.get(session_id="again").answer) == ALLOWED


def test_an_answer_to_a_begin_whose_own_answer_was_lost_stands(known_livetok):
    """As when a process is killed between storing the decision and sending it: LiveTok asks again."""
    known_livetok.begin()
    with database_away():
        assert send(known_livetok, begin_body()) == (200, ALLOWED)
    feeder.feed()

    assert (bytes(the_session().answer), the_session().flags) == (ALLOWED, "fallback")
    assert send(known_livetok, begin_body()) == (200, ALLOWED)


def test_a_decision_that_livetok_must_have_had_before_the_outage_stands(known_livetok):
    known_livetok.begin()
    Session.objects.update(begin_received_at=F("begin_received_at") - RETRIED_WITHIN)
    stored = bytes(the_session().answer)
    with database_away():
        assert send(known_livetok, begin_body()) == (200, ALLOWED)
    feeder.feed()

    assert (bytes(the_session().answer), the_session().flags) == (stored, "")
    assert send(known_livetok, begin_body()) == (200, stored)


def test_the_sessions_pages_say_that_no_limit_was_judged(known_livetok):
    with database_away():
        send(known_livetok, begin_body())
    feeder.feed()
    administrator = staff("administrators")

    for page in (f"/reports/sessions/{the_session().pk}/", f"/admin/sessions_app/session/{the_session().pk}/change/"):
        text = text_of(administrator.get(page))
        assert (
            "It was answered while the database was away: limits were not judged, and the answer given stands." in text
        )
        assert "Database away: let in" in text


def test_staff_see_what_waits_and_what_was_set_aside(known_livetok):
    viewer, nobody = staff("viewers"), staff(None, "nobody")
    with database_away():
        send(known_livetok, begin_body())
    assert "still wait on disk" in text_of(viewer.get("/admin/"))
    assert "wait on disk" not in text_of(nobody.get("/admin/"))
    assert Client().get("/readyz").json() == {"status": "ok", "database": "ok", "spool": "waiting", "set_aside": 0}
    [path] = spool_files()
    path.write_bytes(b"garbled\n")
    feeder.feed()

    text = text_of(viewer.get("/admin/"))
    assert "1 of LiveTok's requests was set aside" in text
    assert "still wait on disk" not in text
    assert "set aside" not in text_of(nobody.get("/admin/"))


def test_what_is_ordinary_is_fed_at_the_cost_of_ordinary_requests(known_livetok, monkeypatch):
    """So that what waits from a long outage is soon in the database."""
    monkeypatch.setattr("sessions_app.webhook.feeding.BATCH_SECONDS", 60.0)
    now = {"timestamp": timezone.now().isoformat()}
    with database_away():
        for number in range(10):
            send(known_livetok, begin_body(sessionId=f"s{number}", **now))
            send(known_livetok, end_body(sessionId=f"s{number}", **now))

    with CaptureQueriesContext(connection) as captured:
        assert feeder.feed() == 20

    statements = [query["sql"].strip() for query in captured.captured_queries]
    ordinary = 16 if connection.vendor == "sqlite" else 4  # of a session; SQLite takes its steps one by one
    assert len(statements) < 10 * ordinary + 20
    assert sum(statement.startswith("COMMIT") for statement in statements) <= 4
    assert sum(statement.startswith('UPDATE "sessions_app_spoolplace"') for statement in statements) == 1


@pytest.mark.serial  # a begin is decided by reading within 0.4 s
@pytest.mark.only("postgresql")
def test_a_database_that_was_made_read_only_decides_and_stores_later(known_livetok):
    """As providers do with a full disk, and as it is after another server has taken over."""
    make_customer(make_tier("closed", limit("sessions", 0)), "+15550005")
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    connection.close()
    try:
        assert send(LiveTok("made up"), begin_body())[0] == 401
        status, answer = send(known_livetok, begin_body(phoneNumber="+15550005"))
        assert (status, json.loads(answer)["allowed"]) == (200, False)
        assert send(known_livetok, end_body()) == (200, b"{}")
        with pytest.raises(DatabaseError, match="read-only"):
            feeder.feed()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        connection.close()
    assert feeder.feed() == 2
    assert (the_session().reason, bytes(the_session().answer)) == ("sessions_day", answer)


@pytest.mark.only("postgresql")
def test_a_dead_connection_costs_no_fallback(known_livetok):
    connection.ensure_connection()
    connection.connection.close()

    assert known_livetok.begin()["context"]["customer_tier"] == "standard"
    assert spool_files() == []


BODIES = [
    begin_body(sessionId="a", timestamp="2024-03-15T10:00:00Z"),
    begin_body(sessionId="b", phoneNumber="+15550004", timestamp="2024-03-15T10:01:00Z"),
    end_body(sessionId="a", duration=60, timestamp="2024-03-15T10:01:00Z"),
    end_body(sessionId="a", duration=90, timestamp="2024-03-15T10:01:30Z"),
    end_body(sessionId="b", phoneNumber="+15550004", duration=30, timestamp="2024-03-15T10:02:00Z"),
]


def facts_of_sessions() -> list[tuple]:
    rows = Session.objects.exclude(session_id="before").order_by("session_id", "number")
    return [
        (row.session_id, row.number, row.allowed, row.phone_key, row.started_at, row.ended_at, row.duration_seconds)
        for row in rows
    ]


def test_any_mixture_of_spooled_and_stored_deliveries_gives_the_same_sessions_once(db):
    """Everybody is served without limits, so that every order has the same outcome."""
    make_defaults()

    @hypothesis_settings(max_examples=40)
    @examples(data=st.data())
    def mixed(data):
        again = data.draw(st.lists(st.sampled_from(range(len(BODIES))), max_size=4))
        order = data.draw(st.permutations([*range(len(BODIES)), *again]))
        spooled = data.draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
        fed_at = data.draw(st.integers(min_value=0, max_value=len(order)))
        with transaction.atomic():
            deliver(order, spooled, fed_at)
            check(order, spooled)
            transaction.set_rollback(True)

    mixed()


def deliver(order: list[int], spooled: list[bool], fed_at: int) -> None:
    """Store what comes, and what was spooled later: in its order, up from the delivery `fed_at`."""
    waiting = []
    for position, index in enumerate(order):
        received_at = moment("2024-03-15T12:00:00Z") + timedelta(seconds=position)
        given = AnswerGiven(Reason.FALLBACK_ALLOW, ALLOWED) if index < 2 and spooled[position] else None
        waiting.append((BODIES[index], received_at, given))
        if not spooled[position]:
            take(*waiting.pop())
        elif position >= fed_at:
            take(*waiting.pop(0))
    for each in waiting:
        take(*each)


def take(body, received_at, given) -> None:
    receive(json.dumps(body).encode(), route="", received_at=received_at, delivery=Delivery(), given=given)


def check(order: list[int], spooled: list[bool]) -> None:
    rows = Session.objects.order_by("session_id", "number")
    assert [(row.session_id, row.allowed, row.started_at, row.ended_at, row.duration_seconds) for row in rows] == [
        ("a", True, moment("2024-03-15T10:00:00Z"), moment("2024-03-15T10:01:30Z"), 90),
        ("b", True, moment("2024-03-15T10:01:00Z"), moment("2024-03-15T10:02:00Z"), 30),
    ]
    for index, row in enumerate(rows):
        was_spooled = any(spooled[position] for position, delivered in enumerate(order) if delivered == index)
        expected = "fallback_allow" if was_spooled else "allowed"
        assert row.reason == expected
        assert (bytes(row.answer) == ALLOWED) is (expected == "fallback_allow")
    assert_usage_is_sound()
