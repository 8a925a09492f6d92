"""Where other apps hook in, by dotted names in the settings: context for the agent, and a row with each event."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from django.conf import settings
from django.db import models
from django.utils.module_loading import import_string

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


def provided_context(event: SessionBegin) -> dict[str, Any]:
    """What CONTEXT_PROVIDERS bring for the agent; later ones win.

    Each is called as `provider(event)` before the transaction, so that a slow one holds no lock, and returns a dict.
    One that fails brings nothing: a caller is not kept out because a CRM is away.
    """
    context: dict[str, Any] = {}
    for name in settings.CONTEXT_PROVIDERS:
        try:
            context |= imported(name)(event)
        except Exception:
            logger.exception("context provider failed", extra={"provider": name})
    return context
