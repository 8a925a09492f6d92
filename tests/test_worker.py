"""What `manage.py worker` does by the clock."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from config import jobs
from config.jobs import (
    BACKING_UP,
    ERASING,
    FEEDING,
    FOLLOWING,
    JOBS,
    REFRESHING,
    Job,
    prune_events,
    run_jobs,
    run_worker,
)
from sessions_app.database.pieces import BATCH
from sessions_app.models import WebhookEvent
from sessions_app.recording.retention import delete_events


def make_events(*ages_in_days: float) -> None:
    now = timezone.now()
    WebhookEvent.objects.bulk_create(
        WebhookEvent(received_at=now - timedelta(days=age), verdict="accepted", status=200, took_ms=1)
        for age in ages_in_days
    )


@pytest.mark.django_db
def test_events_older_than_the_retention_are_deleted(settings):
    settings.EVENT_RETENTION_DAYS = 7
    make_events(0, 6.9, 7.1, 400)
    prune_events(lambda: False)
    assert WebhookEvent.objects.count() == 2
    oldest = WebhookEvent.objects.order_by("received_at").first()
    assert oldest.received_at > timezone.now() - timedelta(days=7)


@pytest.mark.django_db
def test_many_events_are_deleted_in_batches():
    make_events(*[2] * (2 * BATCH + 1), 0)
    assert delete_events(timezone.now() - timedelta(days=1)) == 2 * BATCH + 1
    assert WebhookEvent.objects.count() == 1


@pytest.mark.django_db
def test_deleting_stops_when_asked_to():
    make_events(*[2] * (BATCH + 1))
    answers = iter([False, True])
    assert delete_events(timezone.now(), lambda: next(answers)) == BATCH


def test_jobs_are_done_in_their_time():
    every = {job.name: job.every for job in BACKING_UP + ERASING + FEEDING + FOLLOWING + REFRESHING + JOBS}
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    assert every == {
        "back up": minute,
        "erase customers": timedelta(seconds=10),
        "erase from disk": minute,
        "prune sessions": minute,
        "feed spool": second,
        "refresh contexts": second,
        "settle scheduled changes": timedelta(seconds=2),
        "prune contexts": timedelta(hours=1),
        "prune events": minute,
        "bound events": timedelta(minutes=10),
        "prune past months' writes": timedelta(hours=1),
        "keep sums": minute,
        "judge what happened": timedelta(seconds=0.5),
        "make new callers searchable": timedelta(seconds=2),
        "tell missing ends": minute,
        "look for silence": minute,
        "send digests": minute,
        "prune deliveries": timedelta(hours=1),
        "prune sign-ins": timedelta(hours=1),
        "forget dead nodes": timedelta(hours=1),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError("the database is away"), ValueError("a mistake")])
def test_a_job_that_fails_is_logged_and_comes_again(error, caplog):
    stop, calls = threading.Event(), []

    def fail_twice(should_stop) -> None:
        calls.append("failing")
        if len(calls) < 3:
            raise error
        stop.set()

    run_jobs([Job("failing", timedelta(milliseconds=5), fail_twice)], stop)
    assert len(calls) == 3
    assert [record.job for record in caplog.records] == ["failing", "failing"]


@pytest.mark.django_db
def test_a_connection_that_cannot_be_closed_ends_nothing(monkeypatch):
    stop, calls = threading.Event(), []

    def fail_once():
        calls.append("closing")
        if len(calls) == 1:
            raise ValueError("a mistake")

    monkeypatch.setattr(jobs, "close_old_connections", fail_once)
    run_jobs([Job("working", timedelta(milliseconds=5), lambda should_stop: stop.set())], stop)
    assert calls == ["closing"] * 2


@pytest.mark.django_db
def test_a_job_that_fails_does_not_keep_others_from_running():
    stop, calls = threading.Event(), []

    def fail(should_stop) -> None:
        raise OperationalError("the database is away")

    def work(should_stop) -> None:
        calls.append("worked")
        stop.set()

    run_jobs([Job("failing", timedelta(hours=1), fail), Job("working", timedelta(hours=1), work)], stop)
    assert calls == ["worked"]


@pytest.mark.django_db
def test_what_waits_on_disk_is_fed_while_another_job_takes_long(monkeypatch):
    stop, fed, waited = threading.Event(), threading.Event(), []

    def take_long(should_stop) -> None:
        waited.append(fed.wait(10))
        stop.set()

    monkeypatch.setattr(jobs, "JOBS", [Job("long", timedelta(hours=1), take_long)])
    monkeypatch.setattr(jobs, "FEEDING", [Job("feeding", timedelta(hours=1), lambda should_stop: fed.set())])
    run_worker(stop)
    assert waited == [True]


@pytest.mark.django_db
def test_a_worker_whose_feeding_ends_by_itself_ends(monkeypatch):
    monkeypatch.setattr(jobs, "run_jobs", lambda some, stop: stop.set() if some is jobs.FEEDING else stop.wait(10))
    began = time.monotonic()
    run_worker(threading.Event())
    assert time.monotonic() - began < 5
