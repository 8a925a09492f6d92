"""One way to write dates and counts, on every page."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from django.utils.formats import date_format

from customers.limits import Metric
from sessions_app.reports.frame.figures import count_words

TEMPLATES = sorted(Path("templates").rglob("*.html"))
# Moments with and without seconds, days, months, times of day beside their day, and what machines read.
FORMATS = {"D j M Y, H:i:s", "D j M Y, H:i", "D j M Y", "F Y", "M Y", "H:i:s", "H:i", "c", "Y-m", "Y-m-d"}


def test_every_template_writes_dates_alike():
    found = {(str(path), words) for path in TEMPLATES for words in re.findall(r'\|date:"([^"]*)"', path.read_text())}

    assert {(path, words) for path, words in found if words not in FORMATS} == set()
    assert len(found) > 30


def test_the_admins_own_columns_write_dates_so_too():
    assert date_format(datetime(2026, 11, 27, 18, 5, tzinfo=UTC), "DATETIME_FORMAT") == "Fri 27 Nov 2026, 18:05"
    assert date_format(date(2026, 11, 27), "DATE_FORMAT") == "Fri 27 Nov 2026"


@pytest.mark.parametrize(
    ("metric", "one"),
    [
        (Metric.SESSIONS, "1 session"),
        (Metric.CALL_MINUTES, "1 call minute"),
        (Metric.MESSAGES, "1 message"),
        (Metric.CONCURRENT_SESSIONS, "1 concurrent session"),
    ],
)
def test_one_is_singular(metric, one):
    assert metric.counted(1) == one
    assert metric.counted(2) == one.replace("1", "2") + "s"
    assert (count_words(1, "session"), count_words(0, "session")) == ("1 session", "0 sessions")
