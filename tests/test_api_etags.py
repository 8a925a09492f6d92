"""Two scripts, or a script and a person: a write that says which state it is meant for undoes nobody's."""

import itertools

import pytest

from customers.models import Customer, Tier
from tests.api import Api
from tests.builders import limit, make_customer, make_override, make_tier
from tests.staff import form_of, staff

pytestmark = pytest.mark.django_db
TIER = "/api/v1/tiers/premium/"
CRM_1 = "/api/v1/customers/by-external-id/crm-1/"


@pytest.fixture
def api():
    return Api("manage")


@pytest.fixture
def customer():
    return make_customer(make_tier("premium", limit("call_minutes", 60)), external_id="crm-1", name="Ada")


def read(api, path):
    response = api.request("GET", path)
    assert response["ETag"].strip('"').isalnum()
    return response["ETag"]


def paths(customer):
    return [TIER, CRM_1, f"/api/v1/customers/{customer.pk}/", f"/api/v1/customers/by-phone/{customer.numbers.get()}/"]


def test_every_answer_on_one_has_its_etag_and_each_write_another(api, customer):
    for number, path in enumerate(paths(customer)):
        before = read(api, path)
        assert read(api, path) == before
        put = api.request("PUT", path, {"name": f"Grace {number}"})
        patched = api.request("PATCH", path, {"context": {"a": number}})
        assert len({before, put["ETag"], patched["ETag"]}) == 3
        assert read(api, path) == patched["ETag"]
    made = api.request("PUT", "/api/v1/tiers/gold/", {"name": "Gold"})
    assert (made.status_code, made["ETag"]) == (201, read(api, "/api/v1/tiers/gold/"))


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_write_for_another_state_is_refused_and_says_the_way_on(api, customer, method):
    for path in paths(customer):
        stale = read(api, path)
        api.patch(path, {"name": f"Theirs {path}"})

        refused = api.request(method, path, {"name": "Mine"}, **{"If-Match": stale})

        assert refused.status_code == 412
        assert "GET it again" in refused.json()["detail"]
        assert api.get(path)["name"] == f"Theirs {path}"
        assert api.request(method, path, {"name": "Mine"}, **{"If-Match": read(api, path)}).status_code == 200
        assert api.get(path)["name"] == "Mine"


def test_what_a_person_saves_and_what_belongs_to_it_count_too(api, customer):
    ana = staff("managers")
    path = f"/admin/customers/customer/{customer.pk}/change/"
    stale = read(api, CRM_1)
    assert ana.post(path, form_of(ana, path) | {"status": "blocked"}).status_code == 302
    assert api.request("PATCH", CRM_1, {"email": "a@example.com"}, **{"If-Match": stale}).status_code == 412
    stale = read(api, CRM_1)
    make_override(customer, limit("call_minutes", 90))
    assert api.request("PATCH", CRM_1, {"email": "a@example.com"}, **{"If-Match": stale}).status_code == 412
    assert (Customer.objects.get().status, Customer.objects.get().email) == ("blocked", "")


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("*", 200),
        (" * ", 200),
        ("{etag}", 200),
        ('"other", {etag}', 200),
        ('"other",{etag},"more"', 200),
        ("W/{etag}", 412),
        ('"other"', 412),
        ('W/"other", "other"', 412),
        ("{bare}", 412),
        ("", 412),
        ('"', 412),
        ("é" * 100, 412),
    ],
)
def test_if_match_is_compared_strongly(api, customer, given, status):
    for method, path in itertools.product(("PUT", "PATCH"), (TIER, CRM_1)):
        etag = read(api, path)
        header = given.format(etag=etag, bare=etag.strip('"'))
        response = api.request(method, path, {"context": {"a": method}}, **{"If-Match": header})
        assert response.status_code == status, (method, path, response.content)


def test_where_there_is_nothing_no_state_matches(api, customer):
    for given in ("*", '"other"'):
        headers = {"If-Match": given}
        assert api.request("PUT", "/api/v1/tiers/gold/", {"name": "Gold"}, **headers).status_code == 412
        new = "/api/v1/customers/by-external-id/crm-2/"
        assert api.request("PUT", new, {"tier": "premium"}, **headers).status_code == 412
        assert api.request("PATCH", new, {"name": "Bob"}, **headers).status_code == 404
        assert api.request("DELETE", "/api/v1/tiers/gold/", **headers).status_code == 404
    assert (Tier.objects.count(), Customer.objects.count()) == (1, 1)


def test_a_delete_may_say_which_state_it_is_meant_for(api, customer):
    stale = read(api, CRM_1)
    api.patch(CRM_1, {"name": "Grace"})

    assert api.request("DELETE", CRM_1, **{"If-Match": stale}).status_code == 412
    assert api.request("DELETE", TIER, **{"If-Match": '"other"'}).status_code == 409, "something hangs on it"
    assert api.request("DELETE", CRM_1, **{"If-Match": read(api, CRM_1)}).status_code == 204
    assert api.request("DELETE", TIER, **{"If-Match": '"other"'}).status_code == 412
    assert api.request("DELETE", TIER, **{"If-Match": "*"}).status_code == 204
