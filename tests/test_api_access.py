"""Who may use the API, and what it answers beside its addresses."""

import pytest

from customers.defaults import make_defaults
from tests.api import Api
from tests.builders import make_customer, make_tier, payload

pytestmark = pytest.mark.django_db
READS = [
    "/api/v1/tiers/",
    "/api/v1/tiers/premium/",
    "/api/v1/customers/",
    "/api/v1/customers/by-external-id/crm-1/",
    "/api/v1/customers/by-phone/+1234567890/",
    "/api/v1/sessions/",
    "/api/v1/usage/?phone=%2B1234567890",
]
WRITES = [
    ("PUT", "/api/v1/tiers/premium/"),
    ("PATCH", "/api/v1/tiers/premium/"),
    ("DELETE", "/api/v1/tiers/premium/"),
    ("PUT", "/api/v1/customers/by-external-id/crm-1/"),
    ("PATCH", "/api/v1/customers/by-phone/+1234567890/"),
    ("DELETE", "/api/v1/customers/by-external-id/crm-1/"),
]


@pytest.mark.parametrize(("method", "path"), [*(("GET", path) for path in READS), *WRITES])
def test_without_a_valid_key_everything_is_401_and_alike(method, path):
    nobody, stranger = Api(), Api()
    stranger.secret = "fd_00000000_wrong"

    refused = [api.request(method, path, {}) for api in (nobody, stranger)]

    assert [response.status_code for response in refused] == [401, 401]
    assert refused[0].content == refused[1].content
    assert "X-API-Key" in refused[0].json()["detail"]
    assert refused[0]["WWW-Authenticate"] == "Bearer"


def test_a_webhook_key_reads_and_writes_nothing():
    livetok = Api("webhook")

    for method, path in [*(("GET", path) for path in READS), *WRITES, ("POST", "/api/v1/decisions/preview/")]:
        assert livetok.request(method, path, {}).status_code == 403, (method, path)


def test_a_read_key_reads_and_previews_but_writes_nothing():
    make_defaults()
    make_customer(make_tier(), external_id="crm-1")
    reader = Api("read")

    for path in READS:
        assert reader.request("GET", path).status_code == 200, path
    assert reader.request("POST", "/api/v1/decisions/preview/", payload("session_begin")).status_code == 200
    for method, path in WRITES:
        response = reader.request(method, path, {"name": "X"})
        assert (response.status_code, list(response.json())) == (403, ["detail"]), (method, path)


def test_a_manage_key_reads_too_and_may_come_as_a_bearer_token():
    make_customer(make_tier(), external_id="crm-1")
    manager = Api("manage")
    bearer = {"Authorization": f"Bearer {manager.secret}"}
    manager.secret = ""

    for path in READS:
        assert manager.request("GET", path, **bearer).status_code == 200, path
    assert manager.request("PATCH", "/api/v1/tiers/premium/", {"name": "P"}, **bearer).status_code == 200


def test_what_is_not_there_is_json_too():
    api = Api("manage")

    for path in ("/api/v1/customers", "/api/v2/", "/api/", "/api/v1/customers/x/", "/api/v1/tiers/a%20b/"):
        assert "/api/docs/" in api.get(path, status=404)["detail"]
    assert api.request("POST", "/api/v1/customers/", {}).json() == {"detail": 'Method "POST" not allowed.'}
    assert api.request("PUT", "/api/v1/tiers/a/", b"name=A", **{"Content-Type": "text/plain"}).status_code == 415


def test_a_body_has_its_largest_size():
    answer = Api("manage").put("/api/v1/tiers/a/", b" " * (1024 * 1024 + 1), status=413)

    assert "1048576 bytes" in answer["detail"]
