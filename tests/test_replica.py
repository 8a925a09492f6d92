"""Reports read a replica: a real one, which falls behind, is frozen, or dies in the midst of a file."""

import re
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import DataError, OperationalError, connection, connections
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from config import time_limit
from config.backups.places import working_on
from config.metrics import gauges
from config.time_limit import limited_statements
from sessions_app.database import replica, shared_connections
from sessions_app.database.replica import (
    AWAY,
    FAILED,
    REFUSES,
    Reading,
    Seen,
    read_connection,
    reading_from,
    reading_of_reports,
    steadily,
)
from sessions_app.database.shared_connections import REPLICA_ALIAS
from sessions_app.database.snapshots import one_snapshot
from sessions_app.models import Node, Session, SpoolPlace
from sessions_app.reports.frame import export
from tests.api import Api
from tests.builders import make_customer, make_livetok, make_tier
from tests.fleet import heard_of
from tests.live import ROOT
from tests.outages import killed
from tests.pairs import DATABASE, Pair, wait_until
from tests.poolers import pgbouncer
from tests.staff import staff, text_of
from tests.test_metrics import scraped
from tests.test_shared_connections import shared  # noqa: F401 - a fixture

pytestmark = [pytest.mark.only("postgresql"), pytest.mark.serial]

AS_OF = re.compile(r"As of \d\d:\d\d:\d\d ?, from the replica for reports\.")
FIRST_DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILLED = "auth_user, customers_apikey, customers_customer, customers_tier, sessions_app_node, sessions_app_session"


