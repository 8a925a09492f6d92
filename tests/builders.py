"""What tests are made of: plain functions with the ordinary case as default."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from customers.keys import create_key
from customers.models import Agent, Channel, Customer, LimitOverride, PhoneNumber, Policy, Tier, TierLimit, TopUp
from customers.models.channels import new_channel
from customers.phones import phone_key
from sessions_app.models import Session
from sessions_app.usage.recount import differences

PAYLOADS = Path(__file__).parent / "payloads"
NUMBER = "+1234567890"


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.json").read_bytes()


def begin_body(**changes: Any) -> dict[str, Any]:
    """LiveTok's own sample of a begin, with changes; a change to `...` takes the field out."""
    return _changed(json.loads(payload("session_begin")), changes)


def end_body(**changes: Any) -> dict[str, Any]:
    return _changed(json.loads(payload("session_end")), changes)


def _changed(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**document, **changes}.items() if value is not ...}


class LiveTok:
    """Sends bodies to the webhook as LiveTok does."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.client = Client()

    def send(self, body: dict[str, Any] | bytes, path: str = "/webhooks/livetok", **headers: str) -> HttpResponse:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(
            path, content, content_type="application/json", headers={"X-API-Key": self.secret, **headers}
        )

    def begin(self, **changes: Any) -> dict[str, Any]:
        """The answer to a begin, which must be 200."""
        response = self.send(begin_body(**changes))
        assert response.status_code == 200, response.content
        return json.loads(response.content)

    def end(self, **changes: Any) -> None:
        response = self.send(end_body(**changes))
        assert (response.status_code, response.content) == (200, b"{}")


def make_livetok() -> LiveTok:
    return LiveTok(create_key("LiveTok", ["webhook"])[1])


def make_tier(slug: str = "premium", *limits: dict[str, Any], **fields: Any) -> Tier:
    """A tier with limits such as `limit("call_minutes", 60)`."""
    tier = Tier.objects.create(slug=slug, name=fields.pop("name", slug.title()), **fields)
    for row in limits:
        TierLimit.objects.create(tier=tier, **_with_scope(row))
    return tier


def limit(metric: str, amount: int | None, period: str | None = None, **fields: Any) -> dict[str, Any]:
    """A limit's row: per day where the metric has periods and none is given."""
    if period is None:
        period = "" if metric == "concurrent_sessions" else "day"
    return {"metric": metric, "amount": amount, "period": period, **fields}


def make_customer(tier: Tier | None = None, *numbers: str, **fields: Any) -> Customer:
    """A customer with numbers; LiveTok's sample number where none is given."""
    customer = Customer.objects.create(tier=tier or make_tier(), **{"name": "Ada", **fields})
    for number in numbers or (NUMBER,):
        PhoneNumber.objects.create(customer=customer, number=number, key=phone_key(number, settings.PHONE_REGION))
    return customer


def make_override(customer: Customer, row: dict[str, Any], **fields: Any) -> LimitOverride:
    return LimitOverride.objects.create(customer=customer, **_with_scope(row), **fields)


def make_top_up(customer: Customer, metric: str, amount: int, **fields: Any) -> TopUp:
    """One that has been valid since long ago."""
    return TopUp.objects.create(
        customer=customer, metric=metric, amount=amount, **{"valid_from": moment("2020-01-01T00:00:00Z"), **fields}
    )


def make_channel(slug: str, **fields: Any) -> Channel:
    channel = new_channel(slug)
    for name, value in fields.items():
        setattr(channel, name, value)
    channel.save()
    return channel


def set_policy(**fields: Any) -> Policy:
    policy = Policy.objects.get()
    for name, value in fields.items():
        setattr(policy, name, value)
    policy.full_clean()
    policy.save()
    return policy


def the_session(session_id: str = "123", number: int = 0, is_test: bool = False) -> Session:
    return Session.objects.get(session_id=session_id, number=number, is_test=is_test)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def assert_usage_is_sound() -> None:
    """Every sum equals its recount from the sessions."""
    assert list(differences()) == []


def _with_scope(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its channel and agent made, where it names them by LiveTok's words."""
    scope = {}
    if isinstance(slug := row.get("channel"), str):
        scope["channel"] = Channel.objects.filter(pk=slug).first() or make_channel(slug)
    if isinstance(livetok_id := row.get("agent"), str):
        scope["agent"] = Agent.objects.get_or_create(livetok_id=livetok_id)[0]
    return {**row, **scope}
