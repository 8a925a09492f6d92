"""Requests that no browser sends, from somebody without an account."""

import codecs
import encodings.aliases
from contextlib import closing
from io import BytesIO
from wsgiref.util import setup_testing_defaults

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client

from config.readable import reading_utf8
from tests.builders import LiveTok
from tests.staff import text_of

pytestmark = pytest.mark.django_db

ENCODINGS = [*sorted(set(encodings.aliases.aliases.values()) - {"mbcs", "oem"}), "undefined", "idna", "punycode", "x"]


@pytest.fixture
def stranger():
    return Client(raise_request_exception=False)


@pytest.fixture
def _connection_stays():
    """As Django's own client has it: the test's transaction is the connection's."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def status_of(method, path, content_type, body=b""):
    """What the web server gets from the application that it loads."""
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "next=%C3%A4", "wsgi.input": BytesIO(body)}
    environ |= {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body)), "HTTP_HOST": "localhost"}
    setup_testing_defaults(environ)
    seen = []
    application = reading_utf8(WSGIHandler())
    with closing(application(environ, lambda status, headers: seen.append(int(status[:3])))) as response:
        b"".join(response)
    return seen[0]


@pytest.mark.usefixtures("_connection_stays")
@pytest.mark.parametrize("path", ["/accounts/login/", "/reports/", "/admin/", "/api/v1/tiers/", "/healthz"])
def test_an_encoding_that_is_none_is_read_as_utf8(stranger, path):
    for name in ENCODINGS if path == "/accounts/login/" else ("hex", "bz2", "undefined"):
        form = f"application/x-www-form-urlencoded; charset={name}"
        assert status_of("POST", path, form, b"username=ana&password=%C3%A4") < 500, name
        assert status_of("GET", path, form) < 500, name


def test_python_knows_encodings_that_are_no_text():
    assert any(not codecs.lookup(name)._is_text_encoding for name in ENCODINGS if name != "x")


@pytest.mark.parametrize("name", [settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, "messages", "theirs"])
@pytest.mark.parametrize("value", ['"' + "a" * 31 + '\\000"', "a" * 31 + "\0", "a" * 4000, '"\\377\\376"'])
def test_no_cookie_disturbs_a_page(stranger, name, value):
    for path in ("/accounts/login/", "/admin/", "/reports/live/"):
        assert stranger.get(path, headers={"cookie": f"{name}={value}"}).status_code < 500
        posted = stranger.post(path, {"login": "a", "password": "b"}, headers={"cookie": f"{name}={value}"})
        assert posted.status_code < 500


@pytest.mark.parametrize("path", ["/accounts/login/?next=%00", "/admin/a%00b/", "/%00", "/reports/?q=%00"])
def test_a_nul_in_an_address_is_refused_in_words(stranger, path):
    response = stranger.get(path)

    assert response.status_code == 400
    assert "NUL" in text_of(response)


def test_a_nul_in_a_form_is_refused(stranger):
    response = stranger.post("/accounts/login/", {"login": "a\0", "password": "b\0"})

    assert response.status_code == 200
    assert "Null characters are not allowed" in text_of(response)


def test_a_page_that_is_not_there_says_so(stranger):
    response = stranger.get("/nothing/here/")

    assert response.status_code == 404
    assert "start page" in text_of(response)


def test_the_webhook_takes_what_it_took(livetok: LiveTok):
    assert livetok.begin()["allowed"]
