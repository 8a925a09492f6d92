"""The overview: its figures, what they are compared with, and that each leads to just the sessions that it counts."""

import csv
import random
import re
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from customers.models import Agent
from sessions_app.decision.rules import Reason
from sessions_app.models import Session
from sessions_app.reports.list.filters import SessionFilters
from sessions_app.sums.keeping import keep_sums
from tests.builders import make_channel, make_customer, make_tier, moment
from tests.staff import report_page
from tests.test_reports import denied, make_session, staff, staff_client, text_of  # noqa: F401 - a fixture among them

NOW = moment("2024-04-03T12:20:00+00:00")
OVERVIEW_STATEMENTS = 36


def overview(client, query="", now=NOW):
    with time_machine.travel(now, tick=False):
        response = client.get(f"/reports/{query}")
    assert response.status_code == 200
    return response


@pytest.fixture
def traffic(db, settings):
    """Some two hundred and sixty sessions of every kind, over the change of the clock and a month's end in Madrid."""
    settings.TIME_ZONE = "Europe/Madrid"
    chance = random.Random(11)
    tiers = [make_tier("premium"), make_tier("basic"), None]
    channels = [make_channel("web"), make_channel("telephony"), None]
    agents = [Agent.objects.create(livetok_id="7", name="Support"), None]
    ada = make_customer(tiers[0])
    for number in range(260):
        start = NOW - timedelta(minutes=number * 61 + chance.randrange(20))
        fields = {
            "tier": chance.choice(tiers),
            "channel": chance.choice(channels),
            "agent": chance.choice(agents),
            "customer": chance.choice([ada, None]),
            "phone_key": f"+1555{number % 50:04}",
        }
        kind = chance.choice(["ended"] * 6 + ["denied", "took place", "open", "invalid", "end alone", "test"])
        if kind == "denied":
            denied(start, **{**fields, "reason": chance.choice(["call_minutes_day", "customer_paused"])})
        elif kind == "took place":
            denied(start, seconds=chance.randrange(1, 4000), **fields)
        else:
            if kind == "end alone":
                fields |= {"begin_received_at": None, "allowed": None, "reason": None}
            seconds = {"open": None, "invalid": -5}.get(kind, chance.choice([0, 9, 10, 45, 200, 700, 5000]))
            make_session(start, seconds=seconds, is_test=kind == "test", **fields)


def sums_are_kept(until):
    with time_machine.travel(until, tick=False):
        keep_sums()


def behind(address):
    """The sessions that the list at an address shows."""
    path, query = address.split("?")
    assert path == "/reports/sessions/"
    filters = SessionFilters(QueryDict(query), NOW)
    assert filters.is_valid(), filters.errors
    return filters.sessions()


@pytest.mark.parametrize(
    "query",
    [
        "?period=7d",
        "?period=today",
        "?period=30d&test=on",
        "?period=7d&by=week",
        "?period=7d&agent=7",
        "?period=90d&tier=premium&channel=(none)",
        "?period=7d&by=hour&tier=(none)&agent=(none)&test=on",
    ],
)
def test_every_figure_leads_to_just_the_sessions_that_it_counts(staff, traffic, query):  # noqa: F811
    sums_are_kept(NOW - timedelta(hours=3))
    sums_are_kept(NOW)
    page = overview(staff, query).content.decode()
    links = {
        unescape(address): int(shown.replace(",", ""))
        for address, shown in re.findall(r'<a href="(/reports/sessions/\?[^"]+)"[^>]*>([\d,]+)</a>', page)
        if "counted=on" not in address or "seconds" in address  # minutes: another test
        if "weekday" not in address  # a mean
        if "named=on" not in address  # callers, not sessions
    }
    assert len(links) > 25
    assert any("at=" in address for address in links) == ("agent" not in query and "tier" not in query)

    assert {address: behind(address).count() for address in links} == links


