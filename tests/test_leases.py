"""What one process at a time does, of all nodes."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from config.jobs import Job, run_jobs
from sessions_app import leases
from sessions_app.leases import LeaseLost, if_due, turn_at
from sessions_app.models import Lease
from tests.live import ROOT
from tests.test_several_workers import at_once

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)
HOLDS = """
import sys, time, django
django.setup()
from sessions_app.leases import turn_at
with turn_at("pruning"):
    print("held", flush=True)
    time.sleep(60)
"""


def shift(**by: float) -> None:
    """As if so much time had passed."""
    lease = Lease.objects.get()
    delta = timedelta(**by)
    Lease.objects.update(held_until=lease.held_until - delta, due_at=lease.due_at - delta)


@pytest.mark.serial
def test_one_at_a_time_has_it_and_all_get_their_turn():
    within, most, seen = [], [], []

    def work():
        for _ in range(3):
            with turn_at("pruning"):
                within.append(1)
                most.append(len(within))
                time.sleep(0.01)
                seen.append(within.pop())

    at_once(work, work, work)
    assert set(most) == {1}
    assert len(seen) == 9


def test_who_waits_can_be_stopped():
    with turn_at("pruning"), turn_at("pruning", lambda: True) as held:
        assert held is None


def test_what_was_done_is_due_again_in_its_time_for_everybody():
    with if_due("pruning", MINUTE) as held, if_due("pruning", MINUTE) as again:
        assert held is not None
        assert again is None
    with if_due("pruning", MINUTE) as held:
        assert held is None
    shift(seconds=59)
    with if_due("pruning", MINUTE) as held:
        assert held is None
    shift(seconds=2)
    with if_due("pruning", MINUTE) as held:
        assert held is not None


def test_a_clock_that_was_set_back_keeps_nobody_waiting():
    with if_due("pruning", MINUTE):
        shift(hours=-5)  # whoever holds it did not see the change
        with if_due("pruning", MINUTE) as held:
            assert held is not None


def test_what_took_longer_than_a_lease_is_renewed(monkeypatch):
    monkeypatch.setattr(leases, "RENEW_EVERY_SECONDS", 0.05)
    with turn_at("pruning") as held:
        shift(seconds=59)
        until = time.monotonic() + 10
        while Lease.objects.get().held_until < timezone.now() + timedelta(seconds=30):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert not held.is_lost


def test_one_that_was_taken_over_finds_out_and_leaves_the_other_alone():
    with turn_at("pruning") as slept:
        with transaction.atomic():
            slept.require()
        shift(seconds=61)
        with turn_at("pruning") as other:
            assert not slept.is_lost
            with pytest.raises(LeaseLost), transaction.atomic():
                slept.require()
            assert slept.is_lost
            slept.life.end()  # as if it had died in its sleep: the other one lives
            with if_due("pruning", MINUTE) as third:
                assert third is None
            with transaction.atomic():
                other.require()
    assert Lease.objects.get().holder is None


@pytest.mark.only("postgresql")  # on SQLite, who writes is alone
@pytest.mark.serial
def test_nobody_takes_it_over_before_what_was_written_under_it_is_committed():
    order, may_go_on = [], threading.Event()

    def write():
        with turn_at("pruning") as held, transaction.atomic():
            held.require()
            shift(seconds=61)
            may_go_on.set()
            time.sleep(0.5)
            order.append("written")

    def take_over():
        may_go_on.wait(10)
        with turn_at("pruning"):
            order.append("taken over")

    at_once(write, take_over)
    assert order == ["written", "taken over"]


@pytest.mark.serial
def test_what_a_killed_process_had_is_taken_up_when_its_lease_ends_and_on_sqlite_at_once():
    path = connection.settings_dict
    url = (
        f"sqlite:///{path['NAME']}"
        if connection.vendor == "sqlite"
        else f"postgres://{path['USER']}:{path['PASSWORD']}@{path['HOST']}:{path['PORT']}/{path['NAME']}"
    )
    env = os.environ | {"DATABASE_URL": url}
    holder = subprocess.Popen([sys.executable, "-c", HOLDS], cwd=ROOT, env=env, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with if_due("pruning", MINUTE) as held:
            assert held is None
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    if connection.vendor == "postgresql":  # whose other machine may live
        with if_due("pruning", MINUTE) as held:
            assert held is None
        shift(seconds=61)
    with if_due("pruning", MINUTE) as held:
        assert held is not None


def test_a_shared_job_stops_where_it_was_taken_over(monkeypatch):
    monkeypatch.setattr(leases, "RENEW_EVERY_SECONDS", 0.05)
    stop, told, other = threading.Event(), [], uuid.uuid4()

    def prune(should_stop):
        told.append(should_stop())
        # In one statement, since a renewal between "its time is up" and "another has it" would keep it for good.
        Lease.objects.update(holder=other, held_until=timezone.now() + MINUTE)
        until = time.monotonic() + 10
        while not should_stop() and time.monotonic() < until:
            time.sleep(0.01)
        told.append(should_stop())
        stop.set()

    run_jobs([Job("pruning", MINUTE, prune, is_shared=True)], stop)
    assert told == [False, True]
    assert Lease.objects.get().holder == other


def test_a_shared_job_that_fails_is_due_again_in_its_time_for_everybody():
    stop, calls = threading.Event(), []

    def fail(should_stop):
        calls.append(1)
        stop.set()
        raise ValueError("a mistake")

    run_jobs([Job("pruning", MINUTE, fail, is_shared=True)], stop)
    with if_due("pruning", MINUTE) as held:
        assert held is None
    assert calls == [1]
