"""Where other apps hook in: plain functions, named in the settings, run in order."""

import logging
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from sessions_app.livetok.events import SessionBegin
from sessions_app.models import Session

logger = logging.getLogger(__name__)

imported = cache(import_string)


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


def run_session_hooks(session: Session, event: str) -> None:
    """Call SESSION_EVENT_HOOKS as `hook(session, event)`, `event` being "begin" or "end", inside the transaction.

    What a hook writes is stored with the session or not at all; one that raises fails the event, and LiveTok retries.
    Redeliveries call none.
    """
    for name in settings.SESSION_EVENT_HOOKS:
        imported(name)(session, event)
