"""Erasing a customer: what names the person goes everywhere, what was counted stays, and nothing comes back."""

import pytest

from customers.models import Customer, Erasure
from customers.personal.erasing import begin_erasing
from sessions_app.billing.statements import Month, count, roundings_now
from sessions_app.models import DailyUsage, Session, StatementLine
from sessions_app.sums.proving import sum_differences
from sessions_app.usage.recount import differences
from tests.personal import (
    erase_to_the_end,
    found_in_tables,
    hours_ago,
    known_person,
)

pytestmark = pytest.mark.django_db(transaction=True)


def counted_of(customer):
    """All that is counted of the customer: usage, this month's statement, and lines of closed months."""
    month = Month.holding(hours_ago(2).date())
    lines = StatementLine.objects.filter(customer_number=customer.pk)
    return (
        list(DailyUsage.objects.filter(customer=customer).order_by("pk").values()),
        count([customer.pk], month, roundings_now()),
        list(lines.order_by("pk").values("sessions", "seconds", "billed_seconds", "sum", "channels", "tier")),
        Session.objects.count(),
    )


def test_nothing_of_the_person_is_found_again_and_all_that_was_counted_stays(livetok):
    customer = known_person(livetok)
    assert {name.rpartition(".")[0] for name in found_in_tables()} >= {
        "automations_cachedcontext",
        "automations_delivery",
        "customers_customer",
        "customers_historicalcustomer",
        "customers_historicallimitoverride",
        "customers_historicalphonenumber",
        "customers_limitoverride",
        "customers_phonenumber",
        "customers_searchkey",
        "django_admin_log",
        "sessions_app_callernumber",
        "sessions_app_session",
        "sessions_app_statementline",
        "sessions_app_supersededend",
        "sessions_app_webhookevent",
    }
    before = counted_of(customer)

    begin_erasing(customer.pk, "ana")
    erase_to_the_end(customer)

    assert found_in_tables() == {}
    assert counted_of(customer) == before
    assert [*differences(), *sum_differences()] == []
    erasure = Erasure.objects.get()
    assert (erasure.by, erasure.finished_at is not None, erasure.traces) == ("ana", True, {})
    assert (erasure.sessions, erasure.sessions_erased) == (5, 5)
    assert str(Customer.objects.get(pk=customer.pk)) == f"Erased customer {customer.pk}"
