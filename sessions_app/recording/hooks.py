"""Where other apps hook in, by dotted names in the settings: context for the agent, and a row with each event."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from django.conf import settings
from django.db import models
from django.utils.module_loading import import_string

from customers.access import Access
from sessions_app.database.patience import current_patience
from sessions_app.decision.answer import NOTHING_PROVIDED, Missing, Origin, Provided
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionBegin
from sessions_app.models import Session

logger = logging.getLogger(__name__)

imported = cache(import_string)


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
    """A row of `model` that is stored in the statement that stores an event, or not at all.

    `values` gives each of its columns but `id`, and what else `condition` names: SQL with `%(name)s`, without which
    nothing is written. None: this event has no row. Redeliveries are not asked about. One that raises fails the event,
    and LiveTok sends it again.
    """

    model: type[models.Model]
    condition: str
    values: Callable[[Happening], Mapping[str, Any] | None]


def session_hooks() -> tuple[SessionHook, ...]:
    """Those of SESSION_EVENT_HOOKS."""
    return tuple(imported(name) for name in settings.SESSION_EVENT_HOOKS)


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
