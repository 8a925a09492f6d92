"""`manage.py doctor` and its page: each check finds what it is for, and says what to do."""

import json
import os
import re
import shutil
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from automations.deliveries import copies
from automations.models import Delivery, Installation
from config import disk
from config.backups.places import working_on
from config.doctor import checks
from config.doctor.checks import examine
from config.doctor.findings import Finding, worst_of
from customers.keys import create_key
from customers.models import ApiKey
from sessions_app.livetok.payloads import PLAYED, unknown_fields
from sessions_app.models import Node, Session, WebhookEvent
from sessions_app.recording import clock
from sessions_app.spool.files import ENDING, set_aside_folder
from tests.builders import payload
from tests.following import add_secret, make_destination
from tests.outages import database_away
from tests.pooling import pooler
from tests.staff import staff, text_of
from tests.test_spool import largest_file

pytestmark = pytest.mark.django_db

GB = 1_000_000_000


def said_now() -> str:
    return timezone.now().isoformat()


@pytest.fixture
def livetok_of_a_well_one(livetok, settings, tmp_path, monkeypatch):
    """LiveTok, before an installation where nothing is wrong."""
    settings.DATA_DIR = tmp_path
    settings.PUBLIC_URL, settings.IS_HTTPS = "https://frontdesk.example.com", True
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.BACKUP_DIR = tmp_path / "backups"
    settings.BACKUP_DIR.mkdir()
    (settings.BACKUP_DIR / "frontdesk-1.sqlite3").write_bytes(b"x")
    monkeypatch.setattr(disk, "LOOK_EVERY_SECONDS", 0)
    free(monkeypatch, 50 * GB)
    clock.Clock().may_be_believed()
    livetok.begin(sessionId="well", kind="web", timestamp=said_now())
    livetok.end(sessionId="well", kind="web", timestamp=said_now())
    return livetok


def free(monkeypatch, amount):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(total=100 * GB, free=amount))


def found(check: str) -> Finding:
    (finding,) = [finding for finding in examine() if finding.check == check]
    assert bool(finding.remedy) == (finding.state != "ok")
    return finding


def state(check: str) -> str:
    return found(check).state


def test_where_all_is_well_every_line_is_ok(livetok_of_a_well_one):
    findings = examine()

    assert [finding for finding in findings if finding.state != "ok"] == []
    assert worst_of(findings) == "ok"
    assert {"https", "migrations", "worker", "LiveTok", "channel web", "missing ends", "clock", "backup"} < {
        finding.check for finding in findings
    }
    assert len(findings) == len({finding.check for finding in findings})


@pytest.mark.parametrize(
    ("address", "is_https", "expected"),
    [
        ("", False, "look"),
        ("http://frontdesk.example.com", False, "bad"),
        ("https://frontdesk.example.com", True, "ok"),
    ],
)
def test_https(livetok_of_a_well_one, settings, address, is_https, expected):
    settings.PUBLIC_URL, settings.IS_HTTPS = address, is_https

    assert state("https") == expected


def test_missing_migrations_and_those_of_a_newer_version_are_named(livetok_of_a_well_one):
    first = "0001_first_squashed_0009_tier_price"
    MigrationRecorder.Migration.objects.filter(app="customers", name=first).delete()
    try:
        finding = found("migrations")
    finally:
        MigrationRecorder.Migration.objects.create(app="customers", name=first, applied=timezone.now())

    assert (finding.state, f"customers.{first}" in finding.found) == ("bad", True)
    MigrationRecorder.Migration.objects.create(app="customers", name="9999_later", applied=timezone.now())
    try:
        finding = found("migrations")
    finally:
        MigrationRecorder.Migration.objects.filter(name="9999_later").delete()
    assert (finding.state, "newer version of Frontdesk: customers.9999_later" in finding.found) == ("bad", True)


