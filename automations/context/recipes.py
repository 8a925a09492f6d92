"""What a source is asked, and what its answer becomes: texts that staff wrote, read, checked and filled.

Asks nobody and reads no database; `asking` and `cache` do.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings

from automations.models import Source
from automations.outgoing.addresses import AddressError, check_on_saving
from automations.outgoing.headers import joined
from automations.outgoing.http import Request
from automations.sealing import Sealed, open_sealed
from automations.texts.destinations import check_headers, fill_headers
from automations.texts.escapes import escape_address
from automations.texts.lines import check_address, fill_address
from automations.texts.liquid import TextError, fill, names_in
from automations.texts.names import sample_data, sound
from automations.texts.pointers import PointerError, check_pointer, value_at
from customers.context import DENIED_KEYS, BadContext, check_context, parse_json

MOST_POINTERS = 20
LONGEST_KEY = 100
LARGEST_BYTES = 4 * 1024
LONGEST_LIST = 20
# What an address can name: known of every begin. What differs from call to call would find nothing in the cache.
SESSION_NAMES = frozenset({"session.number", "session.external_id", "session.channel", "session.agent_id", "tier.slug"})
CUSTOMER_NAMES = frozenset(
    {"customer.name", "customer.number", "customer.numbers", "customer.email", "customer.external_id"}
)
NAMES = SESSION_NAMES | CUSTOMER_NAMES


class NothingToAskBy(ValueError):
    """What the address names is not known of this caller. Its text is for staff."""


class BadAnswer(ValueError):
    """Nothing can be read from an answer. Its text is for staff."""


@dataclass(frozen=True)
class Recipe:
    """A source as it stood when it was read. `mark` is another one once it is asked, or read, otherwise."""

    source_id: int
    name: str
    address: str
    headers: str = field(repr=False)
    pointers: tuple[tuple[str, str], ...]
    seconds: float
    fresh: timedelta
    stale: timedelta
    tiers: frozenset[int]
    agents: frozenset[str]
    sealed: Mapping[str, Sealed] = field(repr=False)
    mark: str
    names: frozenset[str]

    def is_for(self, tier_id: int | None, agent_id: str | None) -> bool:
        return (not self.tiers or tier_id in self.tiers) and (not self.agents or agent_id in self.agents)


@dataclass(frozen=True)
class Values:
    """What an answer gave, and what it lacks, in words."""

    context: dict[str, Any]
    lacking: list[str]


def recipe_of(source: Source) -> Recipe:
    """Raises TextError where a text is not what a form would have saved."""
    texts = "\0".join((str(source.pk), source.address, source.headers, source.pointers))
    return Recipe(
        source_id=source.pk,
        name=source.name,
        address=source.address,
        headers=source.headers,
        pointers=tuple(parse_pointers(source.pointers)),
        seconds=source.limit_ms / 1000,
        fresh=timedelta(minutes=source.fresh_minutes),
        stale=timedelta(hours=source.stale_hours),
        tiers=frozenset(tier.pk for tier in source.tiers.all()),
        agents=frozenset(agent.pk for agent in source.agents.all()),
        sealed={secret.name: Sealed(secret.fingerprint, secret.token) for secret in source.secrets.all()},
        mark=hashlib.sha256(texts.encode()).hexdigest()[:32],
        names=names_in(source.address),
    )


def check_source(address: str, headers: str, pointers: str, secrets: Collection[str]) -> dict[str, list[str]]:
    """By field, what keeps a source from being saved. `secrets` are the names of those that it has."""
    return {
        "address": _check_address(address),
        "headers": check_headers(headers, secrets),
        "pointers": _check_pointers(pointers),
    }


def _check_address(address: str) -> list[str]:
    problems = check_address(address)
    if problems:
        return problems
    others = sorted(names_in(address) - NAMES)
    if others:
        return [f"An address cannot name {', '.join(others)}. There are: {', '.join(sorted(NAMES))}."]
    try:
        check_on_saving(
            fill_address(address, sample_data()),
            allows_http=settings.OUTGOING_ALLOW_HTTP,
            allowed=settings.OUTGOING_ALLOWED_HOSTS,
        )
    except (AddressError, TextError) as error:
        return [str(error)]
    return []


def _check_pointers(text: str) -> list[str]:
    try:
        parse_pointers(text)
    except TextError as error:
        return error.problems
    return []


def parse_pointers(text: str) -> list[tuple[str, str]]:
    """The context's keys with their pointers, of lines such as `last_order = /orders/0/title`. Raises TextError."""
    found: dict[str, str] = {}
    problems = []
    for line in filter(str.strip, text.splitlines()):
        key, equals, pointer = (part.strip() for part in line.partition("="))
        if not key or not equals:
            problems.append(f"“{line.strip()[:60]}”: write a key, an equals sign and a pointer.")
        elif key in found:
            problems.append(f"“{key[:60]}” is there twice.")
        problems += [f"“{key[:60]}”: {problem}" for problem in [*_check_key(key), *check_pointer(pointer)]]
        found[key] = pointer
    if not found:
        problems.append("Give at least one line, such as last_order = /orders/0/title.")
    if len(found) > MOST_POINTERS:
        problems.append(f"There are {len(found)} keys; {MOST_POINTERS} are the most.")
    if problems:
        raise TextError(problems)
    return list(found.items())


