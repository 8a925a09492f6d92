"""The webhook's health: verdicts, latency, lag, skew, wrong keys, agents and silence."""

import csv
import io
import random
import statistics
from collections import Counter
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions_app.models import RefusedRequests, WebhookEvent
from sessions_app.periods import starts_at
from sessions_app.reports.webhook import page as health
from sessions_app.reports.webhook.silence import silence_at
from sessions_app.reports.webhook.timing import latency_of
from tests.builders import begin_body, moment
from tests.staff import report_page, text_of

NOW = moment("2024-03-15T10:40:00+00:00")
WEBHOOK_STATEMENTS = 28


def show(client, query="", now=NOW):
    return report_page(client, f"webhook/{query}", now)


def figures(response):
    return {
        figure.label: (figure.value, figure.note) for name in ("figures", "timing") for figure in response.context[name]
    }


def counts(response):
    return {line.label: line.count for line in response.context["verdicts"]}


def make_event(received_at, **fields):
    values = {"event": "session_begin", "verdict": "accepted", "status": 200, "took_ms": 5.0}
    return WebhookEvent(received_at=received_at, **{**values, **fields})


def test_every_request_shows_by_what_became_of_it(livetok, viewer):
    with time_machine.travel(NOW - timedelta(minutes=30), tick=False):
        livetok.begin()
        livetok.begin()
        livetok.end(duration=60)
        livetok.end(duration=90)
        livetok.send({"event": "session_paused", "sessionId": "123"})
        assert livetok.send({"event": "session_begin"}).status_code == 400
        livetok.begin(sessionId="trial", livemode=False)
        livetok.secret = "wrong"
        livetok.send(begin_body())

    response = show(viewer)
    assert counts(response) == {"Accepted": 2, "Redelivered": 1, "Corrected": 1, "Ignored": 1, "Rejected": 1}
    assert figures(response)["Requests"][0] == "6"
    assert figures(response)["Redelivered"][0] == "25.0 %"
    assert figures(response)["Wrong keys"] == ("1", "last from 127.0.0.1")
    assert counts(show(viewer, "?test=on"))["Accepted"] == 3
    assert [sum(row["line"].cells) for row in response.context["lines"]] == [6]
    file = list(csv.DictReader(io.StringIO(show(viewer, "?format=csv").getvalue().decode("utf-8-sig"))))
    assert [(row["From"], row["Requests"], row["Rejected"]) for row in file] == [
        ("2024-03-15 10:00:00+00:00", "6", "1")
    ]
    linked = viewer.get(response.context["verdicts"][4].address)
    assert linked.context["cl"].result_count == 1


def test_nothing_to_divide_by_is_a_dash(viewer):
    response = show(viewer)

    assert figures(response)["Redelivered"][0] == figures(response)["Answered in (p95)"][0] == "–"
    assert figures(response)["End lag (median)"][0] == "–"
    assert "Connect LiveTok" in text_of(response)
    assert "No requests in these days." in text_of(response)


def test_latency_is_interpolated_alike_on_both_databases(db):
    dice = random.Random(3)
    took = [round(dice.expovariate(0.2), 3) for _ in range(501)]
    WebhookEvent.objects.bulk_create([make_event(NOW, took_ms=ms) for ms in took])

    found = latency_of(WebhookEvent.objects.all())

    cuts = statistics.quantiles(took, n=100, method="inclusive")
    assert found.count == 501
    assert found.at == {percent: pytest.approx(cuts[percent - 1]) for percent in (50, 95, 99)}


def test_late_ends_and_clocks_that_differ_show(livetok, viewer):
    for number, (skew, late) in enumerate([(1, 2), (1, 3), (61, 600)]):
        begun = NOW - timedelta(hours=2)
        with time_machine.travel(begun + timedelta(seconds=skew), tick=False):
            livetok.begin(sessionId=f"s{number}", timestamp=begun.isoformat())
        with time_machine.travel(begun + timedelta(seconds=60 + late), tick=False):
            livetok.end(sessionId=f"s{number}", timestamp=(begun + timedelta(seconds=60)).isoformat(), duration=60)

    found = figures(show(viewer))
    assert found["Clock skew (median)"][0] == "1 s"
    assert found["End lag (median)"] == ("3 s", "p95 9 min, p99 9 min 48 s, of 3")