def test_a_worker_that_was_not_seen_for_three_minutes(livetok_of_a_well_one, settings):
    (settings.DATA_DIR / "clock").unlink()
    assert found("worker").found == "None has been seen."
    node = Node(id=uuid4(), hostname="other", started_at=timezone.now())
    for seconds, expected in ((170, "ok"), (190, "bad")):
        node.beat_at = timezone.now() - timedelta(seconds=seconds)
        node.save()
        assert state("worker") == expected


def test_a_channel_whose_ends_do_not_come(livetok_of_a_well_one):
    livetok_of_a_well_one.begin(sessionId="1", kind="sms", timestamp=said_now())
    assert state("channel sms") == "ok", "it may go on"
    Session.objects.filter(session_id="1").update(missing_from=timezone.now() - timedelta(minutes=1))

    finding = found("channel sms")
    assert (finding.state, finding.found.endswith("Last end: none.")) == ("look", True)
    assert "end URL" in finding.remedy


def test_a_livetok_that_never_came_and_one_that_is_silent(livetok_of_a_well_one, monkeypatch):
    Session.objects.all().delete()
    WebhookEvent.objects.all().delete()
    assert found("LiveTok").found == "No request has come yet."
    now = timezone.now()
    # Ten every hour in the same hours of past weeks, and nothing for an hour now.
    for week in range(1, 5):
        for minute in range(-120, 120, 6):
            at = now - timedelta(weeks=week) + timedelta(minutes=minute)
            WebhookEvent.objects.create(received_at=at, verdict="ignored", status=200, took_ms=1)
    WebhookEvent.objects.create(received_at=now - timedelta(hours=1), verdict="ignored", status=200, took_ms=1)

    assert state("LiveTok") == "bad"
    # Many an hour, and some minutes since the last.
    WebhookEvent.objects.create(received_at=now - timedelta(minutes=4), verdict="ignored", status=200, took_ms=1)
    assert state("LiveTok") == "ok"
    monkeypatch.setattr("sessions_app.reports.webhook.silence.EXPECTED_FOR_ALARM", 0.1)
    assert state("LiveTok") == "look"


@pytest.mark.parametrize(("missing", "expected"), [(0, "ok"), (1, "look"), (15, "bad")])
def test_the_share_of_missing_ends(livetok_of_a_well_one, missing, expected):
    started = timezone.now() - timedelta(days=2)
    for number in range(30):
        times = {"missing_from": started + timedelta(hours=4), "open_until": started + timedelta(hours=4)}
        ended = {"end_received_at": started, "ended_at": started} if number >= missing else {}
        Session.objects.create(
            session_id=f"s{number}", started_at=started, begin_received_at=started, allowed=True, reason="allowed",
            time_zone="UTC", **times, **ended,
        )  # fmt: skip

    finding = found("missing ends")
    assert (finding.state, finding.found.split(" (")[0]) == (
        expected,
        f"{missing} of the newest 30 sessions that are a day old",
    )


@pytest.mark.parametrize(("seconds", "expected"), [(0, "ok"), (6, "look"), (-6, "look"), (90, "bad"), (9e7, "bad")])
def test_the_clock_is_compared_with_livetoks(livetok_of_a_well_one, seconds, expected):
    Session.objects.update(begin_stated_at=F("begin_received_at") - timedelta(seconds=seconds))
    # As `manage.py livetok session` makes one: it says nothing of LiveTok's clock.
    livetok_of_a_well_one.begin(
        sessionId=f"{PLAYED}1", kind="web", timestamp=(timezone.now() - timedelta(minutes=5)).isoformat()
    )
    finding = found("clock")

    assert finding.state == expected
    assert ("behind" if seconds < 0 else "ahead of") in finding.found or seconds == 0


def test_a_clock_that_has_leapt(livetok_of_a_well_one, settings):
    (settings.DATA_DIR / "clock").write_text((timezone.now() - timedelta(days=30)).isoformat())

    assert (state("clock"), "has leapt" in found("clock").found) == ("bad", True)


def test_unknown_fields_are_named_with_how_often_they_came(livetok_of_a_well_one):
    for number in range(2):
        livetok_of_a_well_one.begin(sessionId=str(number), kind="web", mood="good", timestamp=said_now())

    assert (state("unknown fields"), "mood (2)" in found("unknown fields").found) == ("look", True)


