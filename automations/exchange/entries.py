"""Rules and destinations as one JSON file has them: by names that mean the same on another installation.

No secrets are in it, only their names. What has its usual value is left out, so that a person can read it.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import time
from typing import Any

from django.db import models

from automations.models import Action, Destination, Rule
from customers.models import Agent, Channel, Customer, Tier

FORMAT, VERSION = "frontdesk-rules", 1

DESTINATION_FIELDS = ("name", "kind", "address", "headers", "is_signed", "at_once", "per_second", "owner_email")
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
# What a rule names of others, and by which of their fields.
NAMED: Mapping[str, tuple[type[models.Model], str]] = {
    "tiers": (Tier, "slug"),
    "channels": (Channel, "slug"),
    "agents": (Agent, "pk"),
    "customers": (Customer, "external_id"),
}

Entry = dict[str, Any]
_SECRET = re.compile(r"\bsecrets\.([A-Za-z0-9_-]+)")


class CannotExportError(Exception):
    """Something has no name that another installation would know. Its text is for staff, and says what to do."""


def exported() -> str:
    """All destinations and rules as JSON. Raises CannotExportError.

    A destination names the secrets that its texts ask for, too: they may not have been entered here.
    """
    destinations = Destination.objects.prefetch_related("secrets")
    rules = Rule.objects.prefetch_related(*NAMED, "actions__destination")
    document = {
        "format": FORMAT,
        "version": VERSION,
        "destinations": [destination_entry(one, _secrets_of(one)) for one in destinations],
        "rules": [rule_entry(rule, names_of(rule), rule.actions.all()) for rule in rules],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def destination_entry(destination: Destination, secrets: Collection[str]) -> Entry:
    entry = _entry(destination, DESTINATION_FIELDS)
    return entry | ({"secrets": sorted(secrets)} if secrets else {})


def _secrets_of(destination: Destination) -> set[str]:
    stored = {secret.name for secret in destination.secrets.all()}
    return stored.union(_SECRET.findall(destination.address), _SECRET.findall(destination.headers))


def rule_entry(rule: Rule, names: Mapping[str, Sequence[str]], actions: Iterable[Action]) -> Entry:
    chosen = {field: sorted(names[field]) for field in NAMED if names.get(field)}
    return _entry(rule, RULE_FIELDS) | chosen | {"actions": [action_entry(action) for action in actions]}


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


def _entry(row: models.Model, fields: Sequence[str]) -> Entry:
    entry = {}
    for name in fields:
        value, usual = getattr(row, name), row._meta.get_field(name).get_default()  # type: ignore[union-attr]
        if value != usual and value not in (None, ""):
            entry[name] = f"{value:%H:%M}" if isinstance(value, time) else value
    return entry
