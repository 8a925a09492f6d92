"""Home: the first steps, then today; the frame around every page, and how little home costs."""

import os
import re
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from django.contrib.admin.utils import quote
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.templatetags.frame import entries_for
from customers.models import ApiKey
from sessions_app.models import Session, WebhookEvent
from sessions_app.sums.keeping import keep_sums
from tests.builders import limit, make_customer, make_tier, moment
from tests.following import make_destination
from tests.plans import scans
from tests.staff import report_page, staff, text_of
from tests.test_reports import denied, make_session

NOW = moment("2026-03-14T10:40:00+00:00")
WEEK_AGO = NOW - timedelta(days=7)
HOME_STATEMENTS = 41
ANSWERED = {"status": 200, "took_ms": 1}


def home(client, now=NOW):
    return report_page(client, "/admin/", now)


def steps(response):
    return {step.name: step.is_done for step in response.context["steps"]}


def test_until_the_first_begin_the_steps_are_ticked_one_by_one(livetok, viewer, settings):
    ApiKey.objects.all().delete()
    settings.WEBHOOK_SECRET = ""
    first = home(viewer)
    assert not any(steps(first).values())
    assert "http://testserver/webhooks/livetok/begin" in text_of(first)
    assert "Wrong keys" not in text_of(first)
    health = report_page(viewer, "webhook/", NOW)
    assert "Connect LiveTok" in text_of(health)
    assert 'class="silence' not in health.content.decode()
    assert viewer.get("/").headers["Location"] == "/admin/"

    settings.PUBLIC_URL = "https://frontdesk.example.com"
    settings.WEBHOOK_SECRET = livetok.secret = "a secret from outside"
    make_tier("premium", limit("call_minutes", 60))
    with time_machine.travel(NOW, tick=False):
        livetok.send({"event": "session_begin"})
    told = {name for name, is_done in steps(home(viewer)).items() if is_done}
    assert told == {"Give Frontdesk its address", "Make a key", "Tell LiveTok", "First tier with a limit"}
    assert "https://frontdesk.example.com/webhooks/livetok/end" in text_of(home(viewer))

    with time_machine.travel(NOW, tick=False):
        livetok.begin()
    with_begin = viewer.get("/admin/?fragment=steps")
    assert "LiveTok reaches Frontdesk." in text_of(with_begin)
    assert [name for name, is_done in steps(with_begin).items() if not is_done] == ["First end"]
    after = home(viewer)
    assert "Connect LiveTok" not in text_of(after)
    assert "no end has come" not in text_of(after)  # that call may still go on
    assert 'class="silence' in report_page(viewer, "webhook/", NOW).content.decode()


@pytest.fixture
def traffic(livetok):
    """Some sessions of today and of the same weekday a week ago, earlier and later than it is now."""
    for _ in range(3):
        make_session(NOW - timedelta(minutes=30), seconds=120)
    make_session(WEEK_AGO - timedelta(minutes=30), seconds=120)
    make_session(WEEK_AGO + timedelta(minutes=30), seconds=6000)
    denied(NOW - timedelta(minutes=5), reason="customer_paused")
    denied(NOW - timedelta(minutes=5))
    denied(NOW - timedelta(minutes=5))
    make_session(NOW - timedelta(days=2), seconds=None, missing_from=NOW - timedelta(days=1))
    make_session(NOW - timedelta(minutes=1), seconds=None)


def test_today_stands_beside_the_same_time_last_week(traffic, viewer):
    response = home(viewer)
    figures = {figure.label: (figure.value, figure.change, figure.note) for figure in response.context["today"].figures}

    assert figures["Sessions"] == ("7", "+600.0 %", "1 a week ago")
    assert figures["Minutes"] == ("6", "+200.0 %", "2 a week ago")
    assert figures["Denied"] == ("3", "new", "0 a week ago")
    assert figures["Open now"] == ("1", "", "")
    assert [(line.name, line.sessions) for line in response.context["today"].reasons] == [
        ("Call minutes of the day", 2),
        ("Customer paused", 1),
    ]
    reach = {figure.label: figure.value for figure in response.context["reach"]}
    assert (reach["Last begin"], reach["Last end"]) == ("1 min ago", "28 min ago")


def test_in_the_first_week_nothing_is_new(viewer):
    make_session(WEEK_AGO + timedelta(hours=1), seconds=120)
    denied(NOW - timedelta(minutes=5))

    figures = home(viewer).context["today"].figures

    assert {(figure.change, figure.change_kind, figure.note) for figure in figures} == {("", "", "")}


