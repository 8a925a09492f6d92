"""Sessions as lines that staff read: the list's, and the parts of one session's own page."""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.template.defaultfilters import pluralize

from customers.masking import shown_number
from sessions_app.models import Session
from sessions_app.reports.frame.figures import agent_address
from sessions_app.wording import FLAGS, duration_words, flag_sentence, reason_words, state_words

INSTANT = timedelta(seconds=1)


@dataclass(frozen=True)
class SessionLine:
    session: Session
    caller: str
    beside_caller: str
    state: str
    state_words: str
    reason_words: str
    duration: str
    flags: list[str]

    @property
    def agent_address(self) -> str:
        """The page of its agent; blank without one."""
        return agent_address(self.session.agent_id) if self.session.agent_id else ""


def lines_of(sessions: Iterable[Session], now: datetime) -> list[SessionLine]:
    return [line_of(session, now) for session in sessions]


def line_of(session: Session, now: datetime) -> SessionLine:
    state, caller = session.state_at(now), caller_words(session)
    return SessionLine(
        session=session,
        caller=caller,
        beside_caller=beside_caller(session, caller),
        state=state,
        state_words=state_words(state),
        # That an ended session was allowed goes without saying.
        reason_words="" if session.reason == "allowed" else reason_words(session.reason),
        duration=duration_words(session.duration_seconds),
        flags=flag_sentences(session),
    )


def caller_words(session: Session) -> str:
    if session.customer is not None:
        customer = session.customer
        return customer.name or customer.external_id or shown_number(session.phone_key) or str(customer)
    return shown_number(session.phone_key) or session.external_id or "No number"


def beside_caller(session: Session, caller: str) -> str:
    """A customer's number, where the caller is called otherwise."""
    number = shown_number(session.phone_key) if session.customer_id is not None else ""
    return "" if number == caller else number


def flag_sentences(session: Session) -> list[str]:
    flags = [flag_sentence(flag) for flag in session.flag_list]
    return [FLAGS["test"], *flags] if session.is_test and "test" not in session.flag_list else flags


@dataclass(frozen=True)
class Clocks:
    """A begin or an end by LiveTok's clock and by ours."""

    name: str
    stated_at: datetime | None
    received_at: datetime
    skew: str


def clocks_of(session: Session) -> list[Clocks]:
    events = (
        ("Begin", session.begin_stated_at, session.begin_received_at),
        ("End", session.end_stated_at, session.end_received_at),
    )
    return [
        Clocks(name, stated, received, skew_words(stated, received))
        for name, stated, received in events
        if received is not None
    ]


def skew_words(stated_at: datetime | None, received_at: datetime) -> str:
    if stated_at is None:
        return "LiveTok stated no time: ours stands in"
    skew = received_at - stated_at
    if abs(skew) < INSTANT:
        return "less than 1 s"
    whole_days, words = abs(skew).days, duration_words(abs(skew).total_seconds())
    if whole_days:
        words = f"{whole_days} day{pluralize(whole_days)} {duration_words(abs(skew).seconds)}"
    return f"ours is {words} {'later' if skew > timedelta() else 'earlier'}"


def body_text(body: Any) -> str:
    """Bytes as they came, where they are no UTF-8 by their numbers."""
    return bytes(body).decode("utf-8", "backslashreplace") if body is not None else ""


def pretty_json(body: Any) -> str:
    """The same JSON with line breaks; what is none stays as it is."""
    text = body_text(body)
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()  # half a character cannot be shown, its escape can
