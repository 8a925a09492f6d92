"""What happens to sessions, kept for the rules that wait for it: a row of the statement that stores the event."""

from typing import Any

from automations.models import Occurrence, Rule, Trigger
from sessions_app.recording.hooks import Happening, SessionHook

_ENDING = {"end": Trigger.ENDED.value, "corrected": Trigger.END_CORRECTED.value}


def triggers_of_kind(kind: str, is_allowed: bool, is_first_contact: bool) -> tuple[str, str, str]:
    """The triggers that an event may set off: three, some of them twice, so that one statement serves all events."""
    if kind != "begin":
        return _ENDING[kind], _ENDING[kind], Trigger.USAGE_REACHED.value
    began = (Trigger.BEGAN_ALLOWED if is_allowed else Trigger.BEGAN_DENIED).value
    return began, Trigger.NEW_CALLER.value if is_first_contact else began, Trigger.USAGE_REACHED.value


def _values(happening: Happening) -> dict[str, Any]:
    session = happening.session
    first, second, third = triggers_of_kind(happening.kind, bool(session.allowed), happening.is_first_contact)
    return {
        "kind": happening.kind,
        "session_id": session.session_id,
        "is_test": session.is_test,
        "number": session.number,
        "received_at": happening.received_at,
        "is_first_contact": happening.is_first_contact,
        "first": first,
        "second": second,
        "third": third,
    }


# Without a rule that waits for it, nothing is written. A rule's edit holds from the very next event.
occurrence_hook = SessionHook(
    Occurrence,
    f"""EXISTS (SELECT 1 FROM {Rule._meta.db_table} WHERE is_active AND "trigger" IN (%(first)s, %(second)s, %(third)s)
AND (covers_tests OR NOT %(is_test)s))""",
    _values,
)
