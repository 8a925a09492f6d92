"""Ignored and rejected requests belong to no session, so that nothing but their size bounds how many are kept."""

from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.jobs import bound_events
from sessions_app.database.pieces import BATCH
from sessions_app.models import WebhookEvent
from sessions_app.recording import retention
from sessions_app.recording.retention import delete_events_of_no_session

pytestmark = pytest.mark.django_db
MB = 1_000_000


def noise(size: int) -> bytes:
    """A body that takes as much room when it is packed."""
    return Random(size).randbytes(size)


def make_events(count: int, verdict: str = "ignored", body: bytes | None = noise(1000)) -> None:
    WebhookEvent.objects.bulk_create(
        WebhookEvent(received_at=timezone.now(), verdict=verdict, status=200, took_ms=1, body=body)
        for _ in range(count)
    )


def kept() -> list[tuple[str, int]]:
    rows = WebhookEvent.objects.order_by("pk")
    return [(row.verdict, len(row.body or b"")) for row in rows]


def test_the_oldest_go_until_the_bodies_fit(settings, caplog):
    settings.EVENT_RETENTION_MB = 1
    for verdict, size in (("ignored", 5), ("rejected", 400_000), ("ignored", 400_000), ("rejected", 200_000)):
        make_events(1, verdict, noise(size))

    bound_events(lambda: False)
    assert kept() == [("rejected", 400_000), ("ignored", 400_000), ("rejected", 200_000)]
    make_events(1, "ignored", b"x")
    bound_events(lambda: False)
    assert kept() == [("ignored", 400_000), ("rejected", 200_000), ("ignored", 1)]
    bound_events(lambda: False)

    lines = [record for record in caplog.records if record.name == "frontdesk.worker"]
    assert [(line.deleted, line.most_mb) for line in lines] == [(1, 1), (1, 1)]


def test_those_of_sessions_stay_and_do_not_count():
    for verdict in ("accepted", "redelivered", "corrected"):
        make_events(1, verdict, noise(MB))
    make_events(2, "ignored", noise(100))

    assert delete_events_of_no_session(200) == 0
    assert delete_events_of_no_session(199) == 1
    assert delete_events_of_no_session(99) == 1
    assert [verdict for verdict, _ in kept()] == ["accepted", "redelivered", "corrected"]


def test_many_small_ones_are_bounded_by_their_number():
    make_events(7, "rejected", None)
    make_events(2, "ignored", b"")

    assert delete_events_of_no_session(MB, most=9) == 0
    assert delete_events_of_no_session(MB, most=3) == 6
    assert kept() == [("rejected", 0), ("ignored", 0), ("ignored", 0)]


def test_many_are_measured_some_at_a_time_and_deleted_in_pieces(monkeypatch):
    monkeypatch.setattr(retention, "MEASURED_AT_ONCE", 100)
    make_events(2 * BATCH + 351)

    with CaptureQueriesContext(connection) as statements:
        assert delete_events_of_no_session(350_000) == 2 * BATCH + 1

    measuring = [entry for entry in statements if "LENGTH(" in entry["sql"]]
    deleting = [entry for entry in statements if entry["sql"].startswith("DELETE")]
    assert (len(measuring), len(deleting)) == (4, 3)
    assert WebhookEvent.objects.count() == 350


def test_it_stops_when_asked_to():
    make_events(2 * BATCH + 1)
    answers = iter([False, False, True])

    assert delete_events_of_no_session(1, lambda: next(answers)) == BATCH
    assert delete_events_of_no_session(1, lambda: True) == 0


def test_no_statement_passes_over_the_requests_of_sessions(monkeypatch):
    """Of which there are millions, so that each look would take long."""
    monkeypatch.setattr(retention, "MEASURED_AT_ONCE", 2)
    make_events(300, "accepted")
    make_events(4)
    statements: list[tuple[str, Any]] = []

    def note(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        assert delete_events_of_no_session(2500) == 2

    selects = [(sql, params) for sql, params in statements if sql.startswith("SELECT")]
    assert len(selects) == 3
    for sql, params in selects:
        plan = plan_of(sql, params)
        assert "webhookevent_of_no_session" in plan, (sql, plan)
        assert not any(step in plan.upper() for step in ("SORT", "TEMP B-TREE")), (sql, plan)


def plan_of(sql: str, params: Any) -> str:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # So few rows are read as quickly in other ways.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"{'EXPLAIN' if connection.vendor == 'postgresql' else 'EXPLAIN QUERY PLAN'} {sql}", params)
        return str(cursor.fetchall())
