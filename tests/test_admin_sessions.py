"""Sessions, usage and LiveTok's requests in the admin: looked at, never edited."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from customers.search.keeping import NewCallers
from sessions_app.models import LONG_FIELDS, DailyUsage, RefusedRequests, Session, WebhookEvent
from tests.builders import limit, make_customer, make_override, make_tier
from tests.staff import staff, text_of

SESSIONS = "/admin/sessions_app/session/"
EVENTS = "/admin/sessions_app/webhookevent/"
USAGE = "/admin/sessions_app/dailyusage/"
REFUSED = "/admin/sessions_app/refusedrequests/"


@pytest.fixture
def boss(db):
    return staff("administrators")


@pytest.fixture
def ana(db):
    return staff("viewers", sees_numbers=True)


def page_of(session: Session) -> str:
    return f"{SESSIONS}{session.pk}/change/"


def test_a_sessions_page_shows_its_decision_and_the_answer(ana, livetok):
    customer = make_customer(make_tier("premium", limit("call_minutes", 60), limit("sessions", 0)))
    make_override(customer, limit("sessions", 5))
    livetok.begin()

    text = text_of(ana.get(page_of(Session.objects.get())))

    assert "Allowed. Every rule passed." in text
    assert "Rule Limit From Used Left Outcome Emergency switch" in text
    assert "Sessions of the day 5 customer's override, hard 0 5 Passed" in text
    assert "Call minutes of the day 60 min tier, hard 0 min 60 min Passed" in text
    assert '"dailyCallMinutes": 60' in text


def test_a_denied_session_says_which_rule_was_the_reason(ana, livetok):
    make_customer(make_tier("premium", limit("call_minutes", 0), limit("sessions", 0)), status="paused")
    livetok.begin()

    text = text_of(ana.get(page_of(Session.objects.get())))

    assert "Customer paused. The customer was paused." in text
    assert "Customer is not paused – – – – Failed: the reason" in text
    assert "Call minutes of the day 0 min tier, hard 0 min 0 min Failed too" in text


def test_what_is_odd_is_said_in_words_and_corrections_are_shown(ana, livetok):
    livetok.end(sessionId="9", duration=100)
    livetok.end(sessionId="9", duration=200)

    text = text_of(ana.get(page_of(Session.objects.get())))

    assert "Its end came, its begin has not" in text
    assert "Ends that differ came for it" in text
    assert "1 min 40 s" in text
    assert "3 min 20 s" in text
    assert "LiveTok never asked" in text


def test_raw_bodies_need_their_permission(ana, livetok):
    livetok.begin(metadata="only in the body")
    livetok.end(duration=10, metadata="only in an end that does not count")
    livetok.end(duration=20)
    session, event = Session.objects.get(), WebhookEvent.objects.first()
    for path in (page_of(session), f"{EVENTS}{event.pk}/change/"):
        assert "only in" not in text_of(ana.get(path))
        assert "You may not see raw bodies" in text_of(ana.get(path))

    ana.user.user_permissions.add(
        Permission.objects.get(codename="view_bodies", content_type__app_label="sessions_app")
    )

    for path in (page_of(session), f"{EVENTS}{event.pk}/change/"):
        assert "only in the body" in text_of(ana.get(path))
    assert "only in an end that does not count" in text_of(ana.get(page_of(session)))


def test_a_body_that_is_no_text_is_shown_as_it_came(boss, livetok):
    livetok.send(b'{"event": "\xff\x00 <b>"')

    page = boss.get(f"{EVENTS}{WebhookEvent.objects.get().pk}/change/")

    assert r"\xff" in text_of(page)
    assert "&lt;b&gt;" in page.content.decode()


@pytest.mark.parametrize("path", [SESSIONS, EVENTS, USAGE, REFUSED])
def test_nothing_is_added_changed_or_deleted(boss, livetok, path):
    livetok.begin()
    livetok.end(duration=60)
    RefusedRequests.objects.create(hour=timezone.now(), last_at=timezone.now())
    row = boss.get(path).context["cl"].result_list[0]
    url = str(row.pk).replace(":", "_3A").replace("+", "_2B").replace("-", "_2D")

    assert boss.get(f"{path}add/").status_code == 403
    if path != REFUSED:
        assert boss.get(f"{path}{url}/change/").status_code == 200
        assert boss.post(f"{path}{url}/change/", {"reason": "x"}).status_code == 403
        assert boss.post(f"{path}{url}/delete/", {"post": "yes"}).status_code == 403
    boss.post(path, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert type(row).objects.filter(pk=row.pk).exists()


def test_sessions_are_found_by_whole_ids_words_and_numbers_in_any_spelling(ana, livetok):
    make_customer(make_tier(), "+442079460958", external_id="crm-1", name="Зоя Ångström")
    NewCallers().run()
    livetok.begin(sessionId="s-1", phoneNumber="+442079460958")
    livetok.begin(sessionId="s-2", phoneNumber="+15550001111")

    def found(term):
        return [session.session_id for session in ana.get(SESSIONS, {"q": term}).context["cl"].result_list]

    assert found("s-1") == found("0044 20 7946 0958") == found("crm-1") == ["s-1"]
    assert found("0958") == found("angstrom зоя") == ["s-1"]
    assert found("s-") == []


def test_sessions_are_filtered_by_state_and_decision(ana, livetok):
    make_customer(make_tier(), "+15550001111", status="blocked")
    now = timezone.now()
    livetok.begin(sessionId="open", timestamp=now.isoformat())
    livetok.begin(sessionId="ended", timestamp=now.isoformat())
    livetok.end(sessionId="ended", duration=60, timestamp=now.isoformat())
    livetok.begin(sessionId="denied", phoneNumber="+15550001111")

    def listed(**filters):
        return {session.session_id for session in ana.get(SESSIONS, filters).context["cl"].result_list}

    assert listed(state="open") == {"open"}
    assert listed(state="ended") == {"ended"}
    assert listed(state="denied") == listed(reason="customer_blocked") == {"denied"}
    assert listed(state="missing_end") == set()
    assert len(listed()) == 3


def test_administrators_declare_an_end_missing(boss, livetok):
    livetok.begin(timestamp=timezone.now().isoformat())
    session = Session.objects.get()

    text = text_of(
        boss.post(SESSIONS, {"action": "declare_end_missing", "_selected_action": [session.pk]}, follow=True)
    )

    session.refresh_from_db()
    assert session.state_at(timezone.now()) == "missing_end"
    assert session.declared_missing_by == boss.user
    assert "1 session declared to miss the end" in text
    assert "By ana" in text_of(boss.get(page_of(session)))


def test_only_open_sessions_are_declared(boss, livetok):
    livetok.begin()
    livetok.end(duration=60)

    text = text_of(
        boss.post(
            SESSIONS, {"action": "declare_end_missing", "_selected_action": [Session.objects.get().pk]}, follow=True
        )
    )

    assert "1 session not open, so left as before" in text
    assert Session.objects.get().declared_missing_at is None


def test_viewers_declare_nothing(ana, livetok):
    livetok.begin(timestamp=timezone.now().isoformat())

    ana.post(SESSIONS, {"action": "declare_end_missing", "_selected_action": [Session.objects.get().pk]})

    assert Session.objects.get().declared_missing_at is None


def test_a_rejected_event_is_processed_again(boss, livetok):
    livetok.send({"event": "session_begin"})
    livetok.begin(sessionId="fine")
    rejected = WebhookEvent.objects.get(verdict="rejected")
    rejected.body = b'{"event": "session_begin", "sessionId": "mended"}'
    rejected.save()
    accepted = WebhookEvent.objects.get(verdict="accepted")

    text = text_of(
        boss.post(
            EVENTS,
            {"action": "process_events_again", "_selected_action": [rejected.pk, accepted.pk]},
            follow=True,
        )
    )

    assert Session.objects.filter(session_id="mended").exists()
    assert "1 event processed." in text
    assert "1 event left alone" in text
    rejected.refresh_from_db()
    assert rejected.processed_again_at is not None


def test_an_event_rejected_again_says_why(boss, livetok):
    livetok.send({"event": "session_begin"})
    rejected = WebhookEvent.objects.get()

    text = text_of(
        boss.post(EVENTS, {"action": "process_events_again", "_selected_action": [rejected.pk]}, follow=True)
    )

    assert "1 event rejected again: sessionId:" in text


def test_viewers_process_nothing_again(ana, livetok):
    livetok.send({"event": "session_begin"})

    ana.post(EVENTS, {"action": "process_events_again", "_selected_action": [WebhookEvent.objects.get().pk]})

    assert WebhookEvent.objects.get().processed_again_at is None


def test_the_overview_warns_of_knocks_with_a_wrong_key(ana):
    assert "wrong key" not in text_of(ana.get("/admin/"))
    now = timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    RefusedRequests.objects.create(hour=hour, count=3, last_address="203.0.113.9", last_at=now)
    RefusedRequests.objects.create(
        hour=hour - timedelta(days=1), count=40, last_address="203.0.113.1", last_at=now - timedelta(days=1)
    )

    text = text_of(ana.get("/admin/"))

    assert "LiveTok, or a script, sends a wrong key: 3 times in the last hour , last from 203.0.113.9" in text
    assert "wrong key" not in text_of(staff(None, "nobody").get("/admin/"))


def test_daily_usage_is_listed_in_hours_and_minutes(ana, livetok):
    customer = make_customer(make_tier(), external_id="crm-1")
    NewCallers().run()
    livetok.begin()
    livetok.end(duration=3700)

    assert "Ada" in text_of(ana.get(USAGE, {"q": "crm-1"}))
    assert "1 h 1 min 40 s" in text_of(ana.get(USAGE, {"q": "+1 234 567 890"}))
    assert DailyUsage.objects.get().customer == customer


@pytest.mark.parametrize("path", [SESSIONS, EVENTS, USAGE])
def test_the_lists_queries_do_not_grow_with_their_rows(ana, livetok, path):
    def play(numbers):
        for number in numbers:
            caller = f"+1555000{number:04}"
            livetok.begin(sessionId=str(number), phoneNumber=caller, agentId=number, kind=f"channel-{number}")
            livetok.end(sessionId=str(number), phoneNumber=caller, duration=60)

    def queries():
        ana.get(path)
        with CaptureQueriesContext(connection) as captured:
            assert ana.get(path).status_code == 200
        return captured

    play(range(2))
    few = len(queries())
    play(range(2, 12))
    many = queries()

    assert len(many) == few <= 14
    long = [Session._meta.get_field(name).column for name in LONG_FIELDS]
    assert not any(f'"{column}"' in query["sql"] for query in many for column in (*long, "body"))


def test_lists_count_no_further_than_their_pages_go(ana, livetok):
    livetok.begin()
    ana.get(SESSIONS)
    with CaptureQueriesContext(connection) as captured:
        ana.get(SESSIONS)

    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"] and "sessions_app_session" in query["sql"]]
    assert counts
    assert all("LIMIT 10000" in sql for sql in counts)
