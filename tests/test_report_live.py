"""The live page: which sessions are open, and what is left for them."""

import csv
import io
from datetime import timedelta

import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer
from sessions_app.models import Session
from sessions_app.reports import live
from sessions_app.sums.callers import caller_number
from sessions_app.usage.standing import standings, with_limits
from sessions_app.usage.used import usage_at
from tests.builders import (
    NUMBER,
    limit,
    make_channel,
    make_customer,
    make_override,
    make_tier,
    make_top_up,
    moment,
    set_policy,
)
from tests.staff import report_page, text_of

NOW = moment("2024-03-15T10:40:00+00:00")
LIVE_STATEMENTS = 20


def show(client, query="", now=NOW):
    return report_page(client, f"live/{query}", now)


def lines(response):
    return [(line.session.session_id, line.elapsed_words, line.left_words) for line in response.context["lines"]]


def begin(livetok, session_id, minutes_ago=10, **changes):
    with time_machine.travel(NOW - timedelta(minutes=minutes_ago), tick=False):
        stated = (NOW - timedelta(minutes=minutes_ago)).isoformat()
        return livetok.begin(sessionId=session_id, timestamp=stated, **changes)


def test_open_sessions_show_how_long_they_are_and_the_rest_of_the_tightest_limit(livetok, viewer):
    soft = limit("call_minutes", 1, "week", hard=False)
    tier = make_tier("premium", limit("call_minutes", 60), limit("call_minutes", 500, "month"), soft)
    customer = make_customer(tier)
    make_override(customer, limit("call_minutes", 15, channel="telephony"))
    begin(livetok, "early", 30, kind="web")
    begin(livetok, "late", 10, kind="telephony")

    assert lines(show(viewer)) == [("late", "10 min", "5 min"), ("early", "30 min", "20 min")]


def test_ended_denied_and_missing_sessions_are_not_open(livetok, viewer):
    make_customer(make_tier("premium", limit("concurrent_sessions", 1)))
    begin(livetok, "open")
    begin(livetok, "denied", 5)
    begin(livetok, "ended", 20, phoneNumber="+15550001111")
    livetok.end(sessionId="ended", phoneNumber="+15550001111", duration=60)
    begin(livetok, "missing", 25 * 60, phoneNumber="+15550002222")

    assert [line[0] for line in lines(show(viewer))] == ["open"]


def test_what_uses_no_minutes_or_has_no_limit_says_so(livetok, viewer):
    make_channel("chat")
    make_customer(make_tier("premium", limit("call_minutes", 60)))
    begin(livetok, "typed", 10, kind="chat")
    begin(livetok, "free", 12, phoneNumber="+15550001111")
    begin(livetok, "nobody", 14, phoneNumber=None)

    assert [(line[0], line[2]) for line in lines(show(viewer))] == [
        ("typed", "No minutes used"),
        ("free", "No limit"),
        ("nobody", "No limit"),
    ]


def test_test_traffic_and_filters(livetok, viewer):
    begin(livetok, "live", kind="web")
    begin(livetok, "trial", 11, kind="telephony", livemode=False)

    assert [line[0] for line in lines(show(viewer))] == ["live"]
    assert [line[0] for line in lines(show(viewer, "?test=on"))] == ["live", "trial"]
    assert lines(show(viewer, "?channel=telephony")) == []
    assert "No open session matches every filter" in text_of(show(viewer, "?channel=telephony"))
    assert "Choose from the list" in text_of(show(viewer, "?channel=fax"))


def test_figures_cover_every_open_session_however_few_are_shown(livetok, viewer, monkeypatch):
    monkeypatch.setattr(live, "MOST_SHOWN", 2)
    set_policy(unknown_callers="deny", callers_without_number="serve", callers_without_number_tier=make_tier("guests"))
    make_channel("chat")
    tier = make_tier("premium", limit("call_minutes", 60), limit("call_minutes", 12, "week", channel="telephony"))
    for number in ("+15550000001", "+15550000002", "+15550000003"):
        make_customer(tier, number)
    begin(livetok, "oldest", 57, phoneNumber="+15550000001", kind="web")
    begin(livetok, "again", 40, phoneNumber="+15550000001", kind="chat")
    begin(livetok, "on a limited channel", 11, phoneNumber="+15550000002", kind="telephony")
    begin(livetok, "on another", 10, phoneNumber="+15550000002", kind="web")
    begin(livetok, "nobody", 9, phoneNumber=None)
    begin(livetok, "nobody else", 8, phoneNumber=None)
    begin(livetok, "newest", 1, phoneNumber="+15550000003", kind="web")

    response = show(viewer)
    figures = {figure.label: figure.value for figure in response.context["figures"]}
    assert figures == {"Open now": "7", "Callers": "5", "Longest": "57 min", "Less than 5 min left": "2"}
    assert "The newest 2 of 7 open sessions" in text_of(response)
    assert [line[0] for line in lines(response)] == ["newest", "nobody else"]
    assert [line[0] for line in lines(show(viewer, "?short=on"))] == ["on a limited channel", "oldest"]
    monkeypatch.setattr(live, "MOST_SHOWN", 1)
    assert "The newest 1 of 2 open sessions with little left" in text_of(show(viewer, "?short=on"))


