"""Whose `X-Forwarded-*` headers are believed."""

from ipaddress import ip_network

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from config.middleware import trusted_proxies
from sessions_app.models import WebhookEvent
from tests.builders import LiveTok, begin_body


def seen(peer: str, **headers: str) -> tuple[str, bool]:
    """The client's address and whether the request counts as https, after the middleware."""
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
    trusted_proxies(lambda request: HttpResponse())(request)
    return request.META["REMOTE_ADDR"], request.is_secure()


@pytest.fixture(autouse=True)
def _proxies(settings):
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.0/8"), ip_network("10.1.0.0/16")]


def test_a_trusted_proxy_says_who_calls_and_how():
    assert seen("127.0.0.1", x_forwarded_for="203.0.113.9", x_forwarded_proto="https") == ("203.0.113.9", True)


def test_nobody_else_does():
    assert seen("203.0.113.9", x_forwarded_for="127.0.0.1", x_forwarded_proto="https") == ("203.0.113.9", False)


def test_the_last_address_that_is_no_proxy_counts_since_those_before_it_can_be_made_up():
    chain = "198.51.100.1, 203.0.113.9, 10.1.2.3"
    assert seen("127.0.0.1", x_forwarded_for=chain) == ("203.0.113.9", False)


@pytest.mark.parametrize("chain", ["203.0.113.9:4444", "10.1.2.3, 203.0.113.9:1, 10.1.2.3:2", "[203.0.113.9]:1"])
def test_a_port_behind_an_address_is_not_of_it(chain):
    assert seen("127.0.0.1", x_forwarded_for=chain)[0] == "203.0.113.9"


@pytest.mark.parametrize("chain", ["unknown", "203.0.113.9, unknown", ""])
def test_a_chain_that_cannot_be_read_says_nothing(chain):
    assert seen("127.0.0.1", x_forwarded_for=chain)[0] == "127.0.0.1"


def test_ipv6_is_read_too(settings):
    settings.TRUSTED_PROXIES = [ip_network("::1")]
    assert seen("::1", x_forwarded_for="2001:db8::9") == ("2001:db8::9", False)


def test_a_scope_is_dropped_since_it_may_be_any_text():
    assert seen("127.0.0.1", x_forwarded_for=f"fe80::1%{'a' * 3000}") == ("fe80::1", False)
    assert seen("127.0.0.1", x_forwarded_for="203.0.113.9, fe80::1%\0")[0] == "fe80::1"


@pytest.mark.parametrize("forwarded", [f"fe80::1%{'a' * 3000}", "x" * 3000, "1.2.3.4," * 2000])
def test_no_forwarded_address_disturbs_a_begin(livetok: LiveTok, forwarded):
    assert livetok.send(begin_body(), **{"X-Forwarded-For": forwarded}).status_code == 200
    assert len(WebhookEvent.objects.get().address) <= 45
    assert Client().post("/webhooks/livetok", headers={"X-Forwarded-For": forwarded}).status_code == 401


def test_a_peer_without_an_address_is_not_trusted():
    assert seen("", x_forwarded_for="203.0.113.9", x_forwarded_proto="https") == ("", False)
