"""Files that are downloaded slowly hold nothing of the database meanwhile."""

import sqlite3
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from customers.defaults import make_defaults
from tests.builders import make_customer, make_livetok, make_tier
from tests.staff import staff

SESSIONS = 12


@pytest.fixture
def viewer(transactional_db, monkeypatch):
    for name in ("list.queries.ROWS_AT_ONCE", "frame.export.ROWS_AT_ONCE", "customers.EXPORTED_AT_ONCE"):
        monkeypatch.setattr(f"sessions_app.reports.{name}", 3)
    make_defaults()
    livetok, tier, now = make_livetok(), make_tier(), timezone.now()
    for number in range(SESSIONS):
        make_customer(tier, f"+1555000{number:04}", name=f"Customer {number % 5}")
        session = {"phoneNumber": f"+1555000{number:04}", "sessionId": f"s{number}"}
        at = now - timedelta(hours=number)
        livetok.begin(**session, timestamp=at.isoformat())
        livetok.end(**session, duration=60 * number, timestamp=(at + timedelta(minutes=number)).isoformat())
    return staff("viewers")


FILES = [
    "sessions/?period=30d",
    "sessions/?period=30d&sort=duration",
    "sessions/?period=30d&sort=customer",
    "customers/?",
]


@pytest.mark.only("sqlite")  # whose log grows for as long as somebody reads
@pytest.mark.parametrize("address", FILES)
def test_a_file_that_is_taken_slowly_holds_nothing_of_the_database(viewer, address):
    response = viewer.get(f"/reports/{address}&format=csv")
    chunks = iter(response.streaming_content)
    taken = [next(chunks), next(chunks)]

    assert nobody_reads()
    lines = b"".join([*taken, *chunks]).decode().splitlines()
    assert len(lines) == 1 + SESSIONS


def nobody_reads() -> bool:
    """Whether what was written meanwhile can leave SQLite's log."""
    with sqlite3.connect(connection.settings_dict["NAME"], timeout=0.1) as other:
        other.execute("UPDATE sessions_app_session SET flags = ''")
        other.commit()
        [(busy, _, _)] = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return busy == 0