def test_each_agent_shows_its_last_event(livetok, viewer):
    for hours, agent in ((3, 1), (5, 2)):
        with time_machine.travel(NOW - timedelta(hours=hours), tick=False):
            begun = (NOW - timedelta(hours=hours)).isoformat()
            livetok.begin(sessionId=f"a{agent}", agentId=agent, agentName=f"Agent {agent}", timestamp=begun)
    with time_machine.travel(NOW - timedelta(hours=1), tick=False):
        livetok.end(sessionId="a2", agentId=2, duration=60)

    lines = show(viewer).context["agents"]
    assert [(str(line.agent), line.last) for line in lines] == [
        ("Agent 2", NOW - timedelta(hours=1)),
        ("Agent 1", NOW - timedelta(hours=3)),
    ]


@pytest.mark.parametrize(
    ("an_hour", "minutes", "is_unusual"), [(60, 6, False), (60, 8, True), (2, 60, False), (2, 240, True)]
)
def test_silence_is_judged_by_what_this_weekday_and_hour_brings(db, an_hour, minutes, is_unusual):
    last = NOW - timedelta(minutes=minutes)
    earlier = NOW.replace(minute=0) - timedelta(weeks=2)
    rows = [
        make_event(earlier + timedelta(weeks=week, minutes=60 * number / an_hour))
        for week in (0, 1)
        for number in range(an_hour)
    ]
    # The hour before brings much more, and does not count.
    rows += [make_event(earlier - timedelta(minutes=number % 50 + 1)) for number in range(500)]
    WebhookEvent.objects.bulk_create([*rows, make_event(last)])

    silence = silence_at(NOW)

    assert (silence.last, silence.usual_per_hour, silence.weeks) == (last, an_hour, 2)
    assert silence.is_unusual == is_unusual


def test_without_a_past_week_no_silence_is_unusual(db, viewer):
    WebhookEvent.objects.bulk_create([make_event(NOW - timedelta(hours=20))])

    assert not silence_at(NOW).is_unusual
    assert "no past week to compare with yet" in text_of(show(viewer))


def test_of_too_many_requests_the_newest_are_taken_and_the_page_says_so(viewer, monkeypatch):
    monkeypatch.setattr(health, "MOST_REQUESTS", 10)
    WebhookEvent.objects.bulk_create([make_event(NOW - timedelta(minutes=minute)) for minute in range(1, 26)])

    response = show(viewer)

    assert counts(response)["Accepted"] == 10
    assert "more than 10 requests in this range" in text_of(response)


def test_wrong_keys_are_those_of_the_range(viewer):
    for hours, count in ((1, 3), (30, 5)):
        at = NOW - timedelta(hours=hours)
        hour = at.replace(minute=0)
        RefusedRequests.objects.create(hour=hour, count=count, last_address="192.0.2.7", last_at=at)

    assert figures(show(viewer))["Wrong keys"] == ("3", "last from 192.0.2.7")
    assert figures(show(viewer, "?period=7d"))["Wrong keys"][0] == "8"


def test_the_page_takes_few_statements(livetok, viewer):
    livetok.begin()
    with CaptureQueriesContext(connection) as queries:
        show(viewer, "?period=30d")

    assert len(queries.captured_queries) <= WEBHOOK_STATEMENTS


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 24)])
def test_requests_stand_by_the_companys_hours_and_days_when_the_clock_changes(viewer, settings, day, hours):
    settings.TIME_ZONE = "Europe/Madrid"
    first, zone = date.fromisoformat(day), ZoneInfo("Europe/Madrid")
    start, end = starts_at(first, zone), starts_at(first + timedelta(days=1), zone)
    moments = [start + timedelta(minutes=20 * number) for number in range(-3, 80)]
    WebhookEvent.objects.bulk_create(make_event(at) for at in moments)
    expected = Counter(f"{at.astimezone(zone):%H}" for at in moments if start <= at < end)

    by_hour = show(viewer, f"?first_day={day}&last_day={day}", end).context["lines"]
    by_day = show(viewer, f"?first_day={first - timedelta(days=1)}&last_day={first + timedelta(days=1)}", end)

    assert {f"{row['line'].at:%H}": row["line"].total for row in by_hour} == expected
    assert len(by_hour) == hours
    assert [f"{row['line'].at:%Y-%m-%d %H:%M}" for row in by_hour][-1] == f"{day} 00:00"
    days = Counter(at.astimezone(zone).date() for at in moments)
    assert [(row["line"].at.date(), row["line"].total) for row in by_day.context["lines"]] == sorted(
        days.items(), reverse=True
    )


@pytest.mark.only("sqlite")
def test_the_first_and_the_last_request_are_found_without_reading_all(viewer):
    with CaptureQueriesContext(connection) as queries:
        silence_at(NOW)
    plans = []
    for query in queries:
        with connection.cursor() as cursor:
            plans += [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}").fetchall()]

    assert plans
    assert all("received_at" in plan for plan in plans)
    assert not [query for query in queries if "MIN" in query["sql"]]
