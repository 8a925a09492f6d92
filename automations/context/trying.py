"""A source tried by staff: asked at once, for a caller of their choice, past cache and breaker."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from automations.context.asking import Exchange, exchange
from automations.context.recipes import NothingToAskBy, Values, address_for, recipe_of
from automations.facts import customer_values
from automations.models import Source
from automations.texts.liquid import TextError
from automations.texts.names import data_of
from customers.access import find_customer
from customers.models import Customer
from customers.phones import phone_key
from customers.zones import company_zone

TRY_SECONDS = 10.0


@dataclass(frozen=True)
class Tried:
    """What came of it. `error` says why nothing did; `address` holds no secret, since none gets into addresses."""

    customer: Customer | None
    address: str = ""
    status: int | None = None
    milliseconds: int = 0
    error: str = ""
    context: tuple[tuple[str, str], ...] = ()  # values as JSON
    lacking: tuple[str, ...] = ()
    limit_ms: int = 0

    @property
    def is_too_slow(self) -> bool:
        return self.milliseconds > self.limit_ms


def try_source(source: Source, caller: str) -> Tried:
    """Ask a source for a customer's number or external id, or for any other number. Stores nothing."""
    customer = _customer(caller)
    values: dict[str, object] = {"session.number": caller, "session.external_id": caller}
    if customer is not None:
        numbers = [number.number for number in customer.numbers.order_by("pk")]
        values = {"session.number": (numbers or [""])[0], "session.external_id": customer.external_id}
        values |= {"tier.slug": customer.tier.slug} | customer_values(customer)
    try:
        recipe = recipe_of(source)
        address = address_for(recipe, data_of(values, company_zone()))
    except (NothingToAskBy, TextError) as error:
        return Tried(customer, error=str(error))
    return _told(exchange(recipe, address, seconds=TRY_SECONDS), Tried(customer, address, limit_ms=source.limit_ms))


def _told(made: Exchange, asked: Tried) -> Tried:
    result = made.result
    return Tried(
        customer=asked.customer,
        address=asked.address,
        status=made.status,
        milliseconds=round(made.seconds * 1000),
        error=result if isinstance(result, str) else "",
        context=_shown(result.context) if isinstance(result, Values) else (),
        lacking=tuple(result.lacking) if isinstance(result, Values) else (),
        limit_ms=asked.limit_ms,
    )


def _shown(context: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((key, json.dumps(value, ensure_ascii=False)) for key, value in context.items())


def _customer(caller: str) -> Customer | None:
    try:
        key = phone_key(caller, settings.PHONE_REGION)
    except ValueError:
        key = None
    return (find_customer(key, "") if key else None) or find_customer("", caller)
