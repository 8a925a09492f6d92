"""Credentials go into secrets: a header or an address that has one written out is not saved."""

import re

import pytest

from automations.admin.offers import OFFERS
from automations.outgoing.addresses import AllowedHosts
from automations.texts.destinations import check_destination, check_headers, fill_destination
from automations.texts.presets import PRESETS

pytestmark = pytest.mark.pure

SECRETS = ["token", "user"]


def problems_of(address, headers="", secrets=SECRETS, kind="http"):
    found = check_destination(kind, address, headers, secrets, allows_http=False, allowed=AllowedHosts())
    return found.get("address", [])


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer abc123",
        "authorization: Basic YTpi",
        "Authorization: {{ 'abc123' }}",
        "Authorization: Bearer secrets.token",
        "X-Authorization: abc123",
        "Cookie: session=abc123",
        "X-Api-Key: abc123",
        "API-KEY: abc123",
        "apikey: abc123",
        "X-Auth-Token: abc123",
        "PRIVATE-TOKEN: abc123",
        "X_Shop_Secret: abc123",
        "X-Functions-Key: abc123",
        "X-Password: abc123",
        "Token: abc123",
    ],
)
def test_a_header_with_a_credential_written_out_is_refused_with_what_to_do(header):
    name = header.partition(":")[0]
    [problem] = check_headers(header, SECRETS)

    assert problem.startswith(f"{name}: written out here")
    assert "Put it into the secrets" in problem
    assert problem.partition("instead: ")[2].startswith(f"{name}: ")
    assert "abc123" not in problem
    # What it says to write is saved.
    assert check_headers(problem.partition("instead: ")[2], SECRETS) == []


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer {{ secrets.token }}",
        "Authorization: Basic {{ secrets.user | append: ':' | append: secrets.token | base64_encode }}",
        "Cookie: theme=dark; session={{secrets.token}}",
        "X-Api-Key: {{ secrets.token }}",
        "X-Idempotency-Key: orders",
        "Partition-Key: eu",
        "Routing-Key: support",
        "Accept: application/json",
        "X-Monkey: yes",
        "X-Tokens: 5",
        "Cookie-Policy: none",
        "X-Shop: abc123",
    ],
)
def test_other_headers_and_those_with_a_secret_are_saved(header):
    assert check_headers(header, SECRETS) == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?token=abc123", ["token"]),
        ("?a=1&access_token=abc123&b=2", ["access_token"]),
        ("?apiKey=abc123&sig=abc123", ["apiKey", "sig"]),
        ("?client_secret=abc123#x", ["client_secret"]),
        ("?k%65y=abc123", ["key"]),
        ("?token={{ secrets.token }}", []),
        ("?key={{ secrets.user }}&token={{ secrets.token | append: '&' }}", []),
        ("?key={{ secrets.user }}&token=abc123", ["token"]),
        ("?{{ secrets.token }}", []),
        ("?token=", []),
        ("?sort_by=name&keys=5", []),
        ("/token=abc123", []),
        ("/{{ secrets.token }}#token=abc123", []),
    ],
)
def test_parameters_of_an_address_are_looked_at_as_well(query, named):
    problems = problems_of(f"https://crm.example.com{query}")

    assert [problem.partition(": ")[0] for problem in problems] == named
    assert "abc123" not in " ".join(problems)


def test_a_name_and_a_password_before_the_host_are_refused():
    address = "https://ada:abc123@crm.example.com/"
    [problem] = problems_of(address)

    assert "user name" in problem
    assert "abc123" not in problem


def test_what_was_saved_before_is_still_sent():
    address = "https://crm.example.com/?token=abc123"

    assert fill_destination(address, "X-Api-Key: abc123", {}) == (address, {"X-Api-Key": "abc123"})


@pytest.mark.parametrize("slug", sorted(OFFERS))
def test_all_that_a_click_fills_in_can_be_saved(slug):
    offer = OFFERS[slug]
    secrets = [name for name, _ in offer.secrets]

    assert check_headers(offer.headers, secrets) == []
    if offer.address:
        address = re.sub("YOUR-[A-Z]+|example", "acme", offer.address)
        assert problems_of(address, offer.headers, secrets, kind=offer.kind) == []


@pytest.mark.parametrize("slug", sorted(PRESETS))
def test_so_can_all_headers_of_a_preset(slug):
    preset = PRESETS[slug]
    headers = "\n".join(f"{name}: {text}" for name, text in preset.headers)

    assert check_headers(headers, [name for name, _ in preset.secrets]) == []
