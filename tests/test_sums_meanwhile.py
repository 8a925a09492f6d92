"""What happens while the worker keeps sums: LiveTok writes, and the worker is killed."""

import sqlite3
import threading
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, connections

from customers.defaults import make_defaults
from sessions_app.database import pieces
from sessions_app.leases import LeaseLost
from sessions_app.models import LateWrite, Lease
from sessions_app.sums import counting, keeping, proving
from sessions_app.sums.keeping import forget_sums, keep_sums
from sessions_app.sums.proving import sum_differences
from sessions_app.sums.reading import kept, report_between
from tests.builders import LiveTok, make_livetok, moment

START, END = moment("2024-03-04T00:00:00+00:00"), moment("2024-03-20T00:00:00+00:00")
DAYS = 9


@pytest.fixture
def livetok(transactional_db, monkeypatch) -> LiveTok:
    """LiveTok, with sessions of nine days, of which none is summed."""
    monkeypatch.setattr(pieces, "BATCH", 2)
    make_defaults()
    livetok = make_livetok()
    with time_machine.travel(moment("2024-03-04T00:00:00+00:00"), tick=False):
        for number in range(DAYS):
            for hour in (9, 10):
                begin(livetok, f"{number}-{hour}", START + timedelta(days=number, hours=hour))
    return livetok


def begin(livetok: LiveTok, session_id: str, at) -> None:
    livetok.begin(sessionId=session_id, phoneNumber=f"+1555{len(session_id):07}", timestamp=at.isoformat())


def shown() -> int:
    return report_between(START, END, kept()).sums.total.sessions


@pytest.mark.only("sqlite")  # on PostgreSQL nobody waits for a table
def test_nobody_has_to_wait_while_sessions_are_counted(livetok, monkeypatch):
    count, looks = counting.count_apart, []

    def count_and_look(pieces):
        with sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            other.rollback()
        looks.append(len(pieces))
        return count(pieces)

    for module in (keeping, proving):
        monkeypatch.setattr(module, "count_apart", count_and_look)
    with time_machine.travel(END, tick=False):
        keep_sums()
        late = START + timedelta(hours=9)
        begin(livetok, "late", late)
        keep_sums()
        assert list(sum_differences(repair=True)) == []
    assert len(looks) > DAYS


def test_a_session_that_comes_between_counting_and_writing_is_counted_in_the_end(livetok, monkeypatch):
    count, came = counting.count_apart, []

    def count_and_go_on(pieces):
        counted = count(pieces)
        if len(came) < DAYS:
            came.append(f"late-{len(came)}")
            at_once(lambda: begin(livetok, came[-1], pieces[0][0] + timedelta(minutes=1)))
        return counted

    with time_machine.travel(END, tick=False):
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(keeping, "count_apart", count_and_go_on)
            keep_sums()
        assert len(came) == DAYS
        assert shown() == 3 * DAYS
        assert not LateWrite.objects.exists()
        assert list(sum_differences()) == []


def test_one_that_slept_writes_nothing_over_what_another_has_counted_since(livetok, monkeypatch):
    count, came = counting.count_apart, []

    def count_and_sleep(pieces):
        counted = count(pieces)
        if not came:
            came.append("late")
            at_once(lambda: Lease.objects.update(held_until=moment("2024-01-01T00:00:00+00:00")))
            at_once(lambda: begin(livetok, "late", pieces[0][0] + timedelta(minutes=1)))
            at_once(keep_sums)
        return counted

    with time_machine.travel(END, tick=False):
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(keeping, "count_apart", count_and_sleep)
            with pytest.raises(LeaseLost, match="Another process does “sums” now"):
                keep_sums()
        assert came == ["late"]
        assert shown() == 2 * DAYS + 1
        assert list(sum_differences()) == []


def at_once(work) -> None:
    """In a thread of its own, as in another process."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


class Killed(BaseException):
    pass


def test_a_worker_that_is_killed_at_any_write_leaves_pages_right_and_sums_that_are_mended(livetok, monkeypatch):
    with time_machine.travel(END, tick=False):
        for last_write in range(20):
            with monkeypatch.context() as killing:
                kill_at(last_write, killing)
                until_killed(keep_sums)
            assert shown() == 2 * DAYS + last_write
            begin(livetok, f"late-{last_write}", START + timedelta(days=last_write % DAYS, hours=9, minutes=last_write))
            assert shown() == 2 * DAYS + last_write + 1
            if last_write % 7 == 6:
                kill_at(last_write % 5, killing)
                until_killed(forget_sums)
                killing.undo()
                assert shown() == 2 * DAYS + last_write + 1
        keep_sums()
        assert shown() == 2 * DAYS + 20
        assert list(sum_differences()) == []


def until_killed(work) -> None:
    with suppress(Killed):
        work()


def kill_at(last_write: int, killing) -> None:
    transaction, writes = pieces.bulk_transaction, []

    def counted_transaction():
        if len(writes) == last_write:
            raise Killed
        writes.append(1)
        return transaction()

    for module in (pieces, keeping):
        killing.setattr(module, "bulk_transaction", counted_transaction)
