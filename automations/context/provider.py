"""Context that other systems have, brought for a begin that is let in: from the cache, or asked for within limits."""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

from django.db import Error
from django.utils import timezone

from automations.context.asking import Result, ask_soon, pool
from automations.context.cache import Asked, cached_for, want_again
from automations.context.recipes import CUSTOMER_NAMES, NothingToAskBy, Recipe, Values, address_for, recipe_of
from automations.facts import customer_values
from automations.models import CachedContext, Source
from automations.texts.liquid import TextError
from automations.texts.names import data_of
from customers.access import Access
from customers.models import Customer
from customers.zones import company_zone
from sessions_app.database.patience import current_patience
from sessions_app.decision.answer import NOTHING_PROVIDED, Missing, Origin, Provided
from sessions_app.livetok.events import SessionBegin

logger = logging.getLogger("frontdesk.automations")

# Of one begin, for all its sources together.
MOST_SECONDS = 0.6
# Each process remembers the sources that are on for so long: an edit holds that much later.
REMEMBERED_SECONDS = 5.0


class _Remembered:
    recipes: tuple[Recipe, ...] = ()
    read_at: float | None = None


_reading = threading.Lock()


def active_recipes() -> tuple[Recipe, ...]:
    """The sources that are on, by name, as they stood five seconds ago at most."""
    if not _is_remembered() and _reading.acquire(blocking=_Remembered.read_at is None):
        try:
            if not _is_remembered():
                _Remembered.recipes, _Remembered.read_at = tuple(_read_recipes()), time.monotonic()
        finally:
            _reading.release()
    return _Remembered.recipes


def forget_recipes() -> None:
    """As in a new process."""
    _Remembered.recipes, _Remembered.read_at = (), None


def _is_remembered() -> bool:
    return _Remembered.read_at is not None and 0 <= time.monotonic() - _Remembered.read_at < REMEMBERED_SECONDS


def _read_recipes() -> Iterable[Recipe]:
    for source in Source.objects.filter(is_active=True).prefetch_related("tiers", "agents", "secrets"):
        try:
            yield recipe_of(source)
        except TextError as error:  # no form saved it so
            logger.error("a source cannot be asked", extra={"source": source.name, "error": str(error)})


def provide(event: SessionBegin, access: Access) -> Provided:
    """What the sources for this caller bring, each within its limit, and 600 ms in all."""
    tier_id = access.tier.pk if access.tier else None
    try:
        recipes = [recipe for recipe in active_recipes() if recipe.is_for(tier_id, event.agent)]
        if not recipes:
            return NOTHING_PROVIDED
        if access.customer is None and event.caller.identity is None:
            why = "the caller gave neither number nor id"
            return Provided(missing=tuple(Missing(recipe.name, why) for recipe in recipes))
        return _Begin(event, access, recipes).provided()
    except Error:  # whoever stores the begin finds out what is wrong with it
        return Provided(missing=(Missing("Context", "the database did not answer in time"),))


