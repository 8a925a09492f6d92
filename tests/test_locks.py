"""Who waits for whom on PostgreSQL: rows that merely refer to one keep nobody waiting, and locks come in one order."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.utils import timezone

from automations.deliveries.claiming import claim
from automations.deliveries.results import Tried, record_all
from automations.models import Delivery, Destination, Firing
from automations.rules.digests import send_digests
from automations.rules.judging import judge
from customers.models import Customer, Tier
from sessions_app.recording.by_staff import declare_missing
from tests.api import Api
from tests.builders import make_customer, make_tier, the_session
from tests.following import make_destination, make_rule
from tests.test_report_statements import wait_until_somebody_waits_for_a_lock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only("postgresql")]

PATIENCE_SECONDS = 10


def started(work: Callable[[], Any], pool: ThreadPoolExecutor) -> "Future[Any]":
    """Done with a connection of its own, which waits two seconds for a lock and then fails."""

    def run() -> Any:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            return work()
        finally:
            connections.close_all()

    return pool.submit(run)


def elsewhere(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return started(work, pool).result(PATIENCE_SECONDS)


@contextmanager
def referred_to(*rows):
    """While somebody stores rows that refer to these: it takes their keys alone (PostgreSQL, 13.3.2)."""
    with transaction.atomic(), connection.cursor() as cursor:
        for row in rows:
            cursor.execute(f"SELECT 1 FROM {row._meta.db_table} WHERE id = %s FOR KEY SHARE", [row.pk])
        yield


def test_a_delivery_that_is_stored_keeps_no_claim_and_no_result_of_its_destination_waiting(livetok):
    make_customer(make_tier("premium"))
    destination = make_destination()
    make_rule("began_allowed", destination)
    livetok.begin()
    judge.judge()

    with referred_to(destination):
        claims = elsewhere(lambda: claim(16))
        assert len(claims) == 1
        assert elsewhere(lambda: record_all([(claims[0], Tried(0.1, 200))])) == []
    assert Delivery.objects.get().state == "delivered"


def test_a_firing_that_is_stored_keeps_no_digest_of_its_rule_waiting(livetok):
    rule = make_rule("began_allowed", make_destination(kind="slack"), action={"body": '{"text": "{{ session.id }}"}'})
    ago = timezone.now() - timedelta(minutes=11)
    Firing.objects.create(rule=rule, subject="session 1", fired_at=ago, awaits_digest=True)

    with referred_to(rule):
        elsewhere(send_digests)
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize("event", ["late begin", "begin that differs", "corrected end", "declared missing"])
def test_what_follows_a_session_keeps_none_of_its_events_waiting(livetok, event):
    customer = make_customer(make_tier("premium"))
    first = livetok.end if event == "late begin" else livetok.begin
    first(sessionId="a")
    if event == "corrected end":
        livetok.end(sessionId="a", duration=10)
    session = the_session("a")
    user = User.objects.create(username="ana")
    work, holds = {
        "late begin": (lambda: livetok.begin(sessionId="a"), lambda: the_session("a").has_begin),
        "begin that differs": (
            lambda: livetok.begin(sessionId="a", agentName="Another"),
            lambda: "begins_differ" in the_session("a").flag_list,
        ),
        "corrected end": (
            lambda: livetok.end(sessionId="a", duration=77),
            lambda: "ends_differ" in the_session("a").flag_list,
        ),
        "declared missing": (lambda: declare_missing([session.pk], user), lambda: the_session("a").declared_missing_at),
    }[event]

    with referred_to(customer, session):
        elsewhere(work)
    assert holds()


def test_results_lock_their_destinations_in_one_order_wherever_these_stand_in_the_table(livetok):
    make_customer(make_tier("premium"))
    low, high = make_destination(), make_destination()
    for destination in (low, high):
        make_rule("began_allowed", destination)
    livetok.begin()
    judge.judge()
    results = [(one, Tried(0.1, 200)) for one in claim(16)]
    assert len(results) == 2
    # An update moves a row to the table's end, so what is read in no order comes in another one now.
    Destination.objects.filter(pk=low.pk).update(name="Moved")

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Destination.objects.select_for_update(no_key=True).get(pk=low.pk)
            recording = started(lambda: record_all(results), pool)
            wait_until_somebody_waits_for_a_lock()
            # It waits for the first one, and so holds none that another, who holds the first one, comes to need.
            free = Destination.objects.filter(pk=high.pk).select_for_update(no_key=True, skip_locked=True)
            assert list(free) == [high]
        assert recording.result(PATIENCE_SECONDS) == []


def test_a_single_customer_whom_somebody_stores_meanwhile_is_read_again_and_stored():
    make_tier("premium")
    api = Api("manage")
    row = {"external_id": "crm-1", "tier": "premium", "name": "Ada"}

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            make_customer(Tier.objects.get(), external_id="crm-1", name="Quick")
            pushing = started(lambda: api.post("/api/v1/customers/bulk/", [row]), pool)
            wait_until_somebody_waits_for_a_lock()
        [result] = pushing.result(PATIENCE_SECONDS)["results"]

    assert (result["status"], result["errors"]) == (200, {})
    assert Customer.objects.get().name == "Ada"
