"""What is too much is refused in words, before work is done on it: by the API and by the admin's forms."""

import json
from importlib import import_module

import pytest
from django.db import connection
from django.test import Client

from customers.limits import MOST_AMOUNT
from customers.models import LimitOverride, PhoneNumber, TierLimit
from tests.api import Api
from tests.builders import limit, make_customer, make_override, make_tier
from tests.staff import errors_of, form_of, staff, text_of

pytestmark = pytest.mark.django_db
TIER = "/api/v1/tiers/premium/"
CRM_1 = "/api/v1/customers/by-external-id/crm-1/"


@pytest.fixture
def api():
    return Api("manage")


@pytest.mark.parametrize(
    ("path", "name", "entry"),
    [
        (TIER, "limits", {}),
        (TIER, "limits", {"metric": "sessions", "period": "day", "amount": 1}),
        (TIER, "allowed_channels", 7),
        (CRM_1, "numbers", {}),
        (CRM_1, "numbers", "+442079460958"),
        (CRM_1, "overrides", {}),
    ],
)
def test_a_list_of_the_api_has_its_largest_length(api, path, name, entry):
    make_customer(make_tier(), external_id="crm-1")

    for count in (201, 10_000):
        for method in ("PUT", "PATCH"):
            errors = api.ok(method, path, {name: [entry] * count}, 400)
            assert errors == {name: ["Ensure this field has no more than 200 elements."]}


def test_an_amount_has_the_same_maximum_on_each_form_and_in_the_api(api):
    """Allow more has it too: see what a customer's page changes."""
    ana = staff("administrators")
    customer = make_customer(make_tier("premium", limit("call_minutes", 60)), external_id="crm-1")
    make_override(customer, limit("call_minutes", 60))
    tier_page, customer_page = (
        f"/admin/customers/{row._meta.model_name}/{row.pk}/change/" for row in (customer.tier, customer)
    )
    until = {"edit-valid_until_0": "2100-01-01", "edit-valid_until_1": "00:00", "edit-metric": "call_minutes"}
    chosen = {"action": "give_override", "_selected_action": customer.pk, "preview": "1", "edit-period": "day", **until}
    row = {"metric": "call_minutes", "period": "day"}

    for amount, is_taken in ((MOST_AMOUNT, True), (MOST_AMOUNT + 1, False), (2**63 - 1, False)):
        status = 200 if is_taken else 400
        for path, name in ((TIER, "limits"), (CRM_1, "overrides")):
            said = api.ok("PATCH", path, {name: [row | {"amount": amount}]}, status)
            assert is_taken or said == {f"{name}[0].amount": ["Amount: give 2,147,483,647 at most."]}
        for path, name in ((tier_page, "limits"), (customer_page, "overrides")):
            page = ana.post(path, form_of(ana, path) | {f"{name}-0-amount": str(amount)})
            assert page.status_code == 302 or "Amount: give 2,147,483,647 at most." in errors_of(page)
            assert (page.status_code == 302) is is_taken, path
        page = ana.post("/admin/customers/customer/", chosen | {"edit-amount": str(amount)})
        assert ("Amount: give 2,147,483,647 at most." in text_of(page)) is not is_taken
    assert [row.amount for row in (TierLimit.objects.get(), LimitOverride.objects.get())] == [MOST_AMOUNT] * 2


@pytest.mark.only("sqlite")
def test_an_amount_that_was_too_large_for_postgresql_is_brought_within_the_maximum():
    from_before = make_tier("premium", limit("call_minutes", 2**63 - 1), limit("sessions", 9, "month"))
    migration = import_module("customers.migrations.0012_amounts_have_a_maximum")

    with connection.cursor() as cursor:
        for statement in migration.WITHIN:
            cursor.execute(statement)

    assert sorted(from_before.limits.values_list("amount", flat=True)) == [9, MOST_AMOUNT]
    assert sorted(TierLimit.history.values_list("amount", flat=True)) == [9, MOST_AMOUNT]


def test_two_hundred_are_not_too_many(api):
    make_tier()
    channels = [f"c{index}" for index in range(200)]

    tier = api.put(TIER, {"allowed_channels": channels})

    assert len(tier["allowed_channels"]) == 200


