"""Promise 8: how many SQL statements an event costs, and that a customer's past does not make it dearer."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from customers.models import Customer
from sessions_app.livetok.delivery import Delivery
from sessions_app.models import Session
from sessions_app.recording import reading
from sessions_app.usage.recount import differences
from sessions_app.webhook.reception import receive
from tests.builders import NUMBER, begin_body, end_body, limit, make_customer, make_tier

NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)
LIMITS = (limit("call_minutes", 60), limit("sessions", 5000, "month"), limit("concurrent_sessions", 100))


@pytest.fixture(autouse=True)
def _our_clock_agrees_with_livetoks():
    with time_machine.travel(datetime(2024, 3, 15, 10, 36, tzinfo=UTC)):
        yield


@pytest.fixture
def customer(livetok):
    customer = make_customer(make_tier("premium", *LIMITS))
    send(begin_body(sessionId="earlier"))  # its channel and agent are known from here on
    send(end_body(sessionId="earlier"))
    return customer


def send(body):
    reply = receive(json.dumps(body).encode(), route="", received_at=timezone.now(), delivery=Delivery())
    assert reply.status == 200


def statements(body) -> list[str]:
    """The SQL of one event, without the savepoints that stand for a transaction in tests."""
    with CaptureQueriesContext(connection) as captured:
        send(body)
    found = [query["sql"] for query in captured]
    return [sql for sql in found if not sql.startswith(("SAVEPOINT", "RELEASE SAVEPOINT"))]


def test_a_begin_of_a_known_customer(customer, database_name):
    assert len(statements(begin_body())) <= {"postgresql": 2, "sqlite": 7}[database_name]


def test_a_redelivered_begin(customer):
    send(begin_body())

    assert len(statements(begin_body())) <= 3


def test_an_end(customer, database_name):
    send(begin_body())

    assert len(statements(end_body())) <= {"postgresql": 2, "sqlite": 5}[database_name]


def test_a_redelivered_end(customer):
    send(begin_body())
    send(end_body())

    assert len(statements(end_body())) <= 3


def test_a_first_contact_on_a_new_channel_with_a_new_agent(livetok):
    assert len(statements(begin_body())) <= 21


def with_a_busy_month(customer: Customer, count: int) -> None:
    """`count` ended sessions of this month, as `record_change` would have summed them."""
    starts = [NOON - timedelta(minutes=10 * (index + 1)) for index in range(count)]
    Session.objects.bulk_create(
        Session(
            session_id=f"past {index}",
            customer=customer,
            phone_key=NUMBER,
            channel_id="whatsapp",
            agent_id="1",
            allowed=True,
            reason="allowed",
            begin_received_at=start,
            begin_stated_at=start,
            end_received_at=start + timedelta(minutes=1),
            stated_seconds=1,
            duration_seconds=1,
            started_at=start,
            time_zone="UTC",
            open_until=start + timedelta(hours=24),
            missing_from=start + timedelta(hours=24),
        )
        for index, start in enumerate(starts)
    )
    list(differences(repair=True))
    if connection.vendor == "postgresql":  # as its autovacuum does sooner or later
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def explained(sql: str, how: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {how} {sql}")
        return cursor.fetchall()


def selects_of_a_begin() -> list[str]:
    found = statements(begin_body(sessionId="after", timestamp=NOON.isoformat()))
    return [sql for sql in found if sql.lstrip().startswith("SELECT")]


def test_a_busy_month_costs_a_begin_no_statement_more(customer):
    before = statements(begin_body(sessionId="before", timestamp=NOON.isoformat()))

    with_a_busy_month(customer, 2000)

    assert len(statements(begin_body(sessionId="after", timestamp=NOON.isoformat()))) == len(before)


@pytest.mark.only("postgresql")
def test_a_begin_reads_a_bounded_number_of_rows_after_a_busy_month(customer):
    with_a_busy_month(customer, 2000)

    read = {
        sql: sum(_rows_read(explained(sql, "(ANALYZE, FORMAT JSON)")[0][0][0]["Plan"])) for sql in selects_of_a_begin()
    }

    # At most a row for each day of the month; the sessions of the month are not read.
    assert max(read.values()) <= 31, max(read, key=read.__getitem__)


def _rows_read(node: dict[str, Any]) -> Iterator[int]:
    if "Relation Name" in node:
        rows = (
            node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        )
        yield int(rows * node["Actual Loops"])
    for inner in node.get("Plans", []):
        yield from _rows_read(inner)


@pytest.mark.only("sqlite")
def test_a_begin_finds_sessions_and_usage_by_narrow_indexes(customer, monkeypatch):
    met = Event()
    met.set()
    monkeypatch.setattr(reading, "_has_met_changes", met)  # else it depends on the tests before it
    with_a_busy_month(customer, 2000)

    steps = [row[3] for sql in selects_of_a_begin() for row in explained(sql, "QUERY PLAN")]

    # One row is the policy's; `used` are the sums that the statement itself has made; rules that are on are few.
    rules = "SCAN automations_rule USING INDEX rule_active_by_trigger"
    assert {step for step in steps if step.startswith("SCAN")} == {"SCAN p", "SCAN used", rules}
    found = {re.sub("USING .*INDEX [^ ]*", "by", step) for step in steps if "sessions_app_" in step}
    assert {step for step in found if not step.startswith("SEARCH turn")} == {
        "SEARCH sessions_app_session by (session_id=? AND is_test=?)",
        "SEARCH sessions_app_session by (session_id=? AND is_test=? AND number=?)",
        "SEARCH sessions_app_session by (customer_id=? AND open_until>?)",
        "SEARCH sessions_app_dailyusage by (customer_id=? AND day>? AND day<?)",
        "SEARCH drawn by (top_up_id=?) LEFT-JOIN",
    }
