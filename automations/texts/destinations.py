"""A destination's address and headers, filled with its secrets alone: no value of a caller's gets in."""

import re
from collections.abc import Collection, Mapping

from automations.outgoing.addresses import AddressError, check_url
from automations.texts.credentials import check_address_credentials, check_header_credential
from automations.texts.lines import check_header, check_line, fill_header
from automations.texts.liquid import TextError, fill

# In the place of secrets while an address is checked.
_STAND_IN = "https://example.com/x"
_PLACEHOLDER = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
_SECRET = re.compile(r"\bsecrets\.([A-Za-z0-9_-]+)")


def check_destination(
    address: str, headers: str, secrets: Collection[str], *, allows_http: bool
) -> dict[str, list[str]]:
    """By field, what keeps it from being saved. `secrets` are the names of those that it has."""
    return {"address": _check_address(address, secrets, allows_http), "headers": check_headers(headers, secrets)}


def secrets_named(address: str, headers: str) -> set[str]:
    """The names of the secrets that they ask for, whether there are any such or not."""
    return {name for mark in _PLACEHOLDER.findall(f"{address}\n{headers}") for name in _SECRET.findall(mark)}


def fill_destination(address: str, headers: str, secrets: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Raises TextError, where a secret is missing, say."""
    problems = check_line(address, secrets)
    if problems:
        raise TextError(problems)
    return fill(address, {}, secrets=secrets).strip(), fill_headers(headers, secrets)


def fill_headers(headers: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """A line each, filled with secrets. Raises TextError."""
    problems = _check_lines(headers, secrets)
    if problems:
        raise TextError(problems)
    return {name: fill_header(text, {}, secrets) for name, text in _lines(headers)}


def _check_address(address: str, secrets: Collection[str], allows_http: bool) -> list[str]:
    if not address:
        return ["Give the address that requests go to."]
    problems = check_line(address, secrets)
    if problems:
        return problems
    try:
        is_secret = address.startswith("{{")
        stands_for = dict.fromkeys(secrets, _STAND_IN if is_secret else "x")
        check_url(fill(address, {}, secrets=stands_for), allows_http=allows_http)
    except (AddressError, TextError) as error:
        return [str(error)]
    return check_address_credentials(address)


def check_headers(headers: str, secrets: Collection[str]) -> list[str]:
    """What keeps headers, a line each, from being saved. What was saved before it was asked for is still sent."""
    problems = _check_lines(headers, secrets)
    if problems:
        return problems
    return [problem for name, text in _lines(headers) for problem in check_header_credential(name, text)]


def _check_lines(headers: str, secrets: Collection[str]) -> list[str]:
    problems = []
    for name, text in _lines(headers):
        if not text:
            problems.append(f"“{name[:100]}”: give a name, a colon and a value on each line.")
        else:
            problems += check_header(name, text, secrets)
    return problems


def _lines(headers: str) -> list[tuple[str, str]]:
    parts = [line.partition(":") for line in headers.splitlines() if line.strip()]
    return [(name.strip(), text.strip()) for name, _, text in parts]