@pytest.fixture
def on_pair(pair: Pair, django_db_blocker, settings, monkeypatch):
    """In place of the tests' own database: the pair's primary, and its standby as the replica. A worker beats."""
    here = {name: connection.settings_dict[name] for name in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
    stop = threading.Event()
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict.update(_place(pair.primary.url))
        connections.databases[REPLICA_ALIAS] = connection.settings_dict | _place(pair.standby.url)
        settings.DATABASE_ROUTERS = ["sessions_app.database.replica.Router"]
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {FILLED} CASCADE")
        beating = threading.Thread(target=_beat, args=(pair.url_of(pair.primary, DATABASE), heard_of("w").pk, stop))
        beating.start()
        try:
            pair.catch_up()
            monkeypatch.setattr(replica, "_lookout", replica._Lookout())
            yield pair
        finally:
            stop.set()
            beating.join()
            Node.objects.all().delete()  # to others, it would seem to run
            connections[REPLICA_ALIAS].close()
            del connections[REPLICA_ALIAS]
            del connections.databases[REPLICA_ALIAS]
            connection.close()
            connection.settings_dict.update(here)


def _place(url: str) -> dict[str, str]:
    told = urlsplit(url)
    return {"NAME": DATABASE, "HOST": told.hostname, "PORT": told.port, "USER": told.username} | {
        "PASSWORD": told.password
    }


def _beat(url: str, pk, stop: threading.Event) -> None:
    """As each node's worker does, more often."""
    with psycopg.connect(url, autocommit=True) as database:
        while not stop.wait(0.1):
            database.execute("UPDATE sessions_app_node SET beat_at = now() WHERE id = %s", [pk])


@pytest.fixture
def viewer(on_pair: Pair):
    client = staff("viewers")
    on_pair.catch_up()
    return client


def shown(client, path: str = "sessions/") -> str:
    response = client.get(f"/reports/{path}")
    assert response.status_code == 200
    return text_of(response)


def add_sessions(count: int = 1) -> None:
    Session.objects.bulk_create(
        Session(
            session_id=f"s{number}",
            started_at=FIRST_DAY + timedelta(hours=7 * number),
            begin_received_at=FIRST_DAY,
            end_received_at=FIRST_DAY,
            missing_from=FIRST_DAY,
            duration_seconds=number % 7,
            allowed=True,
            reason="allowed",
        )
        for number in range(count)
    )


def test_a_page_is_of_the_replica_and_says_as_of_when(viewer, on_pair):
    with on_pair.replay_paused():
        add_sessions()
        pk = Session.objects.get().pk
        text = shown(viewer, "sessions/?first_day=2026-03-01&last_day=2026-03-31")

        assert AS_OF.search(text)
        assert "No sessions here" in text
        # A link to what it has not got yet leads there all the same.
        assert "From the main database, since the replica for reports has not got it so far" in shown(
            viewer, f"sessions/{pk}/"
        )
    on_pair.catch_up()
    assert "1 session" in shown(viewer, "sessions/?first_day=2026-03-01&last_day=2026-03-31")
    assert AS_OF.search(shown(viewer, f"sessions/{pk}/"))


WITHOUT_FRAME = {"callers/", "customers/?part=groups"}
PAGES = [
    "", "callers/", "customers/", "customers/?part=groups", "customers/top/", "customers/candidates/",
    "customers/unknown/", "statements/",
    "webhook/", "live/", "live/?fragment=1", "sessions/",
]  # fmt: skip


def test_every_report_reads_nothing_but_the_replica(viewer, on_pair):
    add_sessions()
    on_pair.catch_up()
    for path in PAGES:
        shown(viewer, path)  # who signs in and what is remembered aside
    asked: list[str] = []

    def note(execute, sql, params, many, context):
        if not re.search("django_session|auth_user|auth_permission|django_content_type", sql):
            asked.append(sql)
        return execute(sql, params, many, context)

    for path in PAGES:
        replica._lookout.seen()
        with connections["default"].execute_wrapper(note):
            text = shown(viewer, path)
        assert AS_OF.search(text) or path in WITHOUT_FRAME, path
        assert [sql for sql in asked if "clock_timestamp" not in sql] == [], path


def test_what_is_read_in_one_snapshot_is_so_on_the_replica(on_pair):
    with reading_from(reading_of_reports(has_just_written=False)), one_snapshot():
        assert Session.objects.count() == 0
        with psycopg.connect(on_pair.url_of(on_pair.primary, DATABASE)) as database:
            database.execute("INSERT INTO sessions_app_spoolplace (name, fed_bytes) VALUES ('new', 0)")
        on_pair.catch_up()
        assert not SpoolPlace.objects.filter(name="new").exists()
    with reading_from(reading_of_reports(has_just_written=False)):
        assert SpoolPlace.objects.filter(name="new").exists()
    SpoolPlace.objects.all().delete()


def test_a_replica_that_is_behind_is_not_read_and_then_it_is_again(viewer, on_pair, monkeypatch):
    monkeypatch.setattr(replica, "MOST_BEHIND", timedelta(seconds=0.6))
    with on_pair.replay_paused():
        add_sessions()
        wait_until(lambda: "seconds behind" in shown(viewer))
        text = shown(viewer, "sessions/?first_day=2026-03-01&last_day=2026-03-31")
        assert re.search(r"From the main database, since the replica for reports is \d+ seconds behind\.", text)
        assert "1 session" in text
    wait_until(lambda: bool(AS_OF.search(shown(viewer))))


def test_without_a_heartbeat_nobody_knows_how_far_it_is(viewer, on_pair):
    Node.objects.all().delete()
    on_pair.catch_up()
    replica._lookout.look_again()

    assert "since the replica for reports has no heartbeat of a worker." in shown(viewer)


def test_a_frozen_replica_costs_a_page_seconds_and_no_error(viewer, on_pair, monkeypatch):
    monkeypatch.setattr(replica, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(replica, "AWAY_SECONDS", 0.5)
    monkeypatch.setattr(replica, "SEEN_SECONDS", 60.0)
    assert AS_OF.search(shown(viewer))
    with on_pair.standby_frozen():
        # As it was well when it was looked at, it is asked, and given up in the midst of the page.
        assert f"since {FAILED}." in shown(viewer)
        assert "since the replica for reports does not answer." in shown(viewer)
    wait_until(lambda: bool(AS_OF.search(shown(viewer))))


def test_what_was_seen_long_ago_is_looked_at_again_at_once(on_pair, monkeypatch):
    monkeypatch.setattr(replica, "AWAY_SECONDS", 0.0)
    replica._lookout._believe(Seen(problem=AWAY))
    assert replica.seen_replica().problem == AWAY  # and somebody else looks
    wait_until(lambda: not replica.seen_replica().problem)

    monkeypatch.setattr(replica, "FORGOTTEN_SECONDS", 0.0)
    replica._lookout._believe(Seen(problem=AWAY))
    assert not replica.seen_replica().problem


def test_a_refusal_is_an_answer_and_a_fault_of_ours_is_none_of_the_replicas(on_pair, monkeypatch, caplog):
    reading = reading_of_reports(has_just_written=False)
    with reading_from(reading), pytest.raises(DataError):
        steadily(lambda: read_connection().cursor().execute("SELECT 1 / 0"))
    assert reading.is_of_replica

    monkeypatch.setattr(replica, "_NEWEST_BEAT", "SELECT no_such_column FROM sessions_app_node")
    replica._lookout.look_again()
    assert replica.seen_replica().problem == REFUSES
    [told] = [record for record in caplog.records if record.message == REFUSES]
    assert "no_such_column" in told.error

    monkeypatch.setitem(connections[REPLICA_ALIAS].settings_dict, "NAME", "nowhere")
    assert replica._takes_connections()


def test_who_has_just_changed_something_reads_the_primary(on_pair):
    client = staff("administrators")
    on_pair.catch_up()
    assert AS_OF.search(shown(client))

    client.post("/admin/customers/tier/add/", {})

    assert "since the replica for reports may lack what you just changed." in shown(client)
    del client.cookies["just_wrote"]
    assert AS_OF.search(shown(client))


def test_closing_a_month_reads_the_primary(on_pair):
    client = staff("administrators")
    on_pair.catch_up()
    text = shown(client, "statements/close/?month=2026-03")

    assert "replica" not in text


@pytest.mark.usefixtures("_shared")
def test_reports_share_connections_to_the_replica_and_livetok_holds_none(viewer, on_pair):
    livetok = make_livetok()
    shown(viewer)
    [held] = shared_connections._free_of_replica
    livetok.begin()
    shown(viewer)
    viewer.get("/admin/")

    assert shared_connections._free_of_replica == [held]
    assert held.connection.info.status == psycopg.pq.ConnStatus.OK


def test_livetok_reads_and_writes_the_primary(on_pair):
    livetok = make_livetok()
    with on_pair.replay_paused():
        livetok.begin(sessionId="one")
        livetok.end(sessionId="one")

    assert Session.objects.get(session_id="one").has_end


def test_files_are_whole_though_the_replica_dies_in_the_midst_of_them(viewer, on_pair, monkeypatch):
    """By start they are read stretch by stretch, else place by place."""
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 5)
    monkeypatch.setattr("sessions_app.reports.list.queries.ROWS_AT_ONCE", 10)
    monkeypatch.setattr("sessions_app.reports.list.queries.MOST_ROWS_AT_ONCE", 8)
    add_sessions(100)
    tier = make_tier()
    customers = [make_customer(tier, f"+1555000{number}", name=f"c{number}").pk for number in range(3)]
    sessions = list(Session.objects.all())
    for session in sessions:
        session.customer_id = customers[session.pk % 3]
    Session.objects.bulk_update(sessions, ["customer"])
    on_pair.catch_up()
    address = "/reports/sessions/?first_day=2026-03-01&last_day=2026-03-31&format=csv&sort="
    orders = ("started", "customer")
    whole = [b"".join(viewer.get(address + order).streaming_content) for order in orders]
    assert [file.count(b"\r\n") for file in whole] == [101, 101]

    responses = [viewer.get(address + order) for order in orders]
    files = [iter(response.streaming_content) for response in responses]
    begun = [[next(file) for _ in range(3)] for file in files]
    with killed(on_pair.standby):
        assert [b"".join([*parts, *file]) for parts, file in zip(begun, files, strict=True)] == whole
        for response in responses:
            response.close()
        assert "since the replica for reports does not answer." in shown(viewer)


def test_what_recovery_breaks_off_is_read_from_the_primary(on_pair):
    reading = reading_of_reports(has_just_written=False)
    read_from = []

    def read() -> int:
        with read_connection().cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            read_from.append(cursor.fetchone()[0])
            cursor.execute("SELECT count(*) FROM sessions_app_spoolplace, pg_sleep(%s)", [5 if read_from[-1] else 0])
            return cursor.fetchone()[0]

    def stand_in_the_way() -> None:
        with psycopg.connect(on_pair.url_of(on_pair.primary, DATABASE)) as database:
            wait_until(lambda: bool(read_from))
            database.execute("LOCK TABLE sessions_app_spoolplace IN ACCESS EXCLUSIVE MODE")
            database.execute("SELECT pg_logical_emit_message(true, '', '')")

    other = threading.Thread(target=stand_in_the_way)
    other.start()
    with reading_from(reading):
        assert steadily(read) == 0
    other.join()

    assert read_from == [True, False]
    assert reading.problem == FAILED


def test_behind_a_pooler_reports_read_the_replica_and_a_time_limit_stops_their_statements(
    viewer, on_pair, settings, monkeypatch
):
    """The limit of a statement and that of a frozen replica hold at once, and neither is a setting of the session."""
    settings.DATABASE_POOLER, settings.DATABASE_PREPARE = "transaction", False
    with pgbouncer(on_pair.primary.url, pool_size=2) as pooler, working_on({"PORT": urlsplit(pooler.url).port}):
        make_livetok().begin(sessionId="pooled", timestamp=FIRST_DAY.isoformat())
        on_pair.catch_up()
        text = shown(viewer, "sessions/?first_day=2026-03-01&last_day=2026-03-31")
        assert AS_OF.search(text)
        assert "1 session" in text

        monkeypatch.setattr(time_limit, "STATEMENT_SECONDS", 0.2)
        asked = limited_statements(lambda request: steadily(slow) or HttpResponse())
        reading = reading_of_reports(has_just_written=False)
        with reading_from(reading), pytest.raises(OperationalError, match="canceling statement due to user request"):
            asked(HttpRequest())
        assert reading.is_of_replica
        with reading_from(reading), read_connection().cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)


