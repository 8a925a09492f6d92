"""The API's description: it is valid, and holds for whatever schemathesis makes of it."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from customers.api import description
from customers.defaults import make_defaults
from tests.api import Api
from tests.builders import limit, make_customer, make_livetok, make_override, make_tier

pytestmark = pytest.mark.django_db
EXAMPLES = 8
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
BODY_FIELDS = st.sampled_from(
    ["name", "context", "limits", "numbers", "overrides", "status", "email", "time_zone", "valid_from", "external_id"]
)
ROW_FIELDS = st.sampled_from(
    ["metric", "period", "amount", "channel", "agent", "hard", "valid_until", "note", "\ud800"]
)
WORDS = st.sampled_from(["sessions", "call_minutes", "day", "week", "2027-01-01T00:00:00Z", "active", "Europe/Madrid"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ROW_FIELDS, inner, max_size=6), max_leaves=12
)


def test_the_description_is_valid_and_without_warnings(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_the_description_names_every_address_and_its_key():
    described = json.loads(Client().get("/api/schema/?format=json").content)

    assert sorted(described["paths"]) == [
        "/api/v1/customers/",
        "/api/v1/customers/bulk/",
        "/api/v1/customers/by-external-id/{external_id}/",
        "/api/v1/customers/by-phone/{number}/",
        "/api/v1/customers/{id}/",
        "/api/v1/customers/{id}/erase/",
        "/api/v1/customers/{id}/export/",
        "/api/v1/customers/{id}/tier-changes/",
        "/api/v1/customers/{id}/tier-changes/{change}/",
        "/api/v1/customers/{id}/top-ups/",
        "/api/v1/customers/{id}/top-ups/{top_up_id}/",
        "/api/v1/decisions/preview/",
        "/api/v1/sessions/",
        "/api/v1/sessions/{id}/",
        "/api/v1/tiers/",
        "/api/v1/tiers/{slug}/",
        "/api/v1/tiers/{slug}/changes/",
        "/api/v1/tiers/{slug}/changes/{change}/",
        "/api/v1/usage/",
    ]
    assert sorted(described["components"]["securitySchemes"]) == ["Bearer", "X-API-Key"]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["security"] == [{"X-API-Key": []}, {"Bearer": []}], (method, path)
            for parameter in operation.get("parameters", []):
                assert parameter["in"] == "query" or parameter["description"], (path, parameter["name"])


def test_the_description_is_made_once_in_a_process_however_many_ask_at_first(monkeypatch):
    made, together = [], Barrier(12)

    class Counted(SchemaGenerator):
        def get_schema(self, *args, **kwargs):
            made.append(self)
            return super().get_schema(*args, **kwargs)

    monkeypatch.setattr(description.Description, "generator_class", Counted)
    monkeypatch.setattr(description, "_made", {})

    def ask(number):
        together.wait()
        return Client().get(f"/api/schema/?format={('json', 'yaml')[number % 2]}")

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(ask, range(12)))

    assert [answer.status_code for answer in answers] == [200] * 12
    assert len(made) == 2, "one for each form"
    assert len({answer.content for answer in answers}) == 2


def test_the_description_is_not_sent_again_to_whoever_has_it():
    client = Client()
    answer = client.get("/api/schema/")

    again = client.get("/api/schema/", headers={"If-None-Match": answer["ETag"]})

    assert (answer.status_code, answer["Cache-Control"], answer["Content-Type"]) == (
        200, "no-cache", "application/vnd.oai.openapi")  # fmt: skip
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/api/schema/?format=json")["ETag"] != answer["ETag"]
    assert client.get("/api/schema/?lang=de&version=2").content == answer.content


def test_the_pages_have_nothing_inline_and_nothing_from_elsewhere():
    page = Client().get("/api/docs/").content.decode()

    assert "<style" not in page
    assert "//" not in page.replace("<!DOCTYPE", "")
    assert page.count("<script") == page.count("<script src=") == 3


@pytest.fixture
def everything() -> Api:
    """A script with a key, before a Frontdesk that has something of everything."""
    make_defaults()
    tier = make_tier("premium", limit("call_minutes", 60), limit("concurrent_sessions", 2, channel="telephony"))
    customer = make_customer(tier, external_id="crm-1", time_zone="Europe/Madrid")
    make_override(customer, limit("call_minutes", 90))
    livetok = make_livetok()
    livetok.begin()
    livetok.end()
    livetok.begin(sessionId="2", phoneNumber=None)
    return Api("manage")


@pytest.fixture
def over_wsgi(everything):
    """Requests over bare WSGI would close the connection that holds this test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield everything
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def test_no_request_that_fits_the_description_is_a_server_error_or_answered_otherwise(over_wsgi):
    key = over_wsgi.secret
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", get_wsgi_application())
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 40

    for operation in operations:

        @settings(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy())
        def hold(case):
            case.call_and_validate(headers={"X-API-Key": key}, checks=CHECKS)

        hold()


@settings(max_examples=100, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["PUT", "PATCH"]),
    path=st.sampled_from(["/api/v1/tiers/premium/", "/api/v1/customers/by-external-id/crm-1/"]),
    body=VALUES | st.dictionaries(BODY_FIELDS, VALUES, min_size=1, max_size=3),
)
def test_no_body_is_a_server_error(everything, method, path, body):
    response = everything.request(method, path, body)

    assert response.status_code in (200, 400)
    assert isinstance(response.json(), dict)
