"""Headers that every answer has."""

import pytest
from django.test import Client

from tests.api import Api
from tests.builders import LiveTok, begin_body

pytestmark = pytest.mark.django_db


def assert_guarded(response, is_kept=False):
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "camera=()" in response.headers["Permissions-Policy"]
    assert ("no-store" in response.headers["Cache-Control"]) != is_kept


@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/livetok",
        "/webhooks/livetok/x",
        "/healthz",
        "/healthz/x",
        "/readyz",
        "/api/v1/tiers/",
        "/api/x",
        "/nowhere",
    ],
)
def test_answers_to_strangers_have_them_whatever_their_status(path, method):
    assert_guarded(getattr(Client(raise_request_exception=False), method)(path))


def test_answers_to_livetok_and_to_scripts_have_them(livetok: LiveTok):
    assert_guarded(livetok.send(begin_body()))
    assert_guarded(livetok.send(b"nonsense"))
    assert_guarded(Api("read").request("GET", "/api/v1/tiers/"))
    assert_guarded(Api("read").request("POST", "/api/v1/tiers/", {}))


def test_pages_have_them(viewer):
    for path in ("/", "/admin/", "/admin/login/", "/reports/", "/reports/sessions/?format=csv", "/admin/x/", "/a%00"):
        assert_guarded(viewer.get(path))


def test_static_files_may_be_kept():
    assert_guarded(Client().get("/static/frontdesk.css"), is_kept=True)