def slow() -> None:
    with read_connection().cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")


def test_doctor_and_metrics_say_how_the_replica_stands_and_doctor_reads_the_primary(viewer, on_pair, monkeypatch):
    monkeypatch.setattr(gauges, "KEPT_SECONDS", 0)
    monkeypatch.setattr(replica, "MOST_BEHIND", timedelta(seconds=1.5))
    prometheus = Api("read")
    of_replica = {name: value for name, value in scraped(prometheus).items() if "replica" in name}
    assert of_replica.keys() == {"frontdesk_replica_read", "frontdesk_replica_lag_seconds"}
    assert of_replica["frontdesk_replica_read"] == 1
    assert 0 <= of_replica["frontdesk_replica_lag_seconds"] < 1.5
    explained = (ROOT / "docs/watching.md").read_text()
    assert all(f"| `{name}`" in explained for name in of_replica)

    text = shown(viewer, "health/")
    assert "Reports read it." in text
    assert not AS_OF.search(text), "what it says of the database is of the primary"

    with on_pair.replay_paused():
        wait_until(lambda: scraped(prometheus)["frontdesk_replica_read"] == 0)
        assert scraped(prometheus)["frontdesk_replica_lag_seconds"] > 1.5
        text = shown(viewer, "health/")
    assert re.search(r"Reports read the main database, since the replica for reports is \d+ seconds behind\.", text)


def test_nothing_is_written_to_the_replica(on_pair):
    with reading_from(Reading(Seen(as_of=timezone.now()))):
        Node.objects.update(beat_at=Now())
        heard_of("other")
    assert Node.objects.count() == 2