def test_the_largest_lengths_are_in_the_description():
    schemas = json.loads(Client().get("/api/schema/?format=json").content)["components"]["schemas"]

    for kind, names in (("Tier", ("limits", "allowed_channels")), ("Customer", ("numbers", "overrides"))):
        for name in names:
            assert schemas[kind]["properties"][name]["maxItems"] == 200, name
        texts = [field for field in schemas[kind]["properties"].values() if field.get("type") == "string"]
        written = [field for field in texts if not field.get("readOnly") and "format" not in field]
        assert all("maxLength" in field or "enum" in field for field in written), kind


def test_at_most_fifty_errors_are_listed(api):
    wrong = {"limits": [{"metric": "x", "amount": -1, "hard": 7}] * 200}
    errors = api.put(TIER, wrong, status=400)
    assert sum(len(messages) for messages in errors.values()) == 51
    assert errors["body"] == ["There are more errors; these are the first 50."]

    errors = api.put(TIER, {f"x{index}": 1 for index in range(50_000)}, status=400)
    assert sum(len(messages) for messages in errors.values()) == 51


def test_a_body_that_says_it_is_too_large_is_not_even_read(api):
    make_tier()
    for path, most in ((TIER, 1024 * 1024), ("/api/v1/decisions/preview/", 64 * 1024)):
        method = "POST" if "preview" in path else "PUT"
        for stated in (str(most + 1), str(10**18)):
            answer = api.client.generic(
                method, path, b"{}", content_type="application/json", headers={"X-API-Key": api.secret},
                CONTENT_LENGTH=stated,
            )  # fmt: skip
            assert (answer.status_code, str(most) in answer.json()["detail"]) == (413, True)


def test_an_address_with_too_many_parameters_is_refused_in_json(api):
    answer = api.request("GET", "/api/v1/tiers/?" + "&".join(f"a{index}=1" for index in range(6000)))

    assert (answer.status_code, answer.json()) == (400, {"body": ["The address has too many parameters."]})


@pytest.mark.parametrize("query", ["tier", "external_id", "phone", "cursor"])
def test_a_parameter_has_its_largest_length(api, query):
    assert list(api.get(f"/api/v1/customers/?{query}={'1' * 256}", status=400)) == [query]


def test_a_form_with_too_many_rows_is_refused_in_words(api):
    ana = staff("managers")
    customer = make_customer(make_tier())
    path = f"/admin/customers/customer/{customer.pk}/change/"
    rows = {f"numbers-{index}-number": f"+4420794{index:05}" for index in range(1, 1500)}

    for count in (201, 1200):
        refused = ana.post(path, form_of(ana, path) | rows | {"numbers-TOTAL_FORMS": str(count)})
        assert "There may be 200 rows at most. Take some out." in errors_of(refused)
    assert PhoneNumber.objects.count() == 1


def test_a_form_with_the_fields_of_two_hundred_rows_of_each_is_saved():
    ana = staff("managers")
    tier = make_tier()
    path = f"/admin/customers/tier/{tier.pk}/change/"
    data = form_of(ana, path) | {"limits-TOTAL_FORMS": "6"}
    scopes = [(metric, period) for metric in ("call_minutes", "sessions") for period in ("day", "week", "month")]
    for index in range(6):
        metric, period = scopes[index]
        data |= {f"limits-{index}-metric": metric, f"limits-{index}-period": period, f"limits-{index}-amount": "5"}

    response = ana.post(path, data | {f"x{index}": "" for index in range(3000)})

    assert response.status_code == 302, errors_of(response)
    assert TierLimit.objects.count() == 6


def test_a_form_with_more_fields_than_anybody_fills_in_is_refused_in_words():
    ana = staff("managers")
    path = f"/admin/customers/tier/{make_tier().pk}/change/"

    refused = ana.post(path, form_of(ana, path) | {f"x{index}": "1" for index in range(5001)})

    assert refused.status_code == 400
    assert "Nothing was saved. A form may have 5,000 fields" in text_of(refused)
