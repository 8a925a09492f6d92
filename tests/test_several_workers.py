"""Several workers share what rules have them do: each delivery arrives, each firing is stored once."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.db import connections

from automations.models import Delivery, Firing, Occurrence
from automations.rules.firing import Preparing, event_of, store_firings
from automations.rules.judging import Judge
from benchmarks.followed import OUTGOING
from benchmarks.sql import execute, rows
from config.children import start_child, stop_child
from sessions_app.database.pieces import bulk_transaction
from sessions_app.models import Session
from tests.builders import make_customer, make_tier
from tests.following import make_destination, make_rule
from tests.live import ROOT, new_environment
from tests.standins import Reply, http_standin

DELIVERIES = 200
PATIENCE_SECONDS = 60


@contextmanager
def two_workers_before(database_name, answer):
    """Two workers of one installation, which has two hundred deliveries due, and the receiver."""
    with ExitStack() as stack:
        receiver = stack.enter_context(http_standin(answer))
        env = stack.enter_context(new_environment(database_name, is_set_up=True, **OUTGOING))
        asked = {"addresses": {f"d{number}": receiver.url for number in range(4)}, "deliveries": DELIVERIES}
        asked |= {"a_second": 0, "fields": {"at_once": 8, "per_second": 1000}}
        command = [sys.executable, "-m", "benchmarks.queued", json.dumps(asked)]
        subprocess.run(command, cwd=ROOT, env=env, check=True)
        workers = []
        for number in range(2):
            log = stack.enter_context(Path(env["DATA_DIR"], f"worker{number}.log").open("wb"))
            command = [sys.executable, "manage.py", "worker", "--skip-checks"]
            workers.append(start_child(command, env=env, cwd=ROOT, stdout=log, stderr=log))
            stack.callback(stop_child, workers[-1], patience_seconds=10)
        yield env["DATABASE_URL"], receiver, workers


def slowly(received):
    time.sleep(0.15)
    return Reply()


def wait_until(holds):
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def count_of(url, *, state):
    [(count,)] = rows(url, f"SELECT count(*) FROM automations_delivery WHERE state = '{state}'")
    return count


def sent(receiver):
    return Counter((request.headers["webhook-id"], request.body) for request in receiver.requests)


@pytest.mark.serial
def test_two_workers_send_each_delivery_once(database_name):
    with two_workers_before(database_name, slowly) as (url, receiver, _):
        wait_until(lambda: count_of(url, state="delivered") == DELIVERIES)

        assert len(receiver.requests) == len(sent(receiver)) == DELIVERIES


@pytest.mark.serial
def test_what_a_killed_worker_had_under_way_is_sent_by_the_other_once_its_lease_is_over(database_name):
    with two_workers_before(database_name, slowly) as (url, receiver, workers):
        wait_until(lambda: len(receiver.requests) > DELIVERIES / 4)
        workers[0].kill()
        time.sleep(1)  # what it had under way keeps its places until its leases end
        left = execute(url, "UPDATE automations_delivery SET lease_until = created_at WHERE state = 'sending'")
        wait_until(lambda: count_of(url, state="delivered") == DELIVERIES)

        again = [count for count in sent(receiver).values() if count > 1]
        assert len({key for key, _ in sent(receiver)}) == len(sent(receiver)) == DELIVERIES
        assert len(again) <= left
        assert set(again) <= {2}


@pytest.fixture
def rules(transactional_db, livetok):
    """Ten rules, and thirty sessions that they fire on."""
    make_customer(make_tier("premium"))
    destination = make_destination()
    rules = [make_rule("began_allowed", destination) for _ in range(10)]
    for number in range(30):
        livetok.begin(sessionId=f"s{number}")
    return rules


def at_once(*tasks):
    """Run them in threads of their own that start together. Raises what any of them raises."""
    together = threading.Barrier(len(tasks))

    def run(task):
        try:
            together.wait()
            return task()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [one.result(PATIENCE_SECONDS) for one in [pool.submit(run, task) for task in tasks]]


@pytest.mark.serial
def test_two_that_judge_the_same_events_fire_each_rule_once_and_lose_none(rules):
    at_once(Judge().judge, Judge().judge)
    Judge().judge()  # what each left to the other

    assert Firing.objects.count() == Delivery.objects.count() == 300
    assert set(Counter(Delivery.objects.values_list("firing_id", flat=True)).values()) == {1}
    assert not Occurrence.objects.exists()


@pytest.mark.serial
def test_two_that_store_the_same_firings_in_another_order_do_not_block_each_other(rules):
    events = [
        (rule, event_of(session, session.begin_received_at)) for session in Session.objects.all() for rule in rules
    ]

    def store(found):
        with bulk_transaction():
            return store_firings(found)

    for _ in range(3):
        ones, others = Preparing().prepare(events), Preparing().prepare(reversed(events))
        stored = at_once(lambda: store(ones), lambda: store(others))  # noqa: B023 - run at once
        assert sum(stored) == Firing.objects.count() == Delivery.objects.count() == 300
        Delivery.objects.all().delete()
        Firing.objects.all().delete()
