"""What tests of rules and deliveries are made of."""

from datetime import timedelta
from typing import Any

from django.db.models import F
from django.utils import timezone

from automations.context.provider import forget_recipes
from automations.deliveries.worker import send_due
from automations.models import Action, Delivery, Destination, Rule, Secret, Source
from automations.rules.judging import judge
from automations.sealing import seal


def make_destination(address: str = "https://hooks.example.com/in", **fields: Any) -> Destination:
    fields = {"name": f"Destination {Destination.objects.count() + 1}", "kind": "http", "per_second": 1000, **fields}
    return Destination.objects.create(address=address, **fields)


def add_secret(owner: Destination | Source, name: str, text: str) -> Secret:
    sealed = seal(text, has_old_secrets=lambda: False)
    forget_recipes()
    whose = {"source" if isinstance(owner, Source) else "destination": owner}
    return Secret.objects.create(**whose, name=name, fingerprint=sealed.fingerprint, token=sealed.token)


def make_rule(trigger: str, destination: Destination | None = None, **fields: Any) -> Rule:
    """A rule that is on since an hour ago. Its one action sends the session's id, unless `action` says otherwise."""
    action = {"body": '{"id": "{{ session.id }}"}', **fields.pop("action", {})}
    many = {name: fields.pop(name) for name in ("tiers", "channels", "agents", "customers") if name in fields}
    since = {"is_active": True, "active_since": timezone.now() - timedelta(hours=1)}
    rule = Rule.objects.create(trigger=trigger, **{"name": f"Rule {Rule.objects.count() + 1}", **since, **fields})
    for name, values in many.items():
        getattr(rule, name).set(values)
    if destination is not None:
        Action.objects.create(rule=rule, destination=destination, **action)
    return rule


def judge_and_send() -> int:
    """What the worker does at once. Returns how many attempts were made."""
    judge.judge()
    return send_due()


def later(**time: float) -> None:
    """As if that much time had passed for deliveries; the database's clock cannot be set."""
    shift = timedelta(**time)
    Delivery.objects.filter(finished_at__isnull=True).update(
        next_attempt_at=F("next_attempt_at") - shift, lease_until=F("lease_until") - shift
    )
    Destination.objects.filter(failing_since__isnull=False).update(failing_since=F("failing_since") - shift)


def make_source(address: str, pointers: str = "last_order = /orders/0", **fields: Any) -> Source:
    """A source that is on, and that this process knows of from its next begin."""
    many = {name: fields.pop(name) for name in ("tiers", "agents") if name in fields}
    fields = {"name": "Shop", "is_active": True, **fields}
    source = Source.objects.create(address=address, pointers=pointers, **fields)
    for name, values in many.items():
        getattr(source, name).set(values)
    forget_recipes()
    return source