@pytest.mark.parametrize("name", ["session_begin", "session_end", "envelope_begin", "envelope_end"])
def test_livetoks_own_samples_have_no_unknown_field(name):
    assert unknown_fields(payload(name)) == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"event": "x", "mood": 1, "data": {"mood": 1, "customer": {"vip": true, "id": 1}}}',
         ["mood", "data.mood", "data.customer.vip"]),
        (b'{"data": [1], "a\\u0000b": 1}', ["ab"]),
        (b'{"' + b"x" * 300 + b'": 1}', ["x" * 64]),
        (b"[1]", []), (b"no JSON", []), (b"", []),
    ],
)  # fmt: skip
def test_fields_are_unknown_by_their_path(body, fields):
    assert unknown_fields(body) == fields


@pytest.mark.django_db(transaction=True)
def test_what_waits_on_disk_and_what_was_set_aside(livetok_of_a_well_one):
    with database_away():
        livetok_of_a_well_one.begin(sessionId="1")
    assert state("spool") == "look"
    set_aside_folder().mkdir()
    (set_aside_folder() / f"1{ENDING}").write_bytes(b"x")

    assert (state("spool"), "set aside" in found("spool").remedy) == ("bad", True)


def test_a_disk_that_takes_nothing_and_one_that_is_nearly_full(livetok_of_a_well_one, monkeypatch):
    with largest_file(4096):
        assert state("disk: writing") == "bad"
    for amount, expected in ((10 * GB, "ok"), (4 * GB, "look"), (GB / 4, "bad")):
        free(monkeypatch, amount)
        assert state("disk: data") == expected


def test_the_backups_age_is_that_of_the_newest_whole_file(livetok_of_a_well_one, settings):
    (newest,) = settings.BACKUP_DIR.iterdir()
    for name in ("frontdesk-2.sqlite3.part", ".hidden"):
        (settings.BACKUP_DIR / name).write_bytes(b"x")
    for hours, expected in ((25, "ok"), (27, "look"), (51, "bad")):
        at = timezone.now().timestamp() - hours * 3600
        os.utime(newest, (at, at))
        assert state("backup") == expected
    newest.unlink()
    assert (state("backup"), found("backup").found.endswith("holds none.")) == ("bad", True)
    settings.BACKUP_DIR = settings.BACKUP_DIR / "gone"
    assert (state("backup"), "cannot be read" in found("backup").found) == ("bad", True)
    settings.BACKUP_DIR = None
    assert state("backup") == "look"


def test_keys_that_expire_within_a_month_are_named_and_one_for_livetok_is_missed(livetok_of_a_well_one, settings):
    now = timezone.now()
    create_key("The CRM", ["read"], expires_at=now + timedelta(days=29))
    create_key("Later", ["read"], expires_at=now + timedelta(days=31))
    create_key("Past", ["read"], expires_at=now - timedelta(days=1))
    finding = found("keys that expire")
    assert (finding.state, finding.found.split(" (")[0]) == ("look", "1 within 30 days: The CRM")

    ApiKey.objects.filter(name="LiveTok").update(revoked_at=now)
    assert state("webhook key") == "bad"
    settings.WEBHOOK_SECRET = "a secret of the environment"
    assert state("webhook key") == "ok"


def test_encryption_keys_deliveries_and_mail(livetok_of_a_well_one, settings):
    destination = make_destination(name="The CRM")
    add_secret(destination, "token", "x")
    assert state("encryption keys") == "ok"
    (settings.DATA_DIR / "encryption_key").unlink()
    assert (state("encryption keys"), "The CRM" in found("encryption keys").found) == ("bad", True)

    long_ago = timezone.now() - timedelta(hours=2)
    Delivery.objects.create(destination=destination, body=b"", created_at=long_ago, next_attempt_at=long_ago)
    assert state("deliveries") == "bad"
    destination.paused_at = timezone.now()
    destination.save()
    assert (state("deliveries"), found("deliveries").found) == ("look", "Paused destinations: The CRM.")
    copies.confirm_this_one()
    Installation.objects.update(identity="another one")
    assert "looks like a copy" in found("deliveries").found

    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert state("e-mail") == "look"


