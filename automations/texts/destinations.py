"""A destination's address and headers, filled with its secrets alone: no value of a caller's gets in."""

import re
from collections.abc import Collection, Mapping

from automations.outgoing.addresses import AddressError, AllowedHosts, check_on_saving
from automations.outgoing.headers import first_repeated
from automations.texts.credentials import check_address_credentials, check_header_credential
from automations.texts.lines import check_header, check_line, fill_header
from automations.texts.liquid import TextError, fill
from automations.texts.names import GROUPS

# Whoever has these can write there, so the part that matters is a secret.
SECRET_ADDRESSES = {"slack": "https://hooks.slack.com/services/{{ secrets.path }}", "teams": "{{ secrets.address }}"}
# In the place of secrets while an address is checked.
_STAND_IN = "https://example.com/x"
_PLACEHOLDER = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
# What the presets write where only staff know better.
_LEFT_TO_FILL_IN = ("YOUR-", "…", "://example.com/")
# A name of something else than a secret within a placeholder.
_CALLERS = re.compile(rf"\{{[{{%][^}}]*?\b({'|'.join(sorted(GROUPS))})\.")
_SECRET = re.compile(r"\bsecrets\.([A-Za-z0-9_-]+)")
SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def check_destination(
    kind: str, address: str, headers: str, secrets: Collection[str], *, allows_http: bool, allowed: AllowedHosts
) -> dict[str, list[str]]:
    """By field, what keeps it from being saved. `secrets` are the names of those that it has. Not for e-mail."""
    problems = {
        "address": _left_to_fill_in(kind, address)
        or _callers_in(address)
        or _check_address(address, secrets, allows_http, allowed),
        "headers": _callers_in(headers) or check_headers(headers, secrets),
    }
    return {name: found for name, found in problems.items() if found}


def check_secret_of_address(
    address: str, name: str, value: str, *, allows_http: bool, allowed: AllowedHosts
) -> list[str]:
    """What is wrong with a secret that an address has in it; without the secret itself."""
    known, mark, _ = address.partition("{{")
    names = secrets_named(address, "")
    if not mark or name not in names:
        return []
    if known and "://" in value:
        return [f"Paste the address that starts with {known}, or what follows that in it. This is another address."]
    others = dict.fromkeys(names, "x")
    try:
        check_on_saving(fill(address, {}, secrets=others | {name: value}), allows_http=allows_http, allowed=allowed)
    except (AddressError, TextError) as error:
        return [str(error)]
    return []


def _left_to_fill_in(kind: str, address: str) -> list[str]:
    if any(part in address for part in _LEFT_TO_FILL_IN):
        return ["Write your own address here instead of the example."]
    if kind in SECRET_ADDRESSES and address and "{{" not in address:
        usual = SECRET_ADDRESSES[kind]
        remedy = f"Write {usual} here, and paste the address as the secret below."
        return [f"Whoever has this address can write there, so it is a secret. {remedy}"]
    return []


def _callers_in(text: str) -> list[str]:
    if _CALLERS.search(text):
        return ["Only secrets go in here. A caller's values go into a rule's path or body."]
    return []


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


def _check_address(address: str, secrets: Collection[str], allows_http: bool, allowed: AllowedHosts) -> list[str]:
    if not address:
        return ["Give the address that requests go to."]
    problems = check_line(address, secrets)
    if problems:
        return problems
    try:
        is_secret = address.startswith("{{")
        stands_for = dict.fromkeys(secrets, _STAND_IN if is_secret else "x")
        check_on_saving(fill(address, {}, secrets=stands_for), allows_http=allows_http, allowed=allowed)
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
    repeated = first_repeated(name for name, _ in _lines(headers))
    return problems + ([f"{repeated} is given twice. Leave one of them out."] if repeated else [])


def _lines(headers: str) -> list[tuple[str, str]]:
    parts = [line.partition(":") for line in headers.splitlines() if line.strip()]
    return [(name.strip(), text.strip()) for name, _, text in parts]