def test_viewers_are_told_how_many_keys_expire_and_not_which(traffic, viewer):
    ApiKey.objects.create(name="CRM", scopes=["webhook"], expires_at=NOW + timedelta(days=3), secret_sha256="x")
    told = "Keys that expire: 1 within 30 days."
    for path in ("/admin/", "/reports/health/"):
        assert "CRM" not in text_of(report_page(viewer, path, NOW)), path
    assert told in text_of(home(viewer))
    assert "Keys that expire: 1 within 30 days: CRM" in text_of(home(staff("administrators", "boss")))


def test_home_tells_what_people_changed_and_not_a_nightly_sync(traffic, viewer):
    customer = make_customer(make_tier("gold"), name="Ada")
    with time_machine.travel(NOW - timedelta(hours=1), tick=False):
        customer.status, customer._history_user = "paused", viewer.user
        customer.save()
        customer._history_user = None
        for number in range(70):
            customer.name, customer._change_reason = f"Ada {number}", "API key CRM"
            customer.save()

    assert [change.entry.who for change in home(viewer).context["changes"]] == ["ana"]


def test_what_needs_a_hand_leads_to_it_and_all_that_is_well_says_so(traffic, viewer, settings, tmp_path):
    rejected = {"verdict": "rejected", **ANSWERED}
    for ago, again in ((1, None), (1, NOW), (72, None)):
        received_at = NOW - timedelta(hours=ago)
        WebhookEvent.objects.create(received_at=received_at, processed_again_at=again, **rejected)
    settings.BACKUP_DIR = tmp_path
    (tmp_path / "frontdesk.sqlite3").touch()
    three_days_ago = (NOW - timedelta(days=3)).timestamp()
    os.utime(tmp_path / "frontdesk.sqlite3", (three_days_ago, three_days_ago))
    needs = home(viewer).context["needs"]
    assert [need.words for need in needs][:2] == [
        "1 session of the last 7 days misses its end.",
        "1 of LiveTok's requests since yesterday was rejected.",
    ]
    assert (needs[2].words[:7], needs[2].kind) == ("Backup:", "bad")
    with time_machine.travel(NOW, tick=False):
        assert viewer.get(needs[0].address).context["total"].sessions == 1
        assert viewer.get(needs[1].address).context["cl"].result_count == 1

    Session.objects.filter(missing_from__lt=NOW).delete()
    WebhookEvent.objects.all().delete()
    settings.BACKUP_DIR = None
    assert "Nothing here." in text_of(home(viewer))


def test_a_flood_neither_hides_what_was_heard_nor_what_was_rejected(livetok, viewer, monkeypatch):
    monkeypatch.setattr("sessions_app.reports.webhook.channels.NEWEST_HEARD", 1)
    make_session(NOW - timedelta(hours=2), seconds=60)
    make_session(NOW - timedelta(days=2), seconds=None, missing_from=NOW - timedelta(days=1))
    denied(NOW - timedelta(minutes=5))
    WebhookEvent.objects.create(received_at=NOW - timedelta(hours=1), verdict="rejected", **ANSWERED)
    monkeypatch.setattr("config.home.needs.MOST_REJECTED", 1)
    for _ in range(3):
        WebhookEvent.objects.create(received_at=NOW, verdict="ignored", **ANSWERED)
    text = text_of(home(viewer))
    assert "no end has come" not in text
    assert "1 of LiveTok's requests since yesterday was rejected." in text

    # Ends come without begins, as where the Begin Session URL was lost.
    with time_machine.travel(NOW, tick=False):
        livetok.end(sessionId="lost", duration=60, timestamp=NOW.isoformat())
    assert "steps" not in home(viewer).context

    Session.objects.filter(end_received_at__isnull=False).delete()
    WebhookEvent.objects.all().delete()
    assert "Begins come, and no end has come in the last 7 days." in text_of(home(viewer))


def statements_of_home(client):
    # At once: the next request forgets them.
    with CaptureQueriesContext(connection) as found:
        response = home(client)
    return [query["sql"] for query in found.captured_queries], response


