"""Rules, destinations and sources as one JSON file has them: by names that mean the same on another installation.

No secrets are in it, only their names. What has its usual value is left out, so that a person can read it.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import time
from typing import Any

from django.db import models

from automations.models import Action, Destination, Rule, Source
from automations.needs import missing_secrets
from automations.outgoing.signing import SIGNING_BEFORE
from automations.texts.destinations import secrets_named
from customers.models import Agent, Channel, Customer, Tier

FORMAT, VERSION = "frontdesk-rules", 1

DESTINATION_FIELDS = (
    "name",
    "kind",
    "preset",
    "address",
    "headers",
    "is_signed",
    "at_once",
    "per_second",
    "owner_email",
)
SOURCE_FIELDS = ("name", "address", "headers", "pointers", "limit_ms", "fresh_minutes", "stale_hours")
RULE_FIELDS = (
    "name",
    "trigger",
    "covers_tests",
    "reasons",
    "least_duration_seconds",
    "weekdays",
    "from_time",
    "until_time",
    "thresholds",
)
ACTION_FIELDS = (
    "recipient",
    "subject",
    "text",
    "method",
    "path",
    "body",
    "template_name",
    "template_language",
    "kept_pointer",
    "kept_link",
    "not_later_than_minutes",
)
# What rules name of others, and by which of their fields.
NAMED: Mapping[str, tuple[type[models.Model], str]] = {
    "tiers": (Tier, "slug"),
    "channels": (Channel, "slug"),
    "agents": (Agent, "pk"),
    "customers": (Customer, "external_id"),
}
NAMED_BY_SOURCES = ("tiers", "agents")

Entry = dict[str, Any]


class CannotExportError(Exception):
    """Something has no name that another installation would know. Its text is for staff, and says what to do."""


def exported() -> str:
    """All destinations, sources and rules as JSON. Raises CannotExportError.

    The secrets that their texts ask for are named, too: they may not have been entered here.
    """
    destinations = Destination.objects.prefetch_related("secrets")
    sources = Source.objects.prefetch_related("secrets", *NAMED_BY_SOURCES)
    rules = Rule.objects.prefetch_related(*NAMED, "actions__destination")
    document = {
        "format": FORMAT,
        "version": VERSION,
        "destinations": [destination_entry(one, _secrets_of(one)) for one in destinations],
        "sources": [source_entry(one, names_of_source(one), _secrets_of(one)) for one in sources],
        "rules": [rule_entry(rule, names_of(rule), rule.actions.all()) for rule in rules],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def destination_entry(destination: Destination, secrets: Collection[str]) -> Entry:
    return _entry(destination, DESTINATION_FIELDS) | _named_secrets(secrets)


def source_entry(source: Source, names: Mapping[str, Sequence[str]], secrets: Collection[str]) -> Entry:
    return _entry(source, SOURCE_FIELDS) | _chosen(names) | _named_secrets(secrets)


def _named_secrets(secrets: Collection[str]) -> Entry:
    return {"secrets": sorted(secrets)} if secrets else {}


def _secrets_of(owner: Destination | Source) -> set[str]:
    """What another installation needs, too: an old signing secret is none of it."""
    stored = {secret.name for secret in owner.secrets.all()} - {SIGNING_BEFORE}
    if isinstance(owner, Destination):
        return stored | set(missing_secrets(owner, stored))
    return stored | secrets_named(owner.address, owner.headers)


def rule_entry(rule: Rule, names: Mapping[str, Sequence[str]], actions: Iterable[Action]) -> Entry:
    return _entry(rule, RULE_FIELDS) | _chosen(names) | {"actions": [action_entry(action) for action in actions]}


def _chosen(names: Mapping[str, Sequence[str]]) -> Entry:
    return {field: sorted(names[field]) for field in NAMED if names.get(field)}


def action_entry(action: Action) -> Entry:
    return {"destination": action.destination.name} | _entry(action, ACTION_FIELDS)


def names_of(rule: Rule) -> dict[str, list[str]]:
    names = {}
    for field, (_, key) in NAMED.items():
        chosen = list(getattr(rule, field).all())
        nameless = next((one for one in chosen if not getattr(one, key)), None)
        if nameless is not None:
            raise CannotExportError(
                f"The rule “{rule}” is for the customer “{nameless}”, who has no external id: another installation "
                "could not tell who that is. Give the customer one, or choose tiers instead."
            )
        names[field] = [str(getattr(one, key)) for one in chosen]
    return names


def names_of_source(source: Source) -> dict[str, list[str]]:
    return {
        field: [str(getattr(one, NAMED[field][1])) for one in getattr(source, field).all()]
        for field in NAMED_BY_SOURCES
    }


def _entry(row: models.Model, fields: Sequence[str]) -> Entry:
    entry = {}
    for name in fields:
        value, usual = getattr(row, name), row._meta.get_field(name).get_default()  # type: ignore[union-attr]
        if value != usual and value not in (None, ""):
            entry[name] = f"{value:%H:%M}" if isinstance(value, time) else value
    return entry
