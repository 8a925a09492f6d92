"""Where other apps hook in, by dotted names in the settings: context for the agent, and a row with each event."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeAlias

from django.conf import settings
from django.db import models
from django.utils.module_loading import import_string

from customers.access import Access
from sessions_app.database.patience import current_patience
from sessions_app.database.prepared import fetch
from sessions_app.decision.answer import NOTHING_PROVIDED, Missing, Origin, Provided
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionBegin
from sessions_app.models import Session

logger = logging.getLogger(__name__)

imported = cache(import_string)

# By hook, what its `awaited` said.
Awaited: TypeAlias = Sequence[str | None]


@dataclass(frozen=True)
class Happening:
    """What LiveTok's event made of a session. `session` is the row as it is stored with it.

    `corrected`: an end that differs from the one before. `is_first_contact`: its caller became a customer by it.
    """

    kind: Literal["begin", "end", "corrected"]
    session: Session
    received_at: datetime
    is_first_contact: bool = False


@dataclass(frozen=True)
class SessionHook:
    """A row of `model` that is stored with an event: in its statement, or not at all.

    `awaited` is SQL of a text that says which events are waited for, NULL where none is: asked by the statement that
    reads what the event needs, so that an event that nobody waits for costs nothing more. `values` gets that text, and
    gives each of the row's columns but `id`. None: this event has no row. Redeliveries are not asked about. One that
    raises fails the event, and LiveTok sends it again.
    """

    model: type[models.Model]
    awaited: str
    values: Callable[[Happening, str], Mapping[str, Any] | None]

    def row(self, happening: Happening, text: str | None) -> Mapping[str, Any] | None:
        return None if text is None else self.values(happening, text)


def session_hooks() -> tuple[SessionHook, ...]:
    """Those of SESSION_EVENT_HOOKS."""
    return tuple(imported(name) for name in settings.SESSION_EVENT_HOOKS)


def awaited_columns(hooks: Sequence[SessionHook]) -> str:
    """What a statement that reads for an event selects besides."""
    return "".join(f",\n    {hook.awaited}" for hook in hooks)


def awaited_now() -> Awaited:
    """Where no other statement asks."""
    hooks = session_hooks()
    return fetch(f"SELECT 1{awaited_columns(hooks)}", {})[0][1:] if hooks else ()


def hooked_rows(happening: Happening, awaited: Awaited) -> list[tuple[type[models.Model], Mapping[str, Any]]]:
    """The rows that are stored with it."""
    found = [(hook.model, hook.row(happening, text)) for hook, text in zip(session_hooks(), awaited, strict=True)]
    return [(model, values) for model, values in found if values is not None]


def provided_context(event: SessionBegin, access: Access) -> Provided:
    """What CONTEXT_PROVIDERS bring for the agent; later ones win.

    Each is called as `provider(event, access)`, with nothing locked, and returns a `Provided`; it keeps within
    `Patience.seconds_for_others`. One that fails brings nothing: a caller is not kept out because a CRM is away.
    """
    context: dict[str, Any] = {}
    missing: list[Missing] = []
    origins: dict[str, Origin] = {}
    for name in settings.CONTEXT_PROVIDERS:
        try:
            provided: Provided = imported(name)(event, access)
        except Exception:
            logger.exception("context provider failed", extra={"provider": name})
            missing.append(Missing(name, "it failed; the log says why"))
        else:
            context |= provided.context
            missing += provided.missing
            origins |= provided.origins
    return Provided(context, tuple(missing), origins)


class Brought:
    """What was brought for one begin: providers are asked once, however often it is decided."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._provided: Provided | None = None
        self._customer_id: int | None = None

    def ask(self, event: SessionBegin, access: Access) -> Provided:
        """To be called with nothing locked."""
        if self._provided is None and settings.CONTEXT_PROVIDERS:
            started = time.monotonic()
            self._customer_id = access.customer.pk if access.customer else None
            self._provided = provided_context(event, access)
            self.seconds = time.monotonic() - started
            if patience := current_patience():
                patience.spend_on_others(self.seconds)
        return self.so_far(access)

    def so_far(self, access: Access) -> Provided:
        """What was brought before; nothing of another customer's, to whom the number belonged then."""
        if self._provided is None:
            return NOTHING_PROVIDED
        if self._customer_id not in (None, access.customer.pk if access.customer else None):
            return Provided(missing=(Missing("Context", "the number came to another customer meanwhile"),))
        return self._provided


def brought_for(delivery: Delivery) -> Brought:
    """That of a request, the same for all attempts to store it."""
    brought: Brought = delivery.memory.setdefault("brought", Brought())
    return brought
