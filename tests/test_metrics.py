"""`/metrics` for Prometheus: who may read it, what it counts, and what it says of now."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from automations.models import Delivery
from config.metrics import gauges as now
from config.metrics import spool as spool_now
from customers.keys import create_key
from sessions_app.models import Node, RefusedRequests, SpoolPlace
from sessions_app.recording import clock
from sessions_app.spool.files import set_aside_folder, spool_files
from sessions_app.webhook.hourly import HourlyCounter
from sessions_app.webhook.refused import write_refused
from tests.api import Api
from tests.builders import begin_body, end_body
from tests.following import make_destination
from tests.outages import database_away
from tests.test_spool import largest_file

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _a_look_of_its_own(monkeypatch, settings, tmp_path):
    """Nothing remembered from before, and a data folder of its own."""
    monkeypatch.setattr(now, "KEPT_SECONDS", 0)
    monkeypatch.setattr(now.gauges, "_channels", {})
    monkeypatch.setattr(now.gauges, "_looked_far_at", -math.inf)
    settings.DATA_DIR = tmp_path


@pytest.fixture
def prometheus(db):
    return Api("read")


def scraped(api) -> dict[str, float]:
    """Every sample by its name and labels, such as `name{a="b"}`."""
    response = api.request("GET", "/metrics")
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = {}
    for family in text_string_to_metric_families(response.content.decode()):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


@contextmanager
def counting(api) -> Iterator[dict[str, float]]:
    """What the block adds to the counted requests, by kind and verdict."""
    before, added = requests_in(scraped(api)), {}
    yield added
    after = requests_in(scraped(api))
    added.update({name: after[name] - before[name] for name in after if after[name] != before[name]})


def requests_in(samples) -> dict[str, float]:
    prefix = "frontdesk_webhook_requests_total"
    return {name.removeprefix(prefix): value for name, value in samples.items() if name.startswith(prefix)}


def test_a_key_is_asked_for_wherever_the_request_comes_from(client, monkeypatch):
    monkeypatch.setattr("config.metrics.view.refused_requests", HourlyCounter(write_refused))
    create_key("Somebody", ["read"])
    for headers in ({}, {"X-API-Key": "fd_12345678_guessed"}, {"Authorization": "Bearer nothing"}):
        response = client.get("/metrics", headers=headers, REMOTE_ADDR="127.0.0.1")
        assert response.status_code == 401
        assert b"frontdesk_" not in response.content
    assert RefusedRequests.objects.get().last_address == "127.0.0.1"


@pytest.mark.parametrize(("scope", "status"), [("read", 200), ("manage", 200), ("webhook", 403)])
def test_the_keys_scope_is_read(scope, status):
    assert Api(scope).request("GET", "/metrics").status_code == status


def test_both_headers_are_taken_under_any_host_without_a_redirect(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    _, secret = create_key("Prometheus", ["read"])
    for headers in ({"X-API-Key": secret}, {"Authorization": f"Bearer {secret}"}):
        for path in ("/metrics", "/metrics/"):
            answered = client.get(path, headers={"host": "anything.example", "Accept": "text/html", **headers})
            assert answered.status_code == 200
            assert answered["Cache-Control"] == "no-store"
    assert client.post("/metrics", headers={"X-API-Key": secret}).status_code == 405


def test_each_request_is_counted_once_by_kind_and_verdict(prometheus, livetok):
    with counting(prometheus) as added:
        livetok.begin(sessionId="1")
        livetok.begin(sessionId="1")
        livetok.begin(sessionId="2")
        livetok.end(sessionId="1", duration=10)
        livetok.end(sessionId="1", duration=20)
        livetok.send({"event": "session_begin"})
        livetok.send(b"no JSON")
        livetok.send(bytes(70_000))
        livetok.send({"event": "agent_made"})
        livetok.client.get("/webhooks/livetok")

    assert added == {
        '{kind="begin",verdict="accepted"}': 2,
        '{kind="begin",verdict="redelivered"}': 1,
        '{kind="end",verdict="accepted"}': 1,
        '{kind="end",verdict="corrected"}': 1,
        '{kind="begin",verdict="rejected"}': 1,
        '{kind="other",verdict="rejected"}': 2,
        '{kind="other",verdict="ignored"}': 1,
    }


def test_strangers_are_counted_and_leave_the_durations_alone(prometheus, livetok):
    before = scraped(prometheus)
    with counting(prometheus) as added:
        livetok.client.post("/webhooks/livetok/begin", b"{}", content_type="application/json")
        livetok.client.post("/webhooks/livetok", b"{}", content_type="application/json")
        prometheus.request("POST", "/webhooks/livetok/end", {})  # a key, and of another scope

    assert added == {f'{{kind="{kind}",verdict="unauthorized"}}': 1 for kind in ("begin", "other", "end")}
    durations = [name for name in before if name.startswith("frontdesk_webhook_duration")]
    after = scraped(prometheus)
    assert {name: after[name] - before[name] for name in durations} == dict.fromkeys(durations, 0)


@pytest.mark.django_db(transaction=True)
def test_what_is_done_without_the_database_is_counted_by_what_was_done(prometheus, livetok, settings):
    livetok.begin(sessionId="before")
    with counting(prometheus) as added, database_away():
        livetok.begin(sessionId="1")
        livetok.end(sessionId="1")
        settings.DECISION_FALLBACK = "retry"
        assert livetok.send(begin_body(sessionId="2"), "/webhooks/livetok/begin").status_code == 503
        with largest_file(0):
            assert livetok.send(end_body(sessionId="1")).status_code == 503

    assert added == {
        '{kind="begin",verdict="fallback"}': 1,
        '{kind="end",verdict="spooled"}': 1,
        '{kind="begin",verdict="unstored"}': 1,
        '{kind="other",verdict="unstored"}': 1,
    }


def test_our_own_fault_is_counted(prometheus, livetok, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("broken")

    livetok.client.raise_request_exception = False
    with counting(prometheus) as added, monkeypatch.context() as patch:
        patch.setattr("sessions_app.webhook.views.receive", broken)
        assert livetok.send(begin_body()).status_code == 500

    assert added == {'{kind="other",verdict="failed"}': 1}


def test_durations_fall_into_buckets_from_a_millisecond_to_a_second(prometheus, livetok):
    before = scraped(prometheus)
    livetok.begin()
    after = scraped(prometheus)
    added = {name: after[name] - before[name] for name in after if name in before}
    buckets = [name for name in after if name.startswith('frontdesk_webhook_duration_seconds_bucket{kind="begin"')]

    assert len(buckets) == 16
    assert {'le="0.001"', 'le="0.5"', 'le="1.0"', 'le="+Inf"'} < {name.split(",")[1].rstrip("}") for name in buckets}
    assert added['frontdesk_webhook_duration_seconds_bucket{kind="begin",le="+Inf"}'] == 1
    assert added['frontdesk_webhook_duration_seconds_count{kind="begin"}'] == 1
    assert 0 < added['frontdesk_webhook_duration_seconds_sum{kind="begin"}'] < 5


def test_gauges_say_how_it_stands(prometheus, livetok):
    started = timezone.now().timestamp()
    livetok.begin(sessionId="1", kind="web", timestamp=timezone.now().isoformat())
    livetok.begin(sessionId="2", kind="whatsapp", timestamp=timezone.now().isoformat())
    livetok.end(sessionId="2", kind="whatsapp")
    open_ones = make_destination()
    make_destination(paused_at=timezone.now())
    for age, finished in ((600, False), (60, False), (6000, True)):
        moment = timezone.now() - timedelta(seconds=age)
        state = {"state": "delivered", "finished_at": moment} if finished else {}
        Delivery.objects.create(destination=open_ones, body=b"", created_at=moment, next_attempt_at=moment, **state)
    seen_at = timezone.now() - timedelta(seconds=30)
    Node.objects.create(id=uuid4(), hostname="other", started_at=seen_at, beat_at=seen_at)
    samples = scraped(prometheus)

    assert samples["frontdesk_open_sessions"] == 1
    assert samples["frontdesk_deliveries_waiting"] == 2
    assert 600 <= samples["frontdesk_deliveries_oldest_age_seconds"] < 660
    assert samples["frontdesk_destinations_paused"] == 1
    assert started <= samples['frontdesk_channel_last_begin_timestamp_seconds{channel="web"}'] < started + 60
    assert started <= samples['frontdesk_channel_last_end_timestamp_seconds{channel="whatsapp"}'] < started + 60
    assert 'frontdesk_channel_last_end_timestamp_seconds{channel="web"}' not in samples
    assert -60 < samples["frontdesk_worker_last_seen_timestamp_seconds"] - started < -20
    assert samples["frontdesk_database_up"] == 1
    assert 0 < samples['frontdesk_disk_free_bytes{folder="data"}'] < samples['frontdesk_disk_size_bytes{folder="data"}']


def test_the_worker_of_a_folder_without_destinations_is_seen_by_the_clock(prometheus):
    assert scraped(prometheus)["frontdesk_worker_last_seen_timestamp_seconds"] == 0
    clock.Clock().may_be_believed()

    assert abs(scraped(prometheus)["frontdesk_worker_last_seen_timestamp_seconds"] - timezone.now().timestamp()) < 60


@pytest.mark.django_db(transaction=True)
def test_the_spool_is_told_by_what_is_not_fed_yet(prometheus, livetok):
    livetok.begin(sessionId="before")
    with database_away():
        for number in range(3):
            livetok.begin(sessionId=f"s{number}")
    (file,) = spool_files()
    first = len(file.read_bytes().splitlines(keepends=True)[0])
    SpoolPlace.objects.create(name=file.name, fed_bytes=first)
    set_aside_folder().mkdir()
    (set_aside_folder() / f"aside{file.suffix}").write_bytes(b"12345")
    samples = scraped(prometheus)

    assert samples['frontdesk_spool_requests{state="waiting"}'] == 2
    assert samples['frontdesk_spool_bytes{state="waiting"}'] == file.stat().st_size - first
    assert samples['frontdesk_spool_requests{state="set_aside"}'] == 1
    assert samples['frontdesk_spool_bytes{state="set_aside"}'] == 5
    file.unlink()
    assert scraped(prometheus)['frontdesk_spool_requests{state="waiting"}'] == 0
    assert spool_now._counts._read == {}


@pytest.mark.django_db(transaction=True)
def test_while_the_database_is_away_what_was_counted_is_still_told(prometheus, livetok):
    livetok.begin()
    before = requests_in(scraped(prometheus))
    with database_away():
        samples = scraped(prometheus)
        assert Api().request("GET", "/metrics").status_code == 401
        unknown = prometheus.client.get("/metrics", headers={"X-API-Key": "fd_12345678_made_lately"})

    assert samples["frontdesk_database_up"] == 0
    assert requests_in(samples) == before
    assert "frontdesk_open_sessions" not in samples
    assert 'frontdesk_disk_free_bytes{folder="data"}' in samples
    assert unknown.status_code == 503
    assert "cannot be reached" in json.loads(unknown.content)["detail"]


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_in_the_midst_is_told_and_asked_again(prometheus, livetok, monkeypatch):
    def fails():
        raise OperationalError("it went away")

    scraped(prometheus)
    with monkeypatch.context() as patch:
        patch.setattr(now, "_of_deliveries", fails)
        samples = scraped(prometheus)

    assert samples["frontdesk_database_up"] == 0
    assert "frontdesk_open_sessions" not in samples, "half of it would look like an answer"
    assert scraped(prometheus)["frontdesk_database_up"] == 1


def test_gauges_are_read_once_in_five_seconds(prometheus, livetok, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(now, "KEPT_SECONDS", 5)
    monkeypatch.setattr(now.gauges, "_looked_at", -math.inf)
    with django_assert_max_num_queries(15):
        scraped(prometheus)
    livetok.begin()
    with django_assert_max_num_queries(0):
        assert scraped(prometheus)["frontdesk_open_sessions"] == 0


def test_a_channel_that_is_heard_seldom_is_remembered(prometheus, livetok, monkeypatch):
    livetok.begin(sessionId="1", kind="sms", timestamp=timezone.now().isoformat())
    scraped(prometheus)
    monkeypatch.setattr("sessions_app.reports.webhook.channels.NEWEST_EVENTS", 1)
    livetok.begin(sessionId="2", kind="web", timestamp=timezone.now().isoformat())
    samples = scraped(prometheus)

    assert {name for name in samples if "last_begin" in name} == {
        f'frontdesk_channel_last_begin_timestamp_seconds{{channel="{channel}"}}' for channel in ("sms", "web")
    }


def test_in_memory_nothing_is_written(prometheus, livetok, settings):
    livetok.begin()
    scraped(prometheus)

    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
    assert not (settings.DATA_DIR / "metrics").exists()