def doctor(*arguments: str) -> tuple[int, str]:
    """The exit code, and what it says."""
    out = StringIO()
    try:
        call_command("doctor", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code), out.getvalue()
    return 0, out.getvalue()


def test_the_command_says_each_line_and_its_exit_code_the_worst(livetok_of_a_well_one, settings):
    code, text = doctor()
    assert (code, text.count("\nok "), "->" in text) == (0, len(text.splitlines()) - 1, False)
    settings.BACKUP_DIR = None
    code, text = doctor()
    assert code == 1
    assert "look  backup" in text
    assert "-> Make one each night: set BACKUP_DIR" in text
    settings.IS_HTTPS = False
    assert doctor()[0] == 2


def test_json_is_for_monitoring(livetok_of_a_well_one, settings):
    settings.BACKUP_DIR = None
    code, text = doctor("--json")
    said = json.loads(text)

    assert (code, said["state"]) == (1, "look")
    assert {"check": "webhook key", "state": "ok", "found": "1 valid.", "remedy": ""} in said["findings"]
    assert set(said["findings"][0]) == {"check", "state", "found", "remedy"}


@pytest.mark.django_db(transaction=True)
def test_without_a_database_the_other_checks_go_on(livetok_of_a_well_one):
    with database_away():
        code, text = doctor()

    assert code == 2
    assert "bad   migrations" in text
    assert "The database does not answer" in text
    assert text.count("does not answer") == 1  # said once: each would wait for it again
    assert "ok    https" in text
    assert "disk: data" in text
    assert re.search("^bad   not looked at +pooler, standby, replica, worker, ", text, re.MULTILINE)


def test_before_setup_it_says_so_once(empty_database):
    code, text = doctor()

    assert code == 2
    assert "does not answer" not in text
    assert re.search("^bad   not looked at +worker, ", text, re.MULTILINE)
    assert text.count("Run manage.py setup") == 2


def test_a_check_that_fails_is_told_of_and_keeps_no_other_from_being_made(livetok_of_a_well_one, monkeypatch):
    def check_luck():
        raise RuntimeError("broken")

    monkeypatch.setattr(checks, "CHECKS", (check_luck, *checks.CHECKS))
    first, second, *_ = examine()

    assert (first.check, first.state, first.found) == ("luck", "bad", "It could not be looked at.")
    assert (second.check, second.state) == ("https", "ok")


def test_the_page_says_the_same_to_whoever_may_see_sessions(livetok_of_a_well_one, settings, viewer):
    settings.BACKUP_DIR = None
    page = viewer.get("/reports/health/")
    text = text_of(page)

    assert page.status_code == 200
    assert "Something should be looked at." in text
    assert "look backup Frontdesk knows of none. Make one each night: set BACKUP_DIR" in text
    assert "ok worker" in text
    assert 'href="/reports/health/"' in viewer.get("/reports/webhook/").content.decode()
    assert staff(None, "bob").get("/reports/health/").status_code == 403


def test_all_checks_together_ask_a_bounded_number_of_questions(livetok_of_a_well_one):
    with CaptureQueriesContext(connection) as queries:
        examine()

    assert len(queries) <= 40


@pytest.mark.only("postgresql")
@pytest.mark.django_db(transaction=True)
def test_a_pooler_and_the_setting_that_names_it_go_together(settings):
    own = connection.settings_dict
    assert state("pooler") == "ok"
    with pooler(own["HOST"], int(own["PORT"])) as port, working_on({"HOST": "127.0.0.1", "PORT": port}):
        assert state("pooler") == "bad"
        settings.DATABASE_POOLER = "transaction"
        assert state("pooler") == "ok"
    assert state("pooler") == "look"
