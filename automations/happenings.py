"""What happens to sessions, kept for the rules that wait for it: a row of the statement that stores the event."""

import json
from functools import lru_cache
from typing import Any

from automations.models import Occurrence, Rule, Trigger
from sessions_app.recording.columns import json_list, table_of
from sessions_app.recording.hooks import Happening, SessionHook

_ENDING = {"end": Trigger.ENDED, "corrected": Trigger.END_CORRECTED}


def triggers_of(kind: str, is_allowed: bool, is_first_contact: bool) -> set[Trigger]:
    """Those that an event may set off."""
    began = Trigger.BEGAN_ALLOWED if is_allowed else Trigger.BEGAN_DENIED
    found = {began if kind == "begin" else _ENDING[kind], Trigger.USAGE_REACHED}
    # An end that comes before its begin makes its caller a customer, too.
    return found | {Trigger.NEW_CALLER} if is_first_contact else found


# The triggers of the rules that are on; with a plus those whose rule covers tests.
_AWAITED = json_list("""DISTINCT "trigger" || CASE WHEN covers_tests THEN '+' ELSE '' END""")


@lru_cache(maxsize=256)
def _is_awaited(awaited: str, kind: str, is_allowed: bool, is_first_contact: bool, is_test: bool) -> bool:
    found = set(json.loads(awaited))
    triggers = triggers_of(kind, is_allowed, is_first_contact)
    return any(f"{trigger}+" in found or (trigger in found and not is_test) for trigger in triggers)


def _values(happening: Happening, awaited: str) -> dict[str, Any] | None:
    session = happening.session
    if not _is_awaited(awaited, happening.kind, bool(session.allowed), happening.is_first_contact, session.is_test):
        return None
    return {
        "kind": happening.kind,
        "session_id": session.session_id,
        "is_test": session.is_test,
        "number": session.number,
        "received_at": happening.received_at,
        "is_first_contact": happening.is_first_contact,
    }


# Without a rule that waits for it, nothing is written. A rule's edit holds from the very next event.
occurrence_hook = SessionHook(
    Occurrence,
    f"(SELECT NULLIF(CAST({_AWAITED} AS text), '[]') FROM {table_of(Rule)} WHERE is_active)",
    _values,
)