class _Begin:
    """One begin's questions, and what came of them."""

    def __init__(self, event: SessionBegin, access: Access, recipes: Sequence[Recipe]) -> None:
        self.event, self.access, self.recipes = event, access, recipes
        self.asked = {recipe.source_id: asked_for(recipe, event, access) for recipe in recipes}
        self.results: dict[int, Result] = {}
        self.ages: dict[int, float] = {}

    def provided(self) -> Provided:
        rows = cached_for(self.asked)
        now = timezone.now()
        self._use(rows, now)
        unknown = [recipe for recipe in self.recipes if recipe.source_id not in self.results]
        if unknown:
            self._ask(unknown)
        return self._together()

    def _use(self, rows: Mapping[int, CachedContext], now: datetime) -> None:
        stale = []
        for recipe in self.recipes:
            row = rows.get(recipe.source_id)
            if row is None or not is_of_use(row, recipe, now):
                continue
            age = now - row.fetched_at
            self.results[recipe.source_id] = Values(row.values, row.lacking)
            self.ages[recipe.source_id] = age.total_seconds()
            if age > recipe.fresh and row.wanted_at is None:
                stale.append(row.pk)
        if stale:  # nobody waits for it, and where no thread is free, the next begin sees to it
            pool.start(lambda: want_again(stale))

    def _ask(self, recipes: Sequence[Recipe]) -> None:
        started = time.monotonic()
        patience = current_patience()
        until = started + min(MOST_SECONDS, patience.seconds_for_others if patience else MOST_SECONDS)
        customer = self._customer() if any(recipe.names & CUSTOMER_NAMES for recipe in recipes) else {}
        futures: dict[int, Future[Result]] = {}
        for recipe in recipes:
            asked = self.asked[recipe.source_id]
            tried: Future[Result] | str
            try:
                tried = ask_soon(recipe, asked, address_for(recipe, data_for(customer, asked)))
            except (NothingToAskBy, TextError) as error:
                tried = str(error)
            if isinstance(tried, Future):
                futures[recipe.source_id] = tried
            else:
                self.results[recipe.source_id] = tried
        for recipe in recipes:
            if recipe.source_id in futures:
                limit = min(started + recipe.seconds, until)
                self.results[recipe.source_id] = _waited_for(futures[recipe.source_id], recipe, started, limit)

    def _customer(self) -> dict[str, object]:
        """By name. What the decision goes by is shared, and lacks much: a copy of our own is read."""
        customer = self.access.customer
        if customer is None:
            return {}
        customer_id: int | None = customer.pk  # a begin that makes the customer has none yet
        if customer_id is not None:
            return customer_values(Customer.objects.filter(pk=customer_id).first())
        return _values_of_new(self.event)

    def _together(self) -> Provided:
        context: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        missing: list[Missing] = []
        for recipe in self.recipes:
            result = self.results[recipe.source_id]
            if isinstance(result, str):
                missing.append(Missing(recipe.name, result.rstrip(".")))
                continue
            context |= result.context
            origin = Origin(recipe.name, self.ages.get(recipe.source_id))
            origins |= dict.fromkeys(result.context, origin)
            missing += [Missing(recipe.name, why) for why in result.lacking]
        return Provided(context, tuple(missing), origins)


def _waited_for(future: "Future[Result]", recipe: Recipe, started: float, until: float) -> Result:
    try:
        return future.result(timeout=max(0.0, until - time.monotonic()))
    except TimeoutError:
        return f"no answer within {round(max(0.0, min(recipe.seconds, until - started)) * 1000)} ms"


def is_of_use(row: CachedContext, recipe: Recipe, now: datetime) -> bool:
    """Whether what a source said then may be told now. A clock that was set back makes nothing young."""
    age = now - row.fetched_at
    return row.recipe == recipe.mark and -timedelta(minutes=1) < age <= recipe.stale


def asked_for(recipe: Recipe, event: SessionBegin, access: Access) -> Asked:
    """Whose answer it is: the customer's, else the number's or id's; and of what else the address names.

    Two callers with one number, whom nobody knows yet, may have two ids: what the address names tells them apart.
    """
    customer_id = access.customer.pk if access.customer else None
    known: dict[str, Any] = {
        "session.number": event.caller.number_received,
        "session.external_id": event.caller.external_id,
        "session.channel": event.channel,
        "session.agent_id": event.agent,
        "tier.slug": access.tier.slug if access.tier else None,
    }
    if access.customer is not None and customer_id is None:
        known |= _values_of_new(event)
    known = {name: known[name] for name in sorted(recipe.names) if name in known}
    who = f"customer {customer_id}" if customer_id else " ".join(event.caller.identity or ())
    by = f" {hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]}" if known else ""
    return Asked(who + by, customer_id, known)


def _values_of_new(event: SessionBegin) -> dict[str, object]:
    """By name, of a customer that the begin makes."""
    caller, number = event.caller, event.caller.phone_key or None
    return {
        "customer.name": caller.name,
        "customer.email": caller.email,
        "customer.external_id": caller.external_id,
        "customer.number": number,
        "customer.numbers": [number] if number else [],
    }


def data_for(customer: Mapping[str, object], asked: Asked) -> dict[str, object]:
    """What an address is filled with."""
    return data_of({**customer, **asked.known}, company_zone())
