"""Rows of other apps that are stored with LiveTok's events, in the same statement or the same transaction."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer
from sessions_app.models import RefusedRequests, Session
from sessions_app.recording.hooks import SessionHook
from tests.builders import begin_body, end_body, make_customer, make_tier

pytestmark = pytest.mark.django_db(transaction=True)

SEEN: list[tuple[str, str, bool]] = []


def values(happening, awaited):
    """A row for each event that is awaited; the address says which."""
    if awaited not in ("all", happening.session.session_id):
        return None
    SEEN.append((happening.session.session_id, happening.kind, happening.is_first_contact))
    text = f"{happening.kind} {happening.session.session_id}"
    return {"hour": happening.received_at, "count": 1, "last_address": text, "last_at": happening.received_at}


def fail(happening, awaited):
    raise RuntimeError("not stored")


hook = SessionHook(RefusedRequests, "(SELECT MIN(notes) FROM customers_customer WHERE notes <> '')", values)
always = SessionHook(RefusedRequests, "'all'", values)
never_asked = SessionHook(RefusedRequests, "NULL", fail)
failing = SessionHook(RefusedRequests, "'all'", fail)


@pytest.fixture(autouse=True)
def _hooked(settings, livetok):
    settings.SESSION_EVENT_HOOKS = [f"{__name__}.{name}" for name in ("never_asked", "hook")]
    SEEN.clear()


def rows():
    """Without the strangers of other tests, who are counted a moment later."""
    found = RefusedRequests.objects.filter(last_address__contains=" ")
    return list(found.order_by("hour").values_list("last_address", flat=True))


@pytest.fixture
def wanted():
    """A known customer, and sessions whose rows are wanted."""
    customer = make_customer(make_tier("premium"))
    Customer.objects.filter(pk=customer.pk).update(notes="wanted")


def test_a_row_is_stored_with_each_event_that_is_awaited(livetok, wanted):
    for session_id in ("wanted", "other"):
        livetok.begin(sessionId=session_id)
        livetok.end(sessionId=session_id)

    assert rows() == ["begin wanted", "end wanted"]


def test_the_statement_of_an_ordinary_event_holds_it(livetok, wanted, database_name):
    livetok.begin(sessionId="earlier")  # its channel and agent are known from here on
    livetok.end(sessionId="earlier")
    with CaptureQueriesContext(connection) as captured:
        livetok.begin(sessionId="wanted")
        livetok.end(sessionId="wanted")

    assert rows() == ["begin wanted", "end wanted"]
    writing = [query["sql"] for query in captured if "INSERT INTO sessions_app_refusedrequests" in query["sql"]]
    assert len(writing) == 2
    if database_name == "postgresql":
        assert all("WITH" in sql for sql in writing)


def test_a_redelivery_brings_no_row_and_a_corrected_end_says_so(livetok, wanted):
    for body in [begin_body(sessionId="wanted")] * 2 + [end_body(sessionId="wanted")] * 2:
        livetok.send(json.dumps(body).encode())
    livetok.end(sessionId="wanted", duration=7)
    livetok.end(sessionId="wanted", duration=7)

    assert rows() == ["begin wanted", "end wanted", "corrected wanted"]
    assert SEEN == [("wanted", "begin", False), ("wanted", "end", False), ("wanted", "corrected", False)]


def test_a_callers_first_contact_is_told(livetok, settings):
    settings.SESSION_EVENT_HOOKS = [f"{__name__}.always"]
    livetok.begin(sessionId="first")
    livetok.begin(sessionId="second")

    assert SEEN == [("first", "begin", True), ("second", "begin", False)]
    assert rows() == ["begin first", "begin second"]


@pytest.mark.parametrize("is_known", [True, False], ids=["ordinary", "step by step"])
def test_a_hook_that_fails_fails_the_event_and_nothing_is_stored(livetok, settings, is_known):
    if is_known:
        make_customer(make_tier("premium"))
    customers = Customer.objects.count()
    settings.SESSION_EVENT_HOOKS = [f"{__name__}.{name}" for name in ("always", "failing")]
    livetok.client.raise_request_exception = False

    assert livetok.send(json.dumps(begin_body()).encode()).status_code == 500
    assert not Session.objects.exists()
    assert Customer.objects.count() == customers
    assert rows() == []


def test_an_end_without_its_begin_and_a_begin_that_comes_late_bring_their_rows(livetok, settings):
    settings.SESSION_EVENT_HOOKS = [f"{__name__}.always"]
    livetok.end(sessionId="late")
    livetok.begin(sessionId="late")

    assert rows() == ["end late", "begin late"]


def test_the_end_that_makes_its_caller_a_customer_says_so_and_the_late_begin_does_not(livetok, settings):
    settings.SESSION_EVENT_HOOKS = [f"{__name__}.always"]
    livetok.end(sessionId="late")
    livetok.begin(sessionId="late")
    livetok.end(sessionId="next")

    assert SEEN == [("late", "end", True), ("late", "begin", False), ("next", "end", False)]
