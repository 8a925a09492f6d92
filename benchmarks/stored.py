"""What a database holds of the events that were acknowledged."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.livetok import Event
from benchmarks.sql import rows
from sessions_app.packing import unpack

_SESSIONS = "SELECT session_id, answer, begin_body, end_body FROM sessions_app_session"
_DECIDED = "SELECT session_id, answer, reason, flags, begin_received_at FROM sessions_app_session"
_LOGGED = "SELECT event, session_id, count(*) FROM sessions_app_webhookevent WHERE status = 200 GROUP BY 1, 2"


@dataclass(frozen=True)
class Findings:
    """How many break the promise that what was answered 200 is stored, once."""

    lost: int  # acknowledged, and not in the session
    twice: int  # sessions that are there more than once
    answers_changed: int  # begins with another answer than the one that was given
    not_logged: int  # events that the log has less often than they were acknowledged
    logged_too_often: int  # and more often than they may have arrived

    @property
    def may_still_come(self) -> bool:
        """Whether something is missing that may wait to be stored. What is there too often stays."""
        return bool(self.lost or self.answers_changed or self.not_logged)

    @property
    def are_none(self) -> bool:
        return not any(asdict(self).values())


def findings(events: Iterable[Event], url: str, *, arrivals: int = 1) -> Findings:
    """`arrivals` is how often what was sent once may arrive: a balancer may send it to a second node."""
    events = list(events)
    sessions: dict[str, list[tuple[Any, ...]]] = {}
    for session_id, *rest in rows(url, _SESSIONS):
        sessions.setdefault(session_id, []).append(tuple(value and unpack(bytes(value)) for value in rest))
    logged = {(name, session_id): count for name, session_id, count in rows(url, _LOGGED)}
    found: Counter[str] = Counter(twice=sum(len(rows) > 1 for rows in sessions.values()))
    for event in events:
        answer, begin_body, end_body = sessions.get(event.session_id, [(None, None, None)])[0]
        is_begin = event.name == "session_begin"
        if event.answers:
            found["lost"] += event.body != (begin_body if is_begin else end_body)
            found["answers_changed"] += is_begin and not _stands(answer, event.answers)
        count = logged.get((event.name, event.session_id), 0)
        found["not_logged"] += count < len(event.answers)
        found["logged_too_often"] += count > event.tries * arrivals
    return Findings(**{name: found[name] for name in Findings.__dataclass_fields__})


def changed_answers(events: Iterable[Event], url: str) -> list[str]:
    """Of each begin with another answer than the one that was given: what was given, and what is stored."""
    stored = {
        session_id: (answer and unpack(bytes(answer)), *rest) for session_id, answer, *rest in rows(url, _DECIDED)
    }
    return [
        f"{event.session_id}: {event.tries} tries, given {event.answers}, stored {stored.get(event.session_id)}"
        for event in events
        if event.name == "session_begin"
        and event.answers
        and not _stands(stored.get(event.session_id, (None,))[0], event.answers)
    ]


def _stands(stored: bytes | None, given: list[bytes]) -> bool:
    """The stored answer is the one that was given each time, but for those given without the database."""
    decided = {answer for answer in given if json.loads(answer).keys() != {"allowed"}}
    return stored in given and len(decided) <= 1
