"""A clock that is wrong for a while deletes nothing."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from config import jobs
from sessions_app.models import WebhookEvent
from sessions_app.recording import clock
from tests.builders import LiveTok
from tests.staff import staff, text_of


@pytest.fixture
def prune(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path

    def started_anew():
        monkeypatch.setattr(jobs, "clock", clock.Clock())

    def run(days_ahead=0):
        with time_machine.travel(timezone.now() + timedelta(days=days_ahead), tick=False):
            jobs.prune_events(lambda: False)

    run.started_anew = started_anew
    started_anew()
    return run


def test_a_clock_that_is_wrong_for_a_minute_deletes_nothing(livetok: LiveTok, prune):
    livetok.begin()
    prune()
    prune(days_ahead=400)
    prune.started_anew()
    prune(days_ahead=400)
    prune()

    assert WebhookEvent.objects.count() == 1


def test_a_leap_that_stands_for_a_day_is_believed(livetok: LiveTok, prune, monkeypatch):
    livetok.begin()
    prune()
    prune(days_ahead=400)
    monkeypatch.setattr(clock, "BELIEVED_AFTER_SECONDS", 0)
    prune(days_ahead=400)

    assert WebhookEvent.objects.count() == 0


def test_what_is_old_goes_day_by_day(livetok: LiveTok, prune):
    livetok.begin()
    for days in range(0, 36, 6):
        prune(days_ahead=days)

    assert WebhookEvent.objects.count() == 0


def test_staff_are_told(db, prune):
    client = staff("administrators")
    prune()

    assert "clock" not in text_of(client.get("/admin/"))
    clock._file().write_text("2020-01-01T00:00:00+00:00")
    assert "or this machine's clock has leapt" in text_of(client.get("/admin/"))
