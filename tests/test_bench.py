"""The bench's own parts: what it sends is what LiveTok sends, and its lines say what was reached."""

import json
from datetime import UTC, datetime

import pytest

from benchmarks.goals import goal_line, short_line
from benchmarks.livetok import Event
from benchmarks.sql import execute
from benchmarks.stored import findings
from benchmarks.traffic import DURATION_SECONDS, begin_template, end_template, number_of
from sessions_app.livetok.events import SessionBegin, SessionEnd
from sessions_app.livetok.payloads import read_event

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


def sent(template):
    """The header and the body of the request of the fifth session, by the third customer."""
    head, _, body = (template % (5, 3)).partition(b"\r\n\r\n")
    return head.decode(), body


def read(body):
    return read_event(body, route="", received_at=NOW, phone_region="")


def test_the_bench_sends_a_begin_and_its_end_as_livetok_does():
    begin = read(sent(begin_template("/begin", "key", "run-", NOW))[1])
    end = read(sent(end_template("/end", "key", "run-", NOW))[1])

    assert isinstance(begin, SessionBegin)
    assert isinstance(end, SessionEnd)
    assert begin.session_id == end.session_id == "run-0000000005"
    assert begin.caller.identity == end.caller.identity == ("number", number_of(3))
    assert (begin.at, end.duration_seconds) == (NOW, DURATION_SECONDS)
    assert begin.flags == end.flags == frozenset()


@pytest.mark.parametrize("template", [begin_template, end_template])
def test_the_bench_states_the_length_of_what_it_sends(template):
    head, body = sent(template("/begin", "key", "run-", NOW))

    assert f"Content-Length: {len(body)}" in head.split("\r\n")
    assert json.loads(body)


@pytest.mark.parametrize(
    "name, value, line",
    [
        ("of_floor", 0.25, "goal sqlite_of_floor 0.25 0.25 ok"),
        ("of_floor", 0.2, "goal sqlite_of_floor 0.2 0.25 short"),
        ("of_straight", 3.456, "goal sqlite_of_straight 3.46 3 ok"),
        ("p99_of_median", 12.0, "goal sqlite_p99_of_median 12 10 short"),
        ("flat_with_many_sessions", 1.1, "goal sqlite_flat_with_many_sessions 1.1 1.25 ok"),
    ],
)
def test_a_goals_line_says_whether_it_was_reached(name, value, line):
    assert goal_line("sqlite", name, value) == line


@pytest.mark.parametrize("ratio, verdict", [(4.0, "ok"), (3.0, "ok"), (2.99, "short")])
def test_the_short_form_takes_no_fall_by_a_quarter(ratio, verdict):
    assert short_line("sqlite", ratio, expected=4.0) == f"goal sqlite_of_straight {ratio:.3g} 3 {verdict}"


@pytest.mark.only("sqlite")
def test_what_a_balancer_may_send_to_two_nodes_may_be_logged_twice_for_each_try_and_no_more(tmp_path):
    url = f"sqlite:///{tmp_path}/x.sqlite3"
    logged = ["a", "a", "b", "b", "b"]
    execute(url, "CREATE TABLE sessions_app_session (session_id, answer, begin_body, end_body)")
    execute(url, "CREATE TABLE sessions_app_webhookevent (event, session_id, status)")
    for session_id in logged:
        execute(url, f"INSERT INTO sessions_app_webhookevent VALUES ('end', '{session_id}', 200)")
    events = [Event("end", "a", b"", tries=1), Event("end", "b", b"", tries=1)]

    assert findings(events, url).logged_too_often == 2
    assert findings(events, url, arrivals=2).logged_too_often == 1
