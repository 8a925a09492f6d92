"""The worker's backup of each night."""

import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from config import jobs
from config.backups import nightly as nightly_module
from config.backups.nightly import KEPT, Nightly, delete_old_backups, night_of, nightly_backups
from config.backups.record import BackupFailed
from config.backups.sqlite_files import copy_sqlite_file, database_file
from tests.builders import make_customer, make_tier

PATIENCE_SECONDS = 30

pytestmark = pytest.mark.usefixtures("pg_programs")


def go_on() -> bool:
    return False


@pytest.mark.parametrize(
    "moment, zone, night",
    [
        ("2026-03-15T03:00:00+00:00", "UTC", "2026-03-15"),
        ("2026-03-15T02:59:59+00:00", "UTC", "2026-03-14"),
        ("2026-03-15T02:00:00+00:00", "Europe/Madrid", "2026-03-15"),
        ("2026-03-15T23:30:00+00:00", "UTC", "2026-03-15"),
        ("2026-03-15T20:30:00+00:00", "Asia/Tokyo", "2026-03-16"),
        ("2026-03-29T00:59:00+00:00", "Europe/Madrid", "2026-03-28"),  # there is no two o'clock that night
        ("2026-03-29T01:00:00+00:00", "Europe/Madrid", "2026-03-29"),
    ],
)
def test_a_night_begins_at_three_by_the_companys_clock(settings, moment, zone, night):
    settings.TIME_ZONE = zone
    assert night_of(datetime.fromisoformat(moment)) == night


@pytest.mark.django_db(transaction=True)
def test_one_a_night_is_made_and_a_second_run_finds_it(settings, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    settings.BACKUP_DIR = tmp_path / "new"
    with time_machine.travel(datetime(2026, 3, 15, 3, 0, 1, tzinfo=UTC), tick=False) as clock:
        Nightly().run(go_on)
        (file,) = settings.BACKUP_DIR.iterdir()
        assert file.stem == "frontdesk-2026-03-15"
        made = file.stat()
        with monkeypatch.context() as changed:
            changed.setattr(nightly_module, "make_backup", None)  # to call it is an error
            Nightly().run(go_on)  # another worker's
        assert file.stat() == made
        clock.move_to(datetime(2026, 3, 16, 3, tzinfo=UTC))
        Nightly().run(go_on)
    assert [path.stem for path in nightly_backups(settings.BACKUP_DIR)] == [
        "frontdesk-2026-03-15",
        "frontdesk-2026-03-16",
    ]
    assert [record.message for record in caplog.records].count("backup made") == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_asked", [True, False])
def test_the_worker_makes_it_beside_its_other_work(settings, tmp_path, monkeypatch, is_asked):
    settings.BACKUP_DIR = tmp_path if is_asked else None
    stop = threading.Event()

    def stop_once_it_is_there(should_stop) -> None:
        give_up_at = time.monotonic() + (PATIENCE_SECONDS if is_asked else 0.5)
        while not nightly_backups(tmp_path) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        stop.set()

    monkeypatch.setattr(jobs, "JOBS", [jobs.Job("other work", timedelta(hours=1), stop_once_it_is_there)])
    jobs.run_worker(stop)
    assert len(nightly_backups(tmp_path)) == is_asked


def test_without_a_folder_none_is_made(settings):
    settings.BACKUP_DIR = None
    Nightly().run(go_on)


def test_fourteen_are_kept_and_nothing_of_others_is_deleted(tmp_path):
    ours = [f"frontdesk-2026-03-{day:02}.{'dump' if day % 2 else 'sqlite3'}" for day in range(1, 18)]
    others = ["frontdesk-2020-01-01.sqlite3.txt", "frontdesk-20200101T000000Z.dump", "frontdesk-keep.dump", "a.dump"]
    for name in ours + others:
        (tmp_path / name).touch()
    assert delete_old_backups(tmp_path) == ours[:3]
    assert {path.name for path in tmp_path.iterdir()} == {*ours[3:], *others}
    assert len(nightly_backups(tmp_path)) == KEPT == 14


@pytest.mark.django_db
def test_one_that_fails_is_logged_and_tried_again_after_an_hour(settings, tmp_path, monkeypatch, caplog):
    settings.BACKUP_DIR = tmp_path
    tries = []

    def fail(file: Path, **options: object) -> None:
        tries.append(file)
        raise BackupFailed("no room")

    monkeypatch.setattr(nightly_module, "make_backup", fail)
    clock = [1000.0]
    monkeypatch.setattr(nightly_module.time, "monotonic", lambda: clock[0])
    nightly = Nightly()
    for seconds, expected in ((0, 1), (60, 1), (3599, 1), (3601, 2), (3700, 2)):
        clock[0] = 1000.0 + seconds
        nightly.run(go_on)
        assert len(tries) == expected
    (first, _) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert first.error == "no room"


@pytest.mark.django_db
def test_a_folder_that_cannot_be_made_is_a_failure_too(settings, tmp_path, caplog):
    (tmp_path / "file").touch()
    settings.BACKUP_DIR = tmp_path / "file" / "backups"
    Nightly().run(go_on)
    assert "the nightly backup failed" in caplog.text


@pytest.mark.django_db
def test_one_that_another_worker_was_quicker_with_is_no_failure(settings, tmp_path, monkeypatch, caplog):
    settings.BACKUP_DIR = tmp_path

    def be_slower(file: Path, **options: object) -> None:
        file.touch()
        raise BackupFailed("exists already")

    monkeypatch.setattr(nightly_module, "make_backup", be_slower)
    Nightly().run(go_on)
    assert caplog.text == ""


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_stops_ends_a_backup_and_leaves_no_file(settings, tmp_path):
    settings.BACKUP_DIR = tmp_path
    Nightly().run(lambda: True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.only("sqlite")
@pytest.mark.django_db(transaction=True)
def test_a_copy_holds_one_moment_and_lets_others_write_meanwhile(tmp_path, monkeypatch):
    """Others write between its pieces; a copy without a snapshot would begin again each time, or hold a part of it."""
    monkeypatch.setattr("config.backups.sqlite_files.PAGES_AT_ONCE", 16)
    make_customer(make_tier())
    writes = []
    with closing(sqlite3.connect(database_file(), timeout=0, isolation_level=None)) as other:

        def write(share: float, words: str) -> None:
            other.execute("UPDATE customers_customer SET name = ?", [f"Ada {len(writes)}"])
            other.execute("INSERT INTO sessions_app_spoolplace VALUES (?, 0)", [f"{len(writes)}"])
            writes.append(share)
            assert len(writes) < 500, "it begins again with each write"

        record = copy_sqlite_file(tmp_path / "copy", write)
    assert len(writes) > 10
    assert writes == sorted(writes)
    assert record.rows["sessions_app_spoolplace"] == 0
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        assert copy.execute("SELECT name FROM customers_customer").fetchall() == [("Ada",)]
        assert copy.execute("SELECT count(*) FROM sessions_app_spoolplace").fetchone() == (0,)