def _check_key(key: str) -> list[str]:
    if len(key) > LONGEST_KEY:
        return [f"A key has at most {LONGEST_KEY} characters."]
    if key in DENIED_KEYS:
        return ["Frontdesk says itself why a session is denied."]
    try:
        check_context({key: None})
    except BadContext as error:
        return [str(error)]
    return []


def address_for(recipe: Recipe, data: Mapping[str, object]) -> str:
    """What is asked for a caller. `data` is of `texts.names.data_of`. Raises NothingToAskBy or TextError."""
    filled: list[str] = []

    def noted(text: str) -> str:
        filled.append(text)
        return escape_address(text)

    fill(recipe.address, data, noted)
    if "" in filled:
        raise NothingToAskBy(f"the caller lacks what it is asked by ({', '.join(sorted(recipe.names))})")
    return fill_address(recipe.address, data)


def request_for(recipe: Recipe, address: str) -> Request:
    """Raises TextError, or SealingError where a secret's key is gone."""
    secrets = {name: open_sealed(sealed) for name, sealed in recipe.sealed.items()}
    headers = joined({"Accept": "application/json"}, fill_headers(recipe.headers, secrets))
    return Request("GET", address, headers, b"")


def values_of(recipe: Recipe, body: bytes) -> Values:
    """What the pointers find in an answer, as much as 4 KB hold. Raises BadAnswer where it is no JSON."""
    try:
        document = parse_json(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise BadAnswer("its answer is no JSON of at most 64 KB") from None
    context: dict[str, Any] = {}
    lacking = []
    for key, pointer in recipe.pointers:
        try:
            value = _plain(value_at(document, pointer))
            check_context({key: value})
        except PointerError:
            lacking.append(f"nothing is at {pointer} for {key}")
        except BadContext:
            lacking.append(f"what is at {pointer} for {key} is no text, number, yes or no, or short list of these")
        else:
            if _size({**context, key: value}) <= LARGEST_BYTES:
                context[key] = value
            else:
                lacking.append(f"{key} would be more than {LARGEST_BYTES // 1024} KB together with those before it")
    return Values(context, lacking)


def _plain(value: object) -> object:
    if isinstance(value, list):
        if len(value) > LONGEST_LIST or any(isinstance(item, dict | list) for item in value):
            raise BadContext
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        raise BadContext
    return sound(value).replace("\0", "") if isinstance(value, str) else value


def _size(context: Mapping[str, Any]) -> int:
    return len(json.dumps(context, ensure_ascii=False).encode())