def test_callers_are_told_apart_as_the_sums_do(livetok, viewer):
    set_policy(unknown_callers="deny")
    make_customer(make_tier(), "+15550000001")
    for caller in (("+15550000001", ""), ("+15550000002", ""), ("+15550000002", "crm-1"), (None, "crm-1"), (None, "")):
        begin(livetok, f"of {caller}", phoneNumber=caller[0], customer={"id": caller[1]} if caller[1] else None)
    Session.objects.update(allowed=True, open_until=NOW + timedelta(hours=1), missing_from=NOW + timedelta(hours=1))
    expected = {
        caller_number(session.customer_id, session.phone_key, session.external_id) or f"unnamed {session.pk}"
        for session in Session.objects.all()
    }

    assert show(viewer).context["figures"][1].value == str(len(expected)) == "4"


def test_the_refreshed_part_and_the_file_hold_what_the_page_shows(livetok, viewer):
    begin(livetok, "one", 10)
    begin(livetok, "two", 12, phoneNumber="+15550001111")

    part = show(viewer, "?fragment=1")
    assert "<html" not in part.content.decode()
    assert "data-live" in part.content.decode()
    rows = list(csv.DictReader(io.StringIO(show(viewer, "?format=csv").getvalue().decode("utf-8-sig"))))
    assert [row["Session"] for row in rows] == ["one", "two"]
    assert rows[0]["Number"] == NUMBER
    assert rows[0]["Open for (s)"] == "600"


def test_the_figure_leads_to_the_sessions_behind_it(livetok, viewer):
    begin(livetok, "one")
    response = show(viewer)
    figure = response.context["figures"][0]

    with time_machine.travel(NOW, tick=False):
        linked = viewer.get(figure.address)

    assert figure.value == "1"
    assert [line.session.session_id for line in linked.context["lines"]] == ["one"]


def test_many_customers_stand_as_each_of_them_does_alone(livetok):
    """Around midnight and a month's end in zones far apart, with open sessions, overrides and scopes."""
    now = moment("2024-03-31T22:30:00+00:00")
    tier = make_tier("premium", limit("call_minutes", 60), limit("sessions", 9, "week", channel="web"))
    zones = ["", "Europe/Madrid", "Pacific/Auckland", "America/Los_Angeles"]
    customers = [make_customer(tier, f"+1555000{n:04}", time_zone=zones[n % 4]) for n in range(8)]
    make_override(customers[0], limit("call_minutes", 5), valid_until=now)
    make_override(customers[1], limit("call_minutes", 7, "month"), valid_from=now)
    for number, customer in enumerate(customers):
        for hours in range(0, 60, 7):
            start = now - timedelta(hours=hours, minutes=number)
            caller = {"sessionId": f"{customer.pk}-{hours}", "phoneNumber": f"+1555000{number:04}"}
            kind = "web" if hours % 2 else "telephony"
            with time_machine.travel(start, tick=False):
                livetok.begin(**caller, timestamp=start.isoformat(), kind=kind)
            if hours:
                end = start + timedelta(seconds=1500)
                livetok.end(**caller, timestamp=end.isoformat(), duration=1500)

    stand = standings(list(with_limits(Customer.objects.all(), now)), now)

    for customer in customers:
        found = stand[customer.pk]
        alone = usage_at(customer.pk, now, found.zone, tier.call_hold_minutes)
        assert found.usage == alone
        assert len(found.limits) == (3 if customer == customers[1] else 2)


def test_the_number_of_statements_does_not_grow_with_the_sessions(livetok, viewer):
    make_customer(make_tier("premium", limit("call_minutes", 600)))
    for number in range(3):
        begin(livetok, f"first-{number}", phoneNumber=f"+1555000{number:04}")
    with CaptureQueriesContext(
        connection,
    ) as few:
        show(viewer)
    for number in range(3, 15):
        begin(livetok, f"more-{number}", phoneNumber=f"+1555000{number:04}")
    with CaptureQueriesContext(connection) as many:
        show(viewer)

    assert len(many.captured_queries) == len(few.captured_queries) <= LIVE_STATEMENTS


def test_what_top_ups_have_left_is_left(livetok, viewer):
    ada = make_customer(make_tier("premium", limit("call_minutes", 12)))
    make_top_up(ada, "call_minutes", 20, valid_from=NOW - timedelta(days=1))
    make_top_up(ada, "sessions", 99, valid_from=NOW - timedelta(days=1))
    make_top_up(ada, "call_minutes", 99, valid_from=NOW + timedelta(days=1))

    def told(query=""):
        response = show(viewer, query)
        short = {figure.label: figure.value for figure in response.context["figures"]}["Less than 5 min left"]
        return [(line.left_words, line.limit_words) for line in response.context["lines"]], short

    words = "of 12 call minutes a day and top-ups"
    # Two minutes are left of the day.
    begin(livetok, "first", 10)
    assert told() == ([("22 min", words)], "0")
    assert told("?short=on") == ([], "0")
    # Nothing is left of it, so the next ones hold of the top-up.
    begin(livetok, "used up", 25)
    livetok.end(sessionId="used up", timestamp=(NOW - timedelta(minutes=15)).isoformat(), duration=600)
    begin(livetok, "drawing", 7)
    assert told() == ([("13 min", words), ("13 min", words)], "0")
    begin(livetok, "drawing too", 6)
    begin(livetok, "drawing, too", 3)
    assert told()[0][0] == ("4 min", words)
    assert told()[1] == "4"
