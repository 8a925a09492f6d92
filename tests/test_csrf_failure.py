"""A form that is refused since it seems to come from elsewhere: what people are told."""

from ipaddress import ip_network

import pytest
from django.http import HttpResponse
from django.middleware.csrf import (
    REASON_BAD_ORIGIN,
    REASON_BAD_REFERER,
    REASON_CSRF_TOKEN_MISSING,
    REASON_NO_CSRF_COOKIE,
    REASON_NO_REFERER,
)
from django.test import Client, RequestFactory

from config.csrf_failure import Asked, advice, tell_of_untrusted_proxies
from config.middleware import trusted_proxies
from tests.staff import text_of

PUBLIC = "https://frontdesk.example.com"
BAD_ORIGIN = REASON_BAD_ORIGIN % "x"


def asked(**changes) -> Asked:
    ordinary = {
        "origin": PUBLIC,
        "host": "127.0.0.1:8000",
        "scheme": "http",
        "proxy": "",
        "is_proxy_trusted": True,
        "unbelieved_scheme": "",
    }
    return Asked(**{**ordinary, **changes})


ADVICE = {
    "no PUBLIC_URL": (asked(), "", BAD_ORIGIN, f"people reach Frontdesk there, set PUBLIC_URL={PUBLIC}."),
    "another PUBLIC_URL": (
        asked(origin="https://other.example"),
        PUBLIC,
        BAD_ORIGIN,
        f"open {PUBLIC} instead; or, if that is where people should reach Frontdesk, set PUBLIC_URL=https://other.example",
    ),
    "an evil page": (asked(origin="https://evil.example"), PUBLIC, BAD_ORIGIN, "somebody else's page sent the form"),
    "a proxy that is not trusted": (
        asked(proxy="10.0.0.5", is_proxy_trusted=False),
        "",
        BAD_ORIGIN,
        "not in TRUSTED_PROXIES. If it is yours, add its address or network there: 10.0.0.5.",
    ),
    "by the Referer": (asked(), "", REASON_BAD_REFERER % "x", f"set PUBLIC_URL={PUBLIC}"),
    "no origin": (asked(origin=""), PUBLIC, REASON_NO_REFERER, "headers Origin and Referer"),
    "a null origin": (asked(origin="null"), PUBLIC, BAD_ORIGIN, "headers Origin and Referer"),
    "an origin that is none": (asked(origin="https://x y"), PUBLIC, BAD_ORIGIN, f"Open {PUBLIC} and start"),
    "no cookie": (asked(), PUBLIC, REASON_NO_CSRF_COOKIE, f"Cookies go by https alone, so open {PUBLIC}."),
    "no cookie, http": (asked(), "", REASON_NO_CSRF_COOKIE, "Allow cookies for this address"),
    "an old page": (asked(), PUBLIC, REASON_CSRF_TOKEN_MISSING, "older than your sign-in"),
}


@pytest.mark.pure
@pytest.mark.parametrize("case", ADVICE)
def test_the_advice_names_what_mends_it(case):
    request, public_url, reason, words = ADVICE[case]

    assert words in advice(request, public_url, reason)


@pytest.mark.pure
@pytest.mark.parametrize("case", ["no cookie, http", "an old page", "an evil page"])
def test_no_advice_names_a_setting_that_would_not_help(case):
    request, public_url, reason, _ = ADVICE[case]
    text = advice(request, public_url, reason)

    assert "TRUSTED_PROXIES" not in text
    assert ("PUBLIC_URL" in text) == (case == "an evil page")


@pytest.fixture
def _behind(settings):
    settings.TRUSTED_PROXIES = [ip_network("10.1.0.0/16")]


def refused(**sent) -> HttpResponse:
    answer = Client(enforce_csrf_checks=True).post("/accounts/login/", {"login": "ana", "password": "hunter22"}, **sent)
    assert answer.status_code == 403
    return answer


@pytest.mark.django_db
@pytest.mark.usefixtures("_behind")
def test_the_page_shows_what_was_expected_and_what_came():
    headers = {"Origin": PUBLIC, "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Host": "localhost"}
    page = text_of(refused(headers=headers, REMOTE_ADDR="192.0.2.7"))

    for words in (
        f"Origin (the page with the form) http://localhost {PUBLIC}",
        "Host localhost or 127.0.0.1 localhost",
        "Scheme http http (the proxy says https, and is not believed)",
        "Proxy none, or one in TRUSTED_PROXIES 192.0.2.7, not trusted",
        f"set PUBLIC_URL={PUBLIC}",
    ):
        assert words in page
    trusted = text_of(refused(headers={**headers, "Origin": "https://other.example"}, REMOTE_ADDR="10.1.2.3"))
    assert "Proxy none, or one in TRUSTED_PROXIES 10.1.2.3, trusted" in trusted
    assert "Scheme http https" in trusted


@pytest.mark.django_db
def test_the_page_has_nothing_secret_and_no_markup_of_the_client(settings):
    hostile = "https://<script>alert(1)</script>" + "x" * 3000
    answer = refused(headers={"Origin": hostile, "Cookie": "csrftoken=" + "c" * 32 + "; sessionid=s3ss10n"})
    page = answer.content.decode()

    assert "<script" not in page
    assert "https://&lt;script&gt;" in page
    assert len(page) < 4000
    for secret in ("c" * 32, "s3ss10n", "hunter22", settings.SECRET_KEY):
        assert secret not in page
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.fixture
def _https(settings):
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = PUBLIC, ["frontdesk.example.com"], True


@pytest.mark.django_db  # the end of a request looks after connections
@pytest.mark.usefixtures("_behind", "_https")
def test_a_proxy_that_is_not_trusted_is_named_instead_of_redirecting_for_ever():
    by_https = {"Host": "frontdesk.example.com", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}

    answer = Client().get("/admin/", headers=by_https, REMOTE_ADDR="192.0.2.7")

    assert answer.status_code == 403
    assert "add its address or network there: 192.0.2.7." in text_of(answer)
    by_http = {**by_https, "X-Forwarded-Proto": "http"}
    assert Client().get("/admin/", headers=by_http, REMOTE_ADDR="192.0.2.7").status_code == 301
    assert Client().get("/healthz", headers=by_https, REMOTE_ADDR="192.0.2.7").status_code == 200


@pytest.mark.usefixtures("_behind", "_https")
def test_a_trusted_proxy_is_let_through():
    request = RequestFactory().get("/", headers={"X-Forwarded-Proto": "https"}, REMOTE_ADDR="10.1.2.3")
    passed = HttpResponse()

    assert trusted_proxies(tell_of_untrusted_proxies(lambda request: passed))(request) is passed