def test_home_costs_the_same_however_much_is_stored_and_scans_nothing(traffic, settings):
    boss = staff("administrators")
    tier = make_tier("premium", limit("call_minutes", 60))
    make_destination(name="The CRM", paused_at=NOW, paused_because="x")
    for number in range(5):
        customer = make_customer(tier, f"+1555000{number:04}", name=f"Customer {number}")
        customer.status, customer._history_user = "paused", boss.user
        customer.save()
    with time_machine.travel(NOW, tick=False):
        keep_sums()
    home(boss)
    few, _ = statements_of_home(boss)
    for number in range(200):
        received_at = NOW - timedelta(minutes=number)
        make_session(received_at, phone_key=f"+1555{number:04}")
        WebhookEvent.objects.create(received_at=received_at, event="session_begin", verdict="accepted", **ANSWERED)
    many, response = statements_of_home(boss)

    assert len(response.context["changes"]) == 5
    assert max(len(many), len(few)) <= HOME_STATEMENTS
    assert len(many) <= len(few)
    with transaction.atomic():
        assert scans(many) == []
        assert scans([f"SELECT * FROM {Session._meta.db_table} WHERE facts IS NULL"]) != []


def test_the_navigation_has_what_each_person_may_see(db):
    def names(group):
        return [entry.name for entry in entries_for(staff(group, f"of {group}").user, "")]

    everything = ["Home", "Live", "Try", "Sessions", "Customers", "Tiers", "Statements", "Health", "Settings"]
    assert names(None) == ["Home"]
    assert names("viewers") == names("administrators") == everything


def test_the_admins_page_of_an_object_leads_to_its_reports_and_a_session_leads_back(livetok):
    make_customer(make_tier("premium"))
    livetok.begin(agentId="7/x", kind="web-chat")
    session = Session.objects.get()
    ana, objects = staff("administrators"), [session.tier, session.channel, session.agent, session]
    pages = {row: f"/admin/{row._meta.app_label}/{row._meta.model_name}/{quote(row.pk)}/change/" for row in objects}
    reports = [
        ["/reports/customers/?tier=premium", "/reports/sessions/?tier=premium"],
        ["/reports/sessions/?channel=web-chat"],
        ["/reports/sessions/?agent=7%2Fx"],
        [f"/reports/sessions/{session.pk}/"],
    ]

    for row, addresses in zip(objects, reports, strict=True):
        page = ana.get(pages[row]).content.decode()
        (tools,) = re.findall(r'<ul class="object-tools">(.*?)</ul>', page, re.DOTALL)
        assert [address for address in re.findall(r'href="([^"]+)"', tools) if "reports" in address] == addresses
        assert {ana.get(address).status_code for address in addresses} == {200}
    # An agent's name leads to the agent's page of reports, and that leads on.
    back = ana.get(f"/reports/sessions/{session.pk}/").content.decode()
    (of_agent,) = re.findall(r'href="(/reports/\?agent=[^"]+)"', back)
    back += ana.get(unescape(of_agent)).content.decode()
    assert [page for page in pages.values() if f'href="{page}"' not in back] == []


@pytest.mark.parametrize(
    ("path", "current", "is_page"),
    [
        ("/admin/", "Home", True),
        ("/reports/", "Home", False),
        ("/reports/changes/", "Home", False),
        ("/reports/live/", "Live", True),
        ("/reports/try/", "Try", True),
        ("/reports/customers/top/", "Customers", False),
        ("/admin/customers/customer/", "Customers", False),
        ("/admin/customers/tier/", "Tiers", True),
        ("/admin/sessions_app/webhookevent/", "Health", False),
        ("/reports/health/", "Health", False),
        ("/admin/customers/policy/1/change/", "Settings", False),
        ("/admin/automations/", "Settings", False),
        ("/admin/nothing/", None, False),
        ("/reports/sessions/123456/", None, False),
        ("/admin/customers/apikey/", None, False),
    ],
)
def test_every_page_says_where_it_is_in_one_navigation(viewer, path, current, is_page):
    page = viewer.get(path).content.decode()

    (navigation,) = re.findall(r'<nav class="places" aria-label="Main">(.*?)</nav>', page, re.DOTALL)
    found = re.findall(r'aria-current="(\w+)">(\w+)<', navigation)
    assert found == ([] if current is None else [("page" if is_page else "true", current)])
    assert "Sign out" in page


def test_a_strangers_error_shows_nothing_of_the_frame(db):
    page = Client().get("/nothing/")

    assert page.status_code == 404
    assert "<nav" not in page.content.decode()
    assert "Sign out" not in text_of(page)