def test_the_heat_map_and_minutes_lead_to_their_sessions(staff, traffic):  # noqa: F811
    page = overview(staff, "?period=7d").content.decode()
    cells = re.findall(r'<a href="(/reports/sessions/\?[^"]+weekday[^"]+)" title="([^"]+)"', page)
    assert len(cells) > 50
    counted = 0
    for address, title in cells:
        found = behind(unescape(address)).count()
        assert int(re.search(r": (\d+) sessions?", title)[1]) == found
        counted += found
    shown = overview(staff, "?period=7d").context["overview"]
    assert counted == shown.sums.total.sessions

    address = unescape(re.search(r'href="(/reports/sessions/\?[^"]*counted=on[^"]*)"', page)[1])
    assert shown.sums.total.seconds == sum(behind(address).values_list("duration_seconds", flat=True))


def test_an_agents_page_says_what_its_sessions_did(staff, traffic):  # noqa: F811
    sums_are_kept(NOW)
    response = overview(staff, "?period=30d&agent=7")

    sessions = Session.objects.filter(agent="7", is_test=False)
    figures = {figure.label: figure.value for figure in response.context["overview"].figures}
    assert figures["Sessions"] == str(sessions.count())
    named = behind(f"{response.context['agent_address']}&named=on")
    assert figures["Unique callers"] == str(len({session.customer_id or session.phone_key for session in named}))
    text = text_of(response)
    assert "Agent Support" in text
    assert "Last event of this agent: Wed 3 Apr 2024" in text
    # Other filters and days stay as one goes on from it.
    line = response.context["overview"].shares.tables[0].lines[0]
    assert "agent=7" in line.page_address
    assert "channel=" in line.page_address


def test_tables_have_the_ten_largest_and_all_of_them_by_pages(staff):  # noqa: F811
    for number in range(101):
        agent = Agent.objects.create(livetok_id=f"{number}")
        for _ in range(1 + (number == 100)):
            make_session(NOW - timedelta(hours=1), agent=agent)

    response = overview(staff, "?period=7d")
    table = response.context["overview"].shares.tables[2]
    assert (len(table.lines), table.total, table.lines[0].name) == (10, 101, "100")
    assert "All 101 agents" in text_of(response)
    pages = [overview(staff, f"?period=7d&all=agent&page={number}").context for number in (1, 2)]
    assert [len(context["all"].lines) for context in pages] == [100, 1]
    assert [(context["previous_page"], context["next_page"]) for context in pages] == [(None, 2), (1, None)]
    file = overview(staff, "?period=7d&format=csv").getvalue().decode()
    assert file.count("By agent,") == 101 * 5


def test_of_a_channel_or_agent_that_is_deleted_a_table_says_the_figures_alone(staff):  # noqa: F811
    gone = {"agent": Agent.objects.create(livetok_id="7"), "channel": make_channel("fax")}
    make_session(NOW - timedelta(hours=2), **gone)
    sums_are_kept(NOW)
    Session.objects.all().delete()
    for row in gone.values():
        row.delete()

    html = overview(staff, "?period=today").content.decode()
    shares = re.findall(r"<tr><th scope=\"row\">.*?</tr>", html.partition('id="shares-')[2], re.DOTALL)
    lines = {re.sub("<.*?>", " ", row).split()[0]: re.findall(r'href="(.*?)"', row) for row in shares}
    assert lines["fax"] == lines["7"] == []
    for address in (unescape(address) for addresses in lines.values() for address in addresses):
        assert "There is no" not in text_of(report_page(staff, address, NOW)), address


def test_a_running_period_is_compared_with_the_same_part_of_the_one_before(staff):  # noqa: F811
    make_session(NOW - timedelta(hours=1))
    make_session(NOW - timedelta(hours=2), seconds=120)
    make_session(NOW - timedelta(days=1, minutes=1))
    make_session(NOW - timedelta(days=1) + timedelta(minutes=1), session_id="later yesterday")

    page = text_of(overview(staff, "?period=today"))

    assert "Compared with Tue 2 Apr 2024 to Tue 2 Apr 2024, 12:19." in page
    figures = {figure.label: figure for figure in overview(staff, "?period=today").context["overview"].figures}
    assert (figures["Sessions"].value, figures["Sessions"].change) == ("2", "+100.0 %")
    assert figures["Minutes"].value == "3"


