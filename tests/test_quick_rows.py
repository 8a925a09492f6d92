"""Rows made without `Model.__init__` are those that it would make."""

import pytest
from django.utils import timezone

from customers.models import Customer, Tier
from sessions_app.database.quick_rows import new_row, stored_row
from sessions_app.models import Session, WebhookEvent
from tests.builders import make_customer


@pytest.mark.parametrize("model", [Customer, Session, Tier, WebhookEvent])
def test_a_new_row_has_every_attribute_that_django_gives_one(model):
    quick, djangos = new_row(model), model()

    assert {**vars(quick), "_state": None} == {**vars(djangos), "_state": None}
    assert (quick._state.adding, quick._state.db) == (djangos._state.adding, djangos._state.db)


def test_no_two_rows_share_a_list():
    one, other = new_row(Session), new_row(Session)
    one.trace.append("a check")

    assert other.trace == new_row(Session).trace == []


def test_a_new_row_is_saved_and_found_again(db):
    row = new_row(WebhookEvent, received_at=timezone.now(), session_id="abc", status=200, took_ms=1.5, body=b"{}")
    row.save()

    assert row.pk
    assert WebhookEvent.objects.get(session_id="abc") == row


def test_a_stored_row_reads_what_it_was_not_given(db, django_assert_num_queries):
    customer = make_customer()
    row = stored_row(Customer, ["id", "name"], [customer.pk, customer.name])

    assert row == customer
    with django_assert_num_queries(1):
        assert (row.name, row.status) == (customer.name, customer.status)
    row.name = "Changed"
    row.save()
    assert Customer.objects.get().name == "Changed"
