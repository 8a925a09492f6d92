"""The report page of sessions: filters, figures, paging, one session's page, and who may see them."""

import csv
import io
import itertools
import re
from datetime import timedelta

import hypothesis
import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from customers.models import Agent, Tier
from customers.search.keeping import NewCallers
from sessions_app.decision.rules import Reason
from sessions_app.models import Session
from sessions_app.reports.list.cursors import Cursor
from sessions_app.reports.list.filters import FILTERS, SessionFilters
from sessions_app.reports.urls import urlpatterns
from sessions_app.sums.keeping import keep_sums
from sessions_app.wording import (
    REASON_SENTENCES,
    REASONS,
    decided_words,
    duration_words,
    flag_sentence,
    left_number,
    reason_words,
    trace_words,
    used_number,
)
from tests.builders import NUMBER, limit, make_channel, make_customer, make_livetok, make_tier, moment, set_policy

NOW = moment("2024-03-15T12:00:00+00:00")
LIST_STATEMENTS = 18
SESSION_STATEMENTS = 10

numbers = itertools.count(1)


@pytest.fixture
def staff(db):
    return staff_client("view_session", "view_numbers")


def staff_client(*codenames):
    user = User.objects.create_user(f"staff{next(numbers)}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def make_session(started_at, **fields):
    """A session as it is recorded: allowed and ended after a minute, unless changed."""
    session = bare_session(started_at, **fields)
    session.save()
    return session


def bare_session(started_at, **fields):
    seconds = fields.pop("seconds", 60)
    values = {
        "session_id": f"s{next(numbers)}",
        "started_at": started_at,
        "begin_received_at": started_at,
        "begin_stated_at": started_at,
        "allowed": True,
        "reason": "allowed",
        "time_zone": "UTC",
        **dict.fromkeys(("open_until", "missing_from"), started_at + timedelta(hours=4)),
    }
    if seconds is not None:
        ended_at = started_at + timedelta(seconds=max(seconds, 0))
        values |= {"end_received_at": ended_at, "ended_at": ended_at, "stated_seconds": seconds}
        values["duration_seconds"] = seconds
    return Session(**{**values, **fields})


def denied(started_at, **fields):
    return make_session(
        started_at, **{"seconds": None, "allowed": False, "reason": Reason.CALL_MINUTES_DAY.value, **fields}
    )


def shown(client, query="", now=NOW):
    """The ids on the first page of the list."""
    return [line.session.session_id for line in answer(client, query, now).context.get("lines", [])]


def answer(client, query="", now=NOW):
    with time_machine.travel(now, tick=False):
        response = client.get(f"/reports/sessions/{query}")
    assert response.status_code == 200
    return response


def text_of(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


# Who may see it


def test_a_stranger_is_asked_to_sign_in(client, db):
    response = client.get("/reports/sessions/?tier=premium")

    assert response.status_code == 302
    assert response["Location"] == "/admin/login/?next=/reports/sessions/%3Ftier%3Dpremium"


def test_staff_without_permission_are_told_what_they_lack(db):
    session = make_session(NOW)
    for address in ("/reports/sessions/", f"/reports/sessions/{session.pk}/"):
        response = staff_client().get(address)

        assert response.status_code == 403
        assert "viewers" in text_of(response)
        assert session.session_id not in text_of(response)


def test_the_pages_only_read(staff):
    assert staff.post("/reports/sessions/").status_code == 405


# The sessions that are shown


def test_a_session_of_livetok_is_listed_and_leads_to_its_own_page(staff):
    customer = make_customer(make_tier("premium"), name="Ada Lovelace")
    livetok = make_livetok()
    livetok.begin()
    livetok.end()

    listed = text_of(answer(staff))
    session = Session.objects.get()

    assert "Fri 15 Mar 2024, 10:30:00 Ada Lovelace +1234567890 Ended 5 min Premium whatsapp My Agent 123" in listed
    assert f"/reports/sessions/{session.pk}/" in answer(staff).content.decode()
    assert session.customer == customer


def test_without_filters_the_last_seven_days_are_shown(staff):
    make_session(moment("2024-03-08T23:59:59+00:00"), session_id="before")
    make_session(moment("2024-03-09T00:00:00+00:00"), session_id="first")
    make_session(NOW, session_id="last")

    assert shown(staff) == ["last", "first"]


def test_a_search_without_days_looks_into_the_last_ninety(staff):
    customer = make_customer()
    make_session(NOW - timedelta(days=80), session_id="long-ago", customer=customer)

    assert shown(staff) == []
    assert shown(staff, "?q=long-ago") == ["long-ago"]
    assert shown(staff, f"?customer={customer.pk}") == ["long-ago"]
    assert shown(staff, "?q=long-ago&period=7d") == []


@pytest.mark.parametrize(
    "period, first, last",
    [
        ("today", "2024-03-15", "2024-03-15"),
        ("yesterday", "2024-03-14", "2024-03-14"),
        ("7d", "2024-03-09", "2024-03-15"),
        ("30d", "2024-02-15", "2024-03-15"),
        ("90d", "2023-12-17", "2024-03-15"),
        ("month", "2024-03-01", "2024-03-15"),
        ("last_month", "2024-02-01", "2024-02-29"),
    ],
)
def test_a_period_covers_whole_days(staff, period, first, last):
    days = answer(staff, f"?period={period}").context["range"]

    assert (str(days.first_day), str(days.last_day)) == (first, last)


def test_days_are_the_companys(staff, settings):
    settings.TIME_ZONE = "America/New_York"
    make_session(moment("2024-03-10T04:59:59+00:00"), session_id="ninth")
    make_session(moment("2024-03-10T05:00:00+00:00"), session_id="first of the short day")
    make_session(moment("2024-03-11T03:59:59+00:00"), session_id="last of the short day")
    make_session(moment("2024-03-11T04:00:00+00:00"), session_id="eleventh")

    query = "?first_day=2024-03-10&last_day=2024-03-10"
    assert shown(staff, query) == ["last of the short day", "first of the short day"]
    assert "in America/New_York" in text_of(answer(staff, query))
    assert "Sun 10 Mar 2024, 23:59:59" in text_of(answer(staff, query))


def test_dates_win_over_the_period_and_the_last_one_may_be_left_out(staff):
    make_session(moment("2024-01-01T00:00:00+00:00"), session_id="new year")
    make_session(NOW, session_id="now")

    assert shown(staff, "?period=today&first_day=2024-01-01&last_day=2024-01-01") == ["new year"]
    assert shown(staff, "?first_day=2024-01-01") == ["now", "new year"]


def test_each_filter_leaves_its_sessions(staff):
    premium, basic = make_tier("premium"), make_tier("basic")
    web, phone = make_channel("web"), make_channel("telephony")
    agent = Agent.objects.create(livetok_id="7", name="Support")
    make_session(NOW, session_id="a", tier=premium, channel=web, agent=agent)
    make_session(NOW - timedelta(minutes=1), session_id="b", tier=basic, channel=phone)
    denied(NOW - timedelta(minutes=2), session_id="c")
    make_session(
        NOW - timedelta(minutes=3), session_id="d", begin_received_at=None, allowed=None, reason=None, flags="no_begin"
    )

    assert shown(staff, "?tier=premium") == ["a"]
    assert shown(staff, "?tier=(none)") == ["c", "d"]
    assert shown(staff, "?channel=telephony") == ["b"]
    assert shown(staff, "?channel=(none)") == ["c", "d"]
    assert shown(staff, "?agent=7") == ["a"]
    # To the agent's page lead the list and the session's own page.
    to_agent = '<a href="/reports/?agent=7&amp;period=30d">Support</a>'
    assert to_agent in answer(staff, "?agent=7").content.decode()
    assert to_agent in staff.get(f"/reports/sessions/{Session.objects.get(session_id='a').pk}/").content.decode()
    assert shown(staff, "?agent=(none)") == ["b", "c", "d"]
    assert shown(staff, "?reason=call_minutes_day") == ["c"]
    assert shown(staff, "?reason=(none)") == ["d"]
    assert shown(staff, "?state=denied") == ["c"]
    assert shown(staff, "?state=ended") == ["a", "b", "d"]
    assert shown(staff, "?tier=premium&channel=telephony") == []


def test_each_state_leaves_its_sessions(staff):
    make_session(NOW - timedelta(hours=1), session_id="open", seconds=None)
    make_session(NOW - timedelta(hours=5), session_id="missing", seconds=None)
    make_session(NOW - timedelta(hours=6), session_id="ended")
    denied(NOW - timedelta(hours=7), session_id="denied")
    denied(NOW - timedelta(hours=8), session_id="took place", seconds=30)
    denied(NOW - timedelta(hours=9), session_id="denied with an end of 0", seconds=0)

    assert shown(staff, "?state=open") == ["open"]
    assert shown(staff, "?state=missing_end") == ["missing"]
    assert shown(staff, "?state=ended") == ["ended", "took place"]
    assert shown(staff, "?state=denied") == ["denied", "denied with an end of 0"]


@pytest.mark.parametrize(
    "text, found",
    [
        ("call-1", ["call-1"]),
        ("call-", []),
        ("+44 20 7946", ["call-1"]),
        ("0044 (20) 7946-0958", ["call-1"]),
        ("4420", ["call-1"]),
        ("0958", ["call-1"]),
        ("46 09 58", ["call-1"]),
        ("46/09\u201158", ["call-1"]),
        ("\uff10\uff19\uff15\uff18", ["call-1"]),
        ("ada l", ["call-1"]),
        ("lovelace", ["call-1"]),
        ("LÓVE ada", ["call-1"]),
        ("crm-1", ["call-1"]),
        ("lt-9", ["call-2"]),
        ("SIP:Bob@", ["call-3"]),
        ("%", []),
        ("7", []),
    ],
)
def test_a_search_finds_ids_digits_and_words_of_names(staff, text, found):
    ada = make_customer(make_tier(), "+442079460958", name="Ada Lovelace", external_id="crm-1")
    make_session(NOW, session_id="call-1", phone_key="+442079460958", customer=ada)
    make_session(NOW, session_id="call-2", external_id="lt-9")
    make_session(NOW, session_id="call-3", phone_key="sip:bob@example.com")
    NewCallers().run()

    with time_machine.travel(NOW, tick=False):
        response = staff.get("/reports/sessions/", {"q": text})

    assert [line.session.session_id for line in response.context["lines"]] == found


REPORTS = [
    "/reports/",
    "/reports/callers/",
    "/reports/customers/",
    "/reports/customers/top/",
    "/reports/customers/candidates/",
    "/reports/customers/limits/",
    "/reports/customers/unknown/",
    "/reports/customers/1/",
    "/reports/customers/1/erase/",
    "/reports/customers/1/export/",
    "/reports/customers/1/more/",
    "/reports/customers/1/status/",
    "/reports/customers/1/tier/",
    "/reports/customers/1/tier/1/cancel/",
    "/reports/customers/1/top-up/",
    "/reports/statements/",
    "/reports/statements/1/2024-03/",
    "/reports/statements/close/",
    "/reports/webhook/",
    "/reports/live/",
    "/reports/replays/1/",
    "/reports/replays/of/1/",
    "/reports/try/",
    "/reports/try/play/",
    "/reports/search/",
    "/reports/sessions/",
    "/reports/sessions/1/",
]


def test_a_parameter_that_is_too_long_is_refused_in_words_by_every_page(db):
    on_customers = ("change_customer", "erase_customer", "export_customer")
    on_limits = ("add_limitoverride", "change_limitoverride", "add_topup")
    staff = staff_client("view_session", "change_session", "close_month", "change_tier", *on_limits, *on_customers)
    hostile = "." * 60_000 + "x"

    filled = {"<id:pk>": "1", "<id:change>": "1", "<str:month>": "2024-03"}
    patterns = {
        re.sub("<.*?>", lambda found: filled[found[0]], f"/reports/{pattern.pattern}") for pattern in urlpatterns
    }
    assert patterns == set(REPORTS)
    for address in REPORTS:
        for asked in ({"q": hostile}, {"phone": hostile}, {"format": "1" * 256}, {hostile: "1"}):
            response = staff.get(address, asked)
            assert response.status_code == 400, address
            assert f"Shorten “{next(iter(asked))[:40]}”: at most 255 characters are read." in response.content.decode()
    assert staff.post("/reports/statements/close/", {"month": hostile}).status_code == 400


def test_what_no_database_holds_is_nowhere_and_a_request_that_cannot_be_read_says_so_in_the_frame(db):
    staff = staff_client("view_session", "close_month")
    beyond = 2**63
    for address in ("customers/{}/", "sessions/{}/", "statements/{}/2024-03/"):
        assert staff.get(f"/reports/{address.format(beyond)}").status_code == 404, address
    many = {f"field-{number}": "" for number in range(5_001)}
    for unreadable in (staff.get("/reports/search/?q=%00"), staff.post("/reports/statements/close/", many)):
        shown = unreadable.content.decode()
        assert (unreadable.status_code, 'aria-label="Main"' in shown) == (400, True)


def test_a_search_of_255_characters_is_read(staff):
    for address in ("/reports/sessions/", "/reports/customers/", "/reports/statements/"):
        assert staff.get(address, {"q": "." * 254 + "x"}).status_code == 200


@pytest.mark.parametrize("most, total", [(3, "More than 3 sessions"), (4, "4 sessions")])
def test_a_search_shows_all_that_it_finds_however_many_there_are(staff, monkeypatch, most, total):
    monkeypatch.setattr("sessions_app.reports.list.search.MOST_FOUND", most)
    monkeypatch.setattr("sessions_app.reports.list.totals.MOST_COUNTED", most)
    for number in range(4):
        make_session(NOW - timedelta(hours=number), session_id=f"call-{number}", phone_key=f"+44207946095{number}")
    make_session(NOW, session_id="other", phone_key="+15550001")

    response = answer(staff, "?q=44207")

    assert [line.session.session_id for line in response.context["lines"]] == ["call-0", "call-1", "call-2", "call-3"]
    assert total in text_of(response)


@pytest.mark.only("sqlite")
def test_a_search_looks_one_by_one_at_the_newest_sessions_alone(staff):
    make_session(NOW - timedelta(hours=3), phone_key="+442079460958")
    with time_machine.travel(NOW, tick=False):
        keep_sums()
    with CaptureQueriesContext(connection) as captured:
        shown(staff, "?q=44207")

    (one_by_one,) = [query["sql"] for query in captured.captured_queries if '"phone_key" LIKE' in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {one_by_one}")
        plan = "\n".join(row[3] for row in cursor.fetchall())
    assert "session_by_start (started_at>?)" in plan


@pytest.mark.only("postgresql")
def test_a_list_is_counted_from_its_newest_session_not_from_the_oldest_of_all(staff, monkeypatch):
    monkeypatch.setattr("sessions_app.reports.list.totals.MOST_COUNTED", 20)
    customer = make_customer()
    Session.objects.bulk_create(
        bare_session(NOW - timedelta(hours=3 * number), customer=customer) for number in reversed(range(3000))
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sessions_app_session")
    with CaptureQueriesContext(connection) as captured:
        assert "More than 20 sessions" in text_of(answer(staff, "?sort=customer&period=90d"))

    (counting,) = [query["sql"] for query in captured.captured_queries if query["sql"].startswith("SELECT COUNT(")]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {counting}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Scan using session_by_start" in plan, plan


def test_national_digits_are_read_in_the_companys_region(staff, settings):
    settings.PHONE_REGION = "GB"
    make_session(NOW, session_id="call-1", phone_key="+442079460958")

    assert shown(staff, "?q=020+7946+0958") == ["call-1"]


def test_a_customers_sessions_are_shown_alone_and_named(staff):
    ada, bob = make_customer(), make_customer(Tier.objects.get(slug="premium"), "+15550001", name="Bob")
    make_session(NOW, session_id="ada's", customer=ada)
    make_session(NOW, session_id="bob's", customer=bob)

    response = answer(staff, f"?customer={bob.pk}")

    assert shown(staff, f"?customer={bob.pk}") == ["bob's"]
    assert "Customer: Bob" in text_of(response)
    assert f'<input type="hidden" name="customer" value="{bob.pk}">' in response.content.decode()


def test_test_traffic_is_left_out_unless_asked_for(staff):
    make_livetok().send({
        "type": "session.begin", "livemode": False, "created_at": "2024-03-15T11:00:00Z",
        "data": {"session_id": "trial", "channel": "web", "customer": {"phone": NUMBER}},
    })  # fmt: skip

    assert shown(staff) == []
    assert "Test traffic is left out." in text_of(answer(staff))
    assert shown(staff, "?test=on") == ["trial"]
    assert "Test traffic is included." in text_of(answer(staff, "?test=on"))


@pytest.mark.parametrize(
    "query, message",
    [
        ("?first_day=yesterday", "Give a date such as 2026-03-15."),
        ("?first_day=0001-01-01", "Give a day between 1970 and 2199."),
        ("?last_day=9999-12-31&first_day=2024-01-01", "Give a day between 1970 and 2199."),
        ("?last_day=2024-03-01", "Give the first day too."),
        ("?first_day=2024-03-02&last_day=2024-03-01", "Give the first day or a later one."),
        ("?first_day=2023-01-01&last_day=2024-01-02", "Choose at most 366 days: 2024-01-01 or earlier."),
        ("?period=century", "There is no period “century”."),
        ("?tier=gold", "There is no “gold”. Choose from the list."),
        ("?channel=smoke", "There is no “smoke”."),
        ("?agent=<b>", "There is no “&lt;b&gt;”."),
        ("?state=asleep", "There is no “asleep”."),
        ("?reason=whim", "There is no “whim”."),
        ("?customer=99", "There is no such customer."),
        ("?customer=ada", "There is no such customer."),
        ("?customer=99999999999999999999999", "There is no such customer."),
        ("?older=soon", "This link into the list is broken."),
        ("?newer=2024-03-15T10:30:00.000000Z_99999999999999999999", "This link into the list is broken."),
        ("?older=2024-03-15T10:30:00.000000Z_-1", "This link into the list is broken."),
        ("?older=9999-12-31T23:59:59.999999Z_1", "This link into the list is broken."),
        ("?at=0001-01-01", "Give a time between 1970 and 2199."),
        ("?at=noon", "Give a time such as 2026-03-15T10:30:00+00:00."),
        ("?changed_after=9999-12-31T23:59:59Z", "Give a time between 1970 and 2199."),
        ("?at_limit=seldom", "There is no “seldom”."),
    ],
)
def test_a_wrong_filter_is_named_and_nothing_misleading_is_shown(staff, query, message):
    make_session(NOW, session_id="present")

    response = answer(staff, query)

    assert message in re.sub(r"\s+", " ", response.content.decode())
    assert "Some filters cannot be used" in text_of(response)
    assert "present" not in text_of(response)


def test_each_filter_stands_in_the_form_or_has_a_chip(staff):
    page = answer(staff, "").content.decode()

    assert {one.name for one in FILTERS if f'name="{one.name}"' in page} == {one.name for one in FILTERS if one.in_form}
    assert {one.name for one in FILTERS if not (one.in_form or one.chip)} == {"customer"}  # the template's own chip


def test_an_empty_page_says_what_to_try(staff):
    nothing = text_of(answer(staff, "?period=today"))
    make_session(NOW, session_id="present")
    too_narrow = text_of(answer(staff, "?q=nobody"))

    assert "Nobody has called or written in these days." in nothing
    assert "Look in the last 90 days" in nothing
    assert "Nothing in these days matches every filter." in too_narrow
    assert "Keep the days, drop the other filters" in too_narrow


# Paging


@pytest.mark.parametrize("asked", ["?period=today", "?period=today&q=lt-1"])
def test_paging_has_no_gap_and_no_repeat_in_either_direction(staff, asked):
    instants = [NOW - timedelta(seconds=number // 7) for number in range(120)]
    Session.objects.bulk_create(bare_session(instant, external_id="lt-1") for instant in instants)
    expected = list(Session.objects.order_by("-started_at", "-pk").values_list("session_id", flat=True))

    pages, query = [], asked
    while query:
        response = answer(staff, query)
        pages.append([line.session.session_id for line in response.context["lines"]])
        query = link(response, "next")
    assert list(itertools.chain(*pages)) == expected
    assert [len(page) for page in pages] == [50, 50, 20]

    assert shown(staff, link(response, "prev")) == pages[1]
    assert shown(staff, link(answer(staff, link(response, "prev")), "prev")) == pages[0]


@pytest.mark.parametrize("sort, one_by_one", [("duration", 8), ("customer", 8), ("customer", 1)])
def test_other_orders_are_paged_without_gap_or_repeat(staff, monkeypatch, sort, one_by_one):
    monkeypatch.setattr("sessions_app.reports.list.queries.FIRST_CUSTOMERS", one_by_one)
    tier = make_tier()
    people = [make_customer(tier, f"+1555000{number}", name=f"Name {9 - number // 2}") for number in range(6)]
    for number in range(130):
        seconds = None if number % 13 == 0 else number // 5 % 3
        customer = None if number % 11 == 0 else people[number % 6]
        make_session(NOW - timedelta(minutes=number // 5), seconds=seconds, customer=customer)
    make_session(NOW - timedelta(days=3), customer=people[0], session_id="too old")
    stored = Session.objects.filter(started_at__gt=NOW - timedelta(days=1)).select_related("customer")
    if sort == "duration":
        kept = [session for session in stored if session.duration_seconds is not None]
        kept.sort(key=lambda session: (session.duration_seconds, session.started_at, session.pk), reverse=True)
    else:
        kept = [session for session in stored if session.customer]
        kept.sort(key=lambda session: (session.started_at, session.pk), reverse=True)
        kept.sort(key=lambda session: (session.customer.name, session.customer_id))

    pages, query = [], f"?period=today&sort={sort}"
    while query:
        response = answer(staff, query)
        pages.append([line.session.session_id for line in response.context["lines"]])
        query = link(response, "next")
    assert list(itertools.chain(*pages)) == [session.session_id for session in kept]

    for page in reversed(pages[:-1]):
        response = answer(staff, link(response, "prev"))
        assert [line.session.session_id for line in response.context["lines"]] == page
    assert not link(response, "prev")
    of_another_order = Cursor.of(kept[60])
    assert shown(staff, f"?period=today&sort={sort}&newer={of_another_order}") == pages[0]


GAPS = (timedelta(0), timedelta.resolution, timedelta(milliseconds=1), timedelta(minutes=1), timedelta(days=3))


@given(gaps=st.lists(st.sampled_from(GAPS), max_size=30), at_once=st.integers(1, 4))
@hypothesis.settings(max_examples=40, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_a_file_has_every_session_of_its_days_in_the_lists_order_however_they_are_spread(staff, gaps, at_once):
    with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sessions_app.reports.list.queries.ROWS_AT_ONCE", at_once)
        patch.setattr("sessions_app.reports.list.queries.MOST_ROWS_AT_ONCE", 2 * at_once)
        starts = [NOW - ago for ago in itertools.accumulate(gaps)]
        Session.objects.bulk_create(bare_session(start, is_test=number % 5 == 4) for number, start in enumerate(starts))
        first = NOW.replace(hour=0) - timedelta(days=29)
        expected = Session.objects.filter(is_test=False, started_at__gte=first).order_by("-started_at", "-pk")

        rows = csv.DictReader(io.StringIO(answer(staff, "?period=30d&format=csv").getvalue().decode("utf-8-sig")))

        assert [row["Session"] for row in rows] == [session.session_id for session in expected]
        transaction.set_rollback(True)


@pytest.mark.parametrize("query", ["q=555000", "sort=duration", "own_days=1", "open_now=1", "customer=1"])
def test_a_file_has_what_its_list_has(staff, query):
    customer = make_customer(make_tier(), "+15550001111", pk=1)
    for number in range(6):
        make_session(NOW - timedelta(hours=number), customer=customer, phone_key="+15550001111", seconds=number)
    make_session(NOW - timedelta(minutes=5), customer=customer, phone_key="+15550001111", seconds=None)
    make_session(NOW - timedelta(minutes=5), seconds=None)

    rows = csv.DictReader(io.StringIO(answer(staff, f"?{query}&format=csv").getvalue().decode("utf-8-sig")))

    assert [row["Session"] for row in rows] == shown(staff, f"?{query}")


def link(response, rel):
    found = re.search(rf'<a href="([^"#]*)#list" rel="{rel}"', response.content.decode())
    return found.group(1).replace("&amp;", "&") if found else ""


def test_sessions_that_come_meanwhile_do_not_shift_the_pages(staff):
    Session.objects.bulk_create(bare_session(NOW - timedelta(minutes=number)) for number in range(60))
    first = answer(staff, "?period=today")
    make_session(NOW, session_id="newcomer")

    second = shown(staff, link(first, "next"))

    assert len(second) == 10
    assert not set(second) & {line.session.session_id for line in first.context["lines"]}


def test_beyond_the_last_page_is_a_way_back(staff):
    make_session(NOW)

    page = text_of(answer(staff, "?older=2024-03-15T00:00:00.000000Z_1"))

    assert "There are no sessions beyond." in page


# Statements


@pytest.mark.parametrize("sessions", [1, 60])
def test_the_list_takes_as_many_statements_for_many_sessions_as_for_one(staff, sessions):
    agent, channel = Agent.objects.create(livetok_id="1"), make_channel("web")
    for number in range(sessions):
        customer = make_customer(make_tier(f"tier-{number}"), f"+15550{number:04}")
        make_session(NOW, customer=customer, tier=customer.tier, agent=agent, channel=channel)

    with CaptureQueriesContext(
        connection,
    ) as statements:
        answer(staff, "?q=Ada")

    assert len(statements) <= LIST_STATEMENTS


def test_one_session_takes_few_statements(staff):
    make_customer()
    livetok = make_livetok()
    livetok.begin()
    for seconds in range(20):
        livetok.end(duration=seconds)

    with CaptureQueriesContext(connection) as statements:
        staff.get(f"/reports/sessions/{Session.objects.get().pk}/")

    assert len(statements) <= SESSION_STATEMENTS


# One session


def page_of_the_session(client, session_id="123", now=NOW, query=""):
    session = Session.objects.get(session_id=session_id)
    with time_machine.travel(now, tick=False):
        response = client.get(f"/reports/sessions/{session.pk}/{query}")
    assert response.status_code == 200
    return response


def test_a_session_that_is_not_there_is_not_found(staff):
    for pk in (1, 10**30):
        assert staff.get(f"/reports/sessions/{pk}/").status_code == 404


def test_a_denial_is_explained_rule_by_rule(staff):
    tier = make_tier(
        "premium", limit("call_minutes", 5), limit("sessions", 10, hard=False), limit("sessions", 90, "month")
    )
    make_customer(tier, name="Ada")
    livetok = make_livetok()
    livetok.begin(sessionId="first", timestamp="2024-03-15T09:00:00Z")
    livetok.end(sessionId="first", timestamp="2024-03-15T09:05:00Z")
    livetok.begin()

    page = text_of(page_of_the_session(staff))

    assert "Denied 5 of 5 call minutes of this day were used; they start afresh Sat 16 Mar 2024, 00:00." in page
    assert page.index("Failed: the reason") < page.index("Emergency switch off Passed")
    assert "Denied : Call minutes of the day." in page.replace("Denied:", "Denied :")
    assert "The customer's call minutes of the day were used up." in page.replace("&#x27;", "'")
    assert "Call minutes of the day Failed: the reason 5 min tier, hard 5 min 0 min" in page
    assert "Sessions of the day Passed 10 tier, soft 1 9" in page
    assert "Sessions of the month Passed 90 tier, hard 1 89" in page
    assert "Customer is not blocked status active Passed – – – –" in page
    assert "&quot;denied_reason&quot;: &quot;call_minutes_day&quot;" in page


def test_corrections_redeliveries_and_clocks_are_shown(staff):
    make_customer()
    livetok = make_livetok()
    with time_machine.travel(moment("2024-03-15T10:30:03+00:00"), tick=False):
        livetok.begin()
        livetok.begin()
    with time_machine.travel(moment("2024-03-15T10:34:58+00:00"), tick=False):
        livetok.end()
        livetok.end(duration=320, timestamp="2024-03-15T10:35:20Z")

    page = text_of(page_of_the_session(staff))

    assert "Begin Fri 15 Mar 2024, 10:30:00 Fri 15 Mar 2024, 10:30:03 ours is 3 s later" in page
    assert "End Fri 15 Mar 2024, 10:35:20 Fri 15 Mar 2024, 10:34:58 ours is 22 s earlier" in page
    assert "Ends that differ came for it" in page
    assert "Fri 15 Mar 2024, 10:34:58 Fri 15 Mar 2024, 10:34:58 5 min" in page
    for verdict in (
        "session_begin Accepted",
        "session_begin Redelivered",
        "session_end Accepted",
        "session_end Corrected",
    ):
        assert verdict in page


def test_raw_bodies_are_for_those_who_may_see_them(staff):
    make_customer()
    livetok = make_livetok()
    livetok.begin(secret="in the begin")
    livetok.end(secret="in the end")
    livetok.end(secret="in the other end", duration=310)

    bodies = ("in the begin", "in the end", "in the other end")
    plain = text_of(page_of_the_session(staff))
    full = text_of(page_of_the_session(staff_client("view_session", "view_bodies", "view_numbers")))

    assert not any(body in plain for body in bodies)
    assert "Raw bodies are shown to staff with the permission" in plain
    assert all(full.count(body) >= 2 for body in bodies)


def test_bodies_are_shown_whatever_they_hold(db):
    make_customer()
    make_livetok().send(b'{"event": "session_begin", "sessionId": "odd", "phoneNumber": "<script>"}')
    Session.objects.update(begin_body=b"<script>\xff\x00")

    page = page_of_the_session(staff_client("view_session", "view_bodies", "view_numbers"), "odd").content.decode()

    assert "&lt;script&gt;\\xff" in page
    assert "<script>\\xff" not in page


def test_a_session_with_an_end_alone_says_so(staff):
    make_livetok().end(sessionId="late")

    page = text_of(page_of_the_session(staff, "late"))

    assert "LiveTok never asked: only the session&#x27;s end has come." in page
    assert "Its end came, its begin has not" in page
    assert "None: LiveTok never asked." in page


def test_a_session_whose_end_is_missing_says_so(staff):
    make_session(NOW - timedelta(hours=5), session_id="lost", seconds=None)

    page = text_of(page_of_the_session(staff, "lost"))

    assert "Missing its end The session was let in, and its end never came." in page
    assert "None are kept any more" in page


def test_the_customer_is_a_link_for_those_who_may_see_customers(staff):
    customer = make_customer()
    make_session(NOW, session_id="123", customer=customer)
    address = f'href="/admin/customers/customer/{customer.pk}/change/"'

    assert address not in page_of_the_session(staff).content.decode()
    page = page_of_the_session(staff_client("view_session", "view_customer")).content.decode()
    assert address in page
    assert f'href="/reports/sessions/?customer={customer.pk}"' in page


def test_an_id_that_was_used_again_leads_to_its_other_session(staff):
    livetok = make_livetok()
    livetok.begin(phoneNumber="+15550001")
    livetok.begin(phoneNumber="+15550002")
    first, second = Session.objects.order_by("number")

    response = staff.get(f"/reports/sessions/{second.pk}/")

    assert f'href="/reports/sessions/{first.pk}/"' in response.content.decode()
    assert f'href="/reports/sessions/{second.pk}/"' not in response.content.decode()
    assert "Other sessions with this id" in text_of(response)


def test_the_way_back_keeps_the_filters(staff):
    make_session(NOW, session_id="123", tier=make_tier("premium"))

    listed = answer(staff, "?tier=premium&period=today").content.decode()
    address = re.search(r'href="/reports/sessions/\d+/(\?[^"]+)"', listed).group(1).replace("&amp;", "&")
    page = page_of_the_session(staff, query=address).content.decode()

    assert 'href="/reports/sessions/?tier=premium&amp;period=today"' in page


# Words


def test_every_reason_has_words():
    assert set(REASONS) == set(REASON_SENTENCES) == set(Reason)


@pytest.mark.parametrize(
    "flag, sentence",
    [
        ("no_begin", "Its end came, its begin has not: when it started is worked out from the end."),
        ("begin_time_unreadable", "The begin's time could not be read: our clock stands in."),
        ("end_duration_unreadable", "The end's duration could not be read: not counted."),
        ("begin_number_unreadable", "The begin's number could not be read: taken as missing."),
        ("something_new", "Something new."),
    ],
)
def test_flags_are_put_in_words(flag, sentence):
    assert flag_sentence(flag) == sentence


def test_a_reason_that_is_gone_is_still_shown():
    assert reason_words("moon_phase") == "Moon phase"


@pytest.mark.parametrize(
    "seconds, words",
    [
        (None, "–"),
        (0, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7325, "2 h 2 min 5 s"),
        (90061, "25 h 1 min"),
        (-5, "−5 s"),
    ],
)
def test_durations_are_put_in_words(seconds, words):
    assert duration_words(seconds) == words


@pytest.mark.parametrize(
    "used, words",
    [(0, ("0", "1,500")), (0.5, ("0.5", "1,499.5")), (58.4167, ("58.5", "1,441.5")), (366 / 60, ("6.1", "1,493.9"))],
)
def test_what_is_used_is_rounded_up_and_what_is_left_down(used, words):
    assert (used_number(used), left_number(1500 - used)) == words


def test_a_limit_of_one_is_told_in_the_singular():
    at_once = {"check": "concurrent_sessions", "limit": 1, "used": 1, "passed": False}
    assert decided_words("concurrent_sessions", [at_once], "", is_over=True) == "1 of 1 session was open"


def test_outcomes_tell_the_reason_from_what_failed_beside_it():
    trace = [
        {"check": "customer_paused", "passed": False, "note": "status paused"},
        {
            "check": "sessions_day",
            "passed": False,
            "limit": 1,
            "used": 1,
            "left": 0,
            "hard": False,
            "metric": "sessions",
        },
        {"check": "call_minutes_day", "passed": False, "limit": 1, "used": 2, "left": 0, "metric": "call_minutes"},
        {"check": "call_minutes_week", "passed": None, "limit": None, "metric": "call_minutes"},
    ]

    assert [line.outcome_kind for line in trace_words(trace, "customer_paused")] == [
        "decisive",
        "soft",
        "failed",
        "skipped",
    ]
    assert trace_words(trace, "emergency_allow")[0].outcome == "Failed; the emergency switch let them in"


def test_callers_whom_the_policy_denies_are_on_no_tier(staff):
    make_livetok().begin()  # makes the defaults
    Session.objects.all().delete()
    set_policy(unknown_callers="deny")
    make_livetok().begin(sessionId="stranger", phoneNumber="+15550009")

    assert shown(staff, "?tier=(none)&state=denied&reason=unknown_caller") == ["stranger"]


@pytest.mark.parametrize(
    ("query", "period", "days"),
    [
        ("?filled=on&first_day=2026-03-09&last_day=2026-03-15", "7d", 7),
        ("?filled=on&first_day=2026-03-09&last_day=2026-03-15&q=ada", "90d", 90),
        ("?filled=on&period=month&first_day=2026-03-01&last_day=2026-03-15", "month", 15),
        ("?filled=on&period=month&first_day=2026-03-02&last_day=2026-03-15", "", 14),
        ("?first_day=2026-03-09&last_day=2026-03-15&q=ada", "", 7),
    ],
)
def test_dates_that_the_form_filled_in_leave_the_period_to_rule(db, query, period, days):
    filters = SessionFilters(QueryDict(query.removeprefix("?")), moment("2026-03-15T12:00:00+00:00"))

    assert filters.is_valid(), filters.errors
    assert (filters.chosen_period, len(filters.range.days)) == (period, days)
