"""Headers that every answer has."""

import pytest
from django.http import HttpResponse
from django.test import Client

from config.entrance import LARGEST_BODY, Entrance
from tests.api import Api
from tests.builders import LiveTok, begin_body

pytestmark = pytest.mark.django_db


def assert_guarded(response, is_kept=False):
    headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert ("no-store" in headers["Cache-Control"]) != is_kept


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
    for path in (
        "/",
        "/admin/",
        "/accounts/login/",
        "/reports/",
        "/reports/sessions/?format=csv",
        "/admin/x/",
        "/a%00",
    ):
        assert_guarded(viewer.get(path))


def test_no_page_file_or_answer_with_secrets_is_compressed(viewer, livetok):
    """BREACH: the size of a compressed answer tells what stands in it beside a text that a stranger chose."""
    asked = {"Accept-Encoding": "gzip, br"}
    answers = [viewer.get(path, headers=asked) for path in ("/admin/", "/reports/", "/reports/sessions/?format=csv")]
    answers.append(Api("read").request("GET", "/api/v1/tiers/", **asked))
    answers.append(livetok.send(begin_body()))

    assert {(answer.status_code, answer.headers.get("Content-Encoding")) for answer in answers} == {(200, None)}


def test_static_files_may_be_kept():
    assert_guarded(Client().get("/static/frontdesk.css"), is_kept=True)


@pytest.mark.parametrize(
    "path", ["/webhooks/livetok", "/healthz", "/api/v1/tiers/", "/admin/", "/static/frontdesk.css"]
)
def test_over_https_all_say_that_it_stays_so(settings, path):
    settings.SECURE_HSTS_SECONDS = 31_536_000
    over_https, over_http = (Client().get(path, secure=is_secure) for is_secure in (True, False))

    assert over_https.headers.get("Strict-Transport-Security") == "max-age=31536000"
    assert "Strict-Transport-Security" not in over_http.headers


def test_who_is_turned_away_at_the_entrance_is_told_them_too():
    told = []
    asked = {"PATH_INFO": "/admin/", "REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(LARGEST_BODY + 1)}
    Entrance(lambda environ, start: [])(asked, lambda status, headers: told.append(HttpResponse(headers=dict(headers))))

    assert_guarded(told[0])
