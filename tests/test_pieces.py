"""Long reads that go on by key: the same rows as at once, whatever the size of a piece."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer
from sessions_app.database.pieces import rows_in_pieces
from sessions_app.models import DailyUsage, Session
from sessions_app.reports import customer_order
from sessions_app.reports.customer_order import customer_page
from sessions_app.usage import recount
from tests.builders import make_customer, make_tier, moment

pytestmark = pytest.mark.django_db

START = moment("2024-03-04T09:00:00+00:00")


@pytest.fixture
def sessions(livetok):
    """Seven of one customer; three of them started at once."""
    make_customer(make_tier("premium"))
    for number, minute in enumerate([3, 1, 2, 2, 2, 5, 4]):
        livetok.begin(sessionId=f"s{number}", timestamp=(START + timedelta(minutes=minute)).isoformat())


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 8])
def test_rows_come_in_their_order_each_once(sessions, at_once):
    columns = ("started_at", "pk", "session_id")
    expected = list(Session.objects.order_by("started_at", "pk").values_list(*columns))
    assert len(expected) == 7

    assert list(rows_in_pieces(Session.objects.all(), *columns, key=2, at_once=at_once)) == expected


def test_a_customers_usage_is_recounted_from_all_pieces(sessions, monkeypatch):
    monkeypatch.setattr(recount, "SESSIONS_AT_ONCE", 2)
    assert list(recount.differences()) == []

    DailyUsage.objects.update(sessions=6)
    [difference] = recount.differences()
    assert difference.counted.sessions == 7


@pytest.mark.parametrize("sort", ["name", "status"])
def test_a_group_is_found_among_many_customers_page_by_page(monkeypatch, sort):
    monkeypatch.setattr(customer_order, "LOOKED_AT_ONCE", 2)
    monkeypatch.setattr(customer_order, "PAGE_SIZE", 3)
    tier = make_tier("premium")
    made = [make_customer(tier, f"+1555010{number}", name=f"c{number}" if number < 8 else "") for number in range(10)]
    wanted = {made[number].pk for number in (0, 3, 4, 7, 8, 9)}

    with CaptureQueriesContext(connection) as queries:
        first = customer_page(Customer.objects.all(), wanted, None, None, sort)
    second = customer_page(Customer.objects.all(), wanted, first.after, None, sort)
    back = customer_page(Customer.objects.all(), wanted, None, second.before, sort)

    assert [customer.name for customer in first.customers] == ["c0", "c3", "c4"]
    assert [customer.pk for customer in second.customers] == [made[number].pk for number in (7, 8, 9)]
    assert [customer.pk for customer in back.customers] == [customer.pk for customer in first.customers]
    assert (first.before, second.after) == (None, None)
    # By name an index leads on; else each statement sorts all that are left, so one has to do.
    looks = [query for query in queries if "ORDER BY" in query["sql"] and " IN (" not in query["sql"]]
    assert len(looks) == (4 if sort == "name" else 1)