def test_open_and_missing_ends_are_told_apart_as_of_now(staff):  # noqa: F811
    make_session(NOW - timedelta(hours=1), seconds=None)
    make_session(NOW - timedelta(hours=5), seconds=None)
    make_session(NOW - timedelta(days=1, hours=3), seconds=None)

    figures = {figure.label: figure for figure in overview(staff, "?period=today").context["overview"].figures}

    assert (figures["Open now"].value, figures["Missing ends"].value) == ("1", "1")
    assert figures["Missing ends"].change == "as before"
    later = overview(staff, "?period=today", NOW + timedelta(hours=4)).context["overview"].figures
    assert [figure.value for figure in later if figure.label in ("Open now", "Missing ends")] == ["0", "2"]


def test_nothing_is_divided_by_zero(staff):  # noqa: F811
    empty = text_of(overview(staff))
    make_session(NOW, begin_received_at=None, allowed=None, reason=None)
    undecided = text_of(overview(staff))

    assert "No sessions in these days." in empty
    assert re.search(r"Allow rate \? What “Allow rate” means .*? –", empty)
    assert re.search(r"Allow rate \? What “Allow rate” means .*? –", undecided)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.admits])
def test_every_reason_that_lets_somebody_in_counts_for_the_allow_rate(staff, reason):  # noqa: F811
    make_session(NOW, reason=reason.value)
    denied(NOW)

    figures = {figure.label: figure.value for figure in overview(staff).context["overview"].figures}

    assert figures["Allow rate"].startswith("50")


def test_callers_of_many_sessions_are_counted_once_the_page_is_there(staff, traffic, monkeypatch):  # noqa: F811
    at_once = {figure.label: figure.value for figure in overview(staff).context["overview"].figures}
    monkeypatch.setattr("sessions_app.reports.overview.page.MOST_SESSIONS_AT_ONCE", 10)

    page = overview(staff, "?period=7d")
    with time_machine.travel(NOW, tick=False):
        later = staff.get("/reports/callers/?period=7d").json()

    assert 'data-callers="/reports/callers/?period=7d"' in page.content.decode()
    assert later["value"] == at_once["Unique callers"]
    assert f"{later['value']}" in text_of(overview(staff, "?period=7d&callers=count"))


@pytest.mark.parametrize(
    "query, message",
    [
        ("?period=century", "There is no period “century”."),
        ("?by=minute", "There is no “minute” to show the trend by."),
        ("?first_day=tomorrow", "Give a date such as 2026-03-15."),
    ],
)
def test_a_wrong_filter_is_named(staff, query, message):  # noqa: F811
    assert message in text_of(overview(staff, query))


def test_the_file_says_what_the_page_says(staff, traffic):  # noqa: F811
    page = overview(staff, "?period=7d").context["overview"]
    rows = list(csv.reader(b"".join(overview(staff, "?period=7d&format=csv")).decode("utf-8-sig").splitlines()))

    assert rows[0] == ["Table", "Line", "Figure", "Value"]
    assert ["Figures", "Sessions", "Value", page.figures[0].value] in rows
    for line in page.shares.tables[0].lines:
        assert ["By channel", line.name, "Sessions", str(line.sessions)] in rows


def test_the_page_takes_few_statements_however_many_days(staff, traffic):  # noqa: F811
    sums_are_kept(NOW)
    for query in ("?period=today", "?period=90d"):
        with CaptureQueriesContext(connection) as statements:
            overview(staff, query)
        assert len(statements) <= OVERVIEW_STATEMENTS


def test_the_page_is_small(staff, traffic):  # noqa: F811
    sums_are_kept(NOW)
    for query in ("?period=90d", "?first_day=2023-04-04&last_day=2024-04-03&by=day"):
        assert len(overview(staff, query).content) < 250_000
    assert Session.objects.count() == 260


@pytest.mark.parametrize("count, words", [(1, "1 session that ended"), (2, "2 sessions that ended")])
def test_one_session_is_one(staff, count, words):  # noqa: F811
    for number in range(count):
        make_session(NOW - timedelta(minutes=5 + number))

    assert f"{words} with a duration that counts" in text_of(overview(staff))


def test_who_may_not_see_sessions_is_told_so(db):
    for address in ("/reports/", "/reports/callers/"):
        assert staff_client().get(address).status_code == 403
