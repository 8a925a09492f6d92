"""Customers in the admin: numbers, overrides, limits in force, search, and who may do what."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from customers.models import Customer, LimitOverride, PhoneNumber
from customers.search.keeping import NewCallers
from sessions_app.models import Session
from tests.builders import (
    NUMBER,
    limit,
    make_channel,
    make_customer,
    make_livetok,
    make_override,
    make_tier,
)
from tests.staff import errors_of, form_of, staff, text_of, with_row

LIST = "/admin/customers/customer/"
ADD = "/admin/customers/customer/add/"


def change(customer: Customer) -> str:
    return f"/admin/customers/customer/{customer.pk}/change/"


@pytest.fixture
def ana(db):
    return staff("managers")


def test_a_customer_with_two_numbers_works(ana):
    tier = make_tier()
    data = form_of(ana, ADD) | {"name": "Ada", "external_id": "crm-1", "tier": tier.pk}
    data = with_row(with_row(data, "numbers", number="+44 20 7946 0958"), "numbers", number="whatsapp:+1234567890")

    response = ana.post(ADD, data, follow=True)

    customer = Customer.objects.get()
    assert response.redirect_chain[-1][0] == LIST
    assert list(customer.numbers.values_list("number", "key")) == [
        ("+44 20 7946 0958", "+442079460958"),
        ("whatsapp:+1234567890", "+1234567890"),
    ]
    assert (customer.source, customer.external_id) == ("staff", "crm-1")


def test_a_number_outside_every_plan_is_saved_with_a_warning(ana):
    tier = make_tier()
    data = form_of(ana, ADD) | {"name": "Ada", "tier": tier.pk}

    response = ana.post(ADD, with_row(data, "numbers", number=NUMBER), follow=True)

    assert PhoneNumber.objects.get().key == NUMBER
    assert "no country's numbering plan" in text_of(response)


@pytest.mark.parametrize("text", ["hello", "=1+1", "4.91512E+12", "020 7946 0958", "+123", "sip:ada@example.com"])
def test_a_number_that_is_none_is_saved_with_a_warning(ana, text):
    data = form_of(ana, ADD) | {"name": "Ada", "tier": make_tier().pk}

    response = ana.post(ADD, with_row(data, "numbers", number=text), follow=True)

    assert PhoneNumber.objects.get().number == text
    assert f'"{text}" is no phone number' in text_of(response)


def test_a_number_in_a_plan_gives_no_warning(ana):
    data = form_of(ana, ADD) | {"name": "Ada", "tier": make_tier().pk}

    response = ana.post(ADD, with_row(data, "numbers", number="+44 20 7946 0958"), follow=True)

    assert "numbering plan" not in text_of(response)


@pytest.mark.parametrize("number", ["anonymous", "unknown", "withheld"])
def test_a_withheld_number_is_refused(ana, number):
    data = form_of(ana, ADD) | {"name": "Ada", "tier": make_tier().pk}

    response = ana.post(ADD, with_row(data, "numbers", number=number))

    assert "number" in errors_of(response)
    assert not Customer.objects.exists()


def test_another_customers_number_is_refused_and_the_customer_named(ana):
    make_customer(make_tier(), "+44 20 7946 0958", name="Grace", external_id="crm-9")
    data = form_of(ana, ADD) | {"name": "Ada", "tier": make_tier("basic").pk}

    response = ana.post(ADD, with_row(data, "numbers", number="0044 2079460958"))

    assert "belongs to customer Grace (external id crm-9)" in errors_of(response)
    assert Customer.objects.count() == 1


def test_the_same_number_twice_is_refused(ana):
    data = form_of(ana, ADD) | {"name": "Ada", "tier": make_tier().pk}
    data = with_row(with_row(data, "numbers", number="+442079460958"), "numbers", number="+44 (0)20 7946 0958")

    assert "the same number" in errors_of(ana.post(ADD, data))


def test_a_changed_number_moves_to_its_new_key(ana):
    customer = make_customer(make_tier(), "+442079460958")
    data = form_of(ana, change(customer)) | {"numbers-0-number": "+44 20 7946 0959"}

    ana.post(change(customer), data)

    assert list(customer.numbers.values_list("number", "key")) == [("+44 20 7946 0959", "+442079460959")]


def test_a_number_spelled_anew_stays_the_same_row(ana):
    customer = make_customer(make_tier(), "+442079460958")
    row = customer.numbers.get()

    ana.post(change(customer), form_of(ana, change(customer)) | {"numbers-0-number": "+44 20 7946 0958"})

    row.refresh_from_db()
    assert (row.number, row.key) == ("+44 20 7946 0958", "+442079460958")


def test_a_number_is_deleted(ana):
    customer = make_customer(make_tier(), "+442079460958")

    ana.post(change(customer), form_of(ana, change(customer)) | {"numbers-0-DELETE": "on"})

    assert not PhoneNumber.objects.exists()


def test_naming_a_first_contacts_number_takes_the_record_over_with_its_sessions(ana):
    make_livetok().begin(sessionId="7", phoneNumber="+442079460958")
    found = Customer.objects.get()
    assert found.is_provisional()
    data = form_of(ana, ADD) | {"name": "Ada", "tier": make_tier().pk}

    ana.post(ADD, with_row(data, "numbers", number="+44 20 7946 0958"))

    customer = Customer.objects.get()
    assert customer.name == "Ada"
    assert not customer.is_provisional()
    assert Session.objects.get().customer == customer
    assert customer.numbers.get().number == "+44 20 7946 0958"


def test_two_overrides_of_one_key_at_once_are_refused(ana):
    customer = make_customer(make_tier())
    until = timezone.now() + timedelta(days=2)
    make_override(customer, limit("call_minutes", 90), valid_until=until)
    data = with_row(form_of(ana, change(customer)), "overrides", metric="call_minutes", period="day", amount="120")

    response = ana.post(change(customer), data)

    assert "valid at the same time" in errors_of(response)
    assert LimitOverride.objects.count() == 1


def test_an_override_may_follow_another_and_notes_its_author(ana):
    customer = make_customer(make_tier())
    make_override(customer, limit("call_minutes", 90), valid_until=timezone.now().replace(2027, 1, 1, 0, 0, 0, 0))
    data = with_row(
        form_of(ana, change(customer)),
        "overrides",
        metric="call_minutes",
        period="day",
        amount="",
        hard="on",
        valid_from_0="2027-01-01",
        valid_from_1="00:00:00",
        note="Trade fair",
    )

    response = ana.post(change(customer), data)

    assert response.status_code == 302, errors_of(response)
    added = LimitOverride.objects.get(note="Trade fair")
    assert (added.amount, added.author) == (None, ana.user)


def test_an_overlap_that_somebody_else_saves_meanwhile_is_told_and_saves_nothing(ana):
    customer = make_customer(make_tier())
    data = with_row(form_of(ana, change(customer)), "overrides", metric="call_minutes", period="day", amount="120")
    make_override(customer, limit("call_minutes", 90))

    response = ana.post(change(customer), data | {"name": "Grace"}, follow=True)

    assert "Nothing was saved:" in text_of(response)
    assert LimitOverride.objects.get().amount == 90
    assert Customer.objects.get().name == "Ada"


def test_a_period_that_does_not_fit_the_metric_is_refused(ana):
    customer = make_customer(make_tier())
    data = with_row(form_of(ana, change(customer)), "overrides", metric="messages", period="week", amount="1")

    assert "messages are per day" in errors_of(ana.post(change(customer), data))


def test_an_inactive_tier_is_not_offered_and_still_serves_those_on_it(ana):
    old = make_tier("old", is_active=False)
    customer = make_customer(old)

    data = form_of(ana, ADD) | {"name": "Grace", "tier": old.pk}
    assert "not offered any more" in errors_of(ana.post(ADD, data))
    offered = ana.get("/admin/autocomplete/?app_label=customers&model_name=customer&field_name=tier&term=").json()[
        "results"
    ]
    assert [tier["text"] for tier in offered] == ["Standard"]
    response = ana.post(change(customer), form_of(ana, change(customer)) | {"name": "Ada L"})
    assert response.status_code == 302, errors_of(response)


@pytest.mark.parametrize("context", ["[]", '""', "[1]", "3", "{"])
def test_a_context_that_is_no_object_is_refused(ana, context):
    customer = make_customer(make_tier())

    response = ana.post(change(customer), form_of(ana, change(customer)) | {"context": context})

    assert "JSON" in errors_of(response)


def test_a_blank_context_is_the_empty_object(ana):
    customer = make_customer(make_tier(), context={"a": 1})

    ana.post(change(customer), form_of(ana, change(customer)) | {"context": ""})

    customer.refresh_from_db()
    assert customer.context == {}


def test_a_context_that_hides_a_key_of_frontdesks_own_is_saved_with_a_warning(ana):
    customer = make_customer(make_tier())
    data = form_of(ana, change(customer)) | {"context": '{"customer_tier": "gold"}'}

    response = ana.post(change(customer), data, follow=True)

    assert "a key of Frontdesk's own: customer_tier" in text_of(response)
    customer.refresh_from_db()
    assert customer.context == {"customer_tier": "gold"}


def test_the_page_shows_the_limits_in_force_with_their_origin(ana):
    telephony = make_channel("telephony")
    tier = make_tier(
        "premium", limit("call_minutes", 60), limit("call_minutes", 60, channel=telephony), limit("messages", 100)
    )
    customer = make_customer(tier)
    make_override(customer, limit("call_minutes", 90), note="Trade fair", author=ana.user)
    make_override(customer, limit("messages", 5), valid_until=timezone.now() - timedelta(days=1))

    text = text_of(ana.get(change(customer)))

    assert "Call minutes a day all channels 90 override, by ana: Trade fair instead of 60 from tier Premium" in text
    assert "also in force: 60 on telephony, from tier Premium" in text
    assert "Messages a day all channels 100 tier Premium" in text
    assert f'/reports/customers/{customer.pk}/"' in ana.get(change(customer)).content.decode()
    assert f"/reports/sessions/?customer={customer.pk}" in ana.get(change(customer)).content.decode()


@pytest.mark.parametrize(
    "term",
    ["+44 20 7946 0958", "0044 (0)20-7946.0958", "7946 0958", "Lovelace", "crm-77", "ada@example.com", "94609"],
)
def test_the_search_finds_a_customer(ana, term):
    tier = make_tier()
    make_customer(tier, "+442079460958", name="Ada Lovelace", external_id="crm-77", email="ada@example.com")
    make_customer(tier, "+15550001111", name="Grace")
    NewCallers().run()

    found = ana.get(LIST, {"q": term}).context["cl"].result_list

    assert [customer.name for customer in found] == ["Ada Lovelace"]


def test_the_search_reads_bare_digits_in_the_companys_region(ana, settings):
    settings.PHONE_REGION = "GB"
    make_customer(make_tier(), "020 7946 0958", name="Ada")

    assert len(ana.get(LIST, {"q": "(020) 7946 0958"}).context["cl"].result_list) == 1


def test_the_list_answers_who_may_call_and_what_is_overridden(ana):
    tier = make_tier()
    make_customer(tier, name="Ada", status="paused")
    grace = make_customer(tier, "+15550001111", name="Grace")
    make_override(grace, limit("call_minutes", 90))

    text = text_of(ana.get(LIST))

    assert "Would be denied: the customer is paused" in text
    assert "90 call minutes a day" in text
    assert [str(customer) for customer in ana.get(LIST, {"overrides": "now"}).context["cl"].result_list] == ["Grace"]
    assert [str(customer) for customer in ana.get(LIST, {"overrides": "none"}).context["cl"].result_list] == ["Ada"]


def test_the_lists_queries_do_not_grow_with_its_rows(ana):
    tier = make_tier()
    for number in range(3):
        make_override(make_customer(tier, f"+1555000{number:04}"), limit("call_minutes", 9))
    few = queries_of(ana, LIST)
    for number in range(3, 30):
        make_override(make_customer(tier, f"+1555000{number:04}"), limit("call_minutes", 9))

    assert queries_of(ana, LIST) == few
    assert few <= 35


def test_a_customers_page_has_a_known_number_of_queries(ana):
    customer = make_customer(make_tier("premium", limit("call_minutes", 60)), *[f"+1555000{n:04}" for n in range(9)])

    assert queries_of(ana, change(customer)) <= 44


def queries_of(client, path: str) -> int:
    client.get(path)  # the first fills what Django remembers, such as content types
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


def test_a_customer_with_sessions_cannot_be_deleted(ana):
    make_customer()
    make_livetok().begin()
    customer = Customer.objects.get()

    response = ana.post(f"/admin/customers/customer/{customer.pk}/delete/", {"post": "yes"})

    assert Customer.objects.exists()
    assert response.status_code in (200, 403)


def test_a_customer_without_sessions_is_deleted_and_the_history_keeps_the_numbers(ana):
    customer = make_customer()
    pk = customer.pk

    ana.post(f"/admin/customers/customer/{pk}/delete/", {"post": "yes"})

    assert not Customer.objects.exists()
    text = text_of(ana.get(f"/admin/customers/customer/{pk}/history/"))
    assert "removed Customer: Ada" in text
    assert f"removed Phone number: {NUMBER}" in text


def test_a_caller_without_a_name_is_called_by_the_number_everywhere(ana, livetok):
    livetok.begin(phoneNumber="+15550000001", customer=None, timestamp=timezone.now().isoformat())
    livetok.end(phoneNumber="+15550000001", timestamp=timezone.now().isoformat(), duration=0)
    customer = Customer.objects.get()
    usage = "/admin/sessions_app/dailyusage/"
    pages = [LIST, change(customer), usage, "/admin/sessions_app/session/", f"/reports/customers/{customer.pk}/"]

    for page in [*pages, "/reports/customers/", "/reports/sessions/", f"{LIST}{customer.pk}/history/"]:
        text = text_of(ana.get(page))
        assert "+15550000001" in text, page
        assert f"Customer {customer.pk}" not in text, page
    with CaptureQueriesContext(connection) as one:
        ana.get(usage)
    for number in range(2, 5):
        livetok.begin(sessionId=f"s{number}", phoneNumber=f"+1555000000{number}", timestamp=timezone.now().isoformat())
    with CaptureQueriesContext(connection) as four:
        ana.get(usage)
    assert len(four) == len(one)
