"""Which stored session an event belongs to, and whether it has come before. LiveTok's id alone does not say: it may be
used again for another caller.

An event is a redelivery if it says the same as a stored one: its envelope's own id and sending time may be others.
Functions of several sessions take the stored ones of one id, in the order in which they were stored.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q

from sessions_app.livetok.events import LONGEST_DURATION_SECONDS, SessionBegin, SessionEnd, SessionEvent
from sessions_app.livetok.payloads import Refused, read_event
from sessions_app.models import Session, SupersededEnd

LONGEST_SESSION = timedelta(seconds=LONGEST_DURATION_SECONDS)


def sessions_of(event: SessionEvent) -> list[Session]:
    """The stored sessions of LiveTok's id, in the order in which they were stored. Test and live never meet."""
    return list(Session.objects.filter(session_id=event.session_id, is_test=event.is_test).order_by("number"))


def decided_for(sessions: Sequence[Session], begin: SessionBegin) -> Session | None:
    """The session that this begin, or another of the same caller, has decided already; or an erased one that it was of.

    A redelivery is one even where its number is read otherwise now.
    """
    for session in sessions:
        if session.is_erased and _was_begun_by(session, begin):
            return session
    decided = [session for session in sessions if session.has_begin]
    for session in decided:
        if bytes(session.begin_body or b"") == begin.body:
            return session
    for session in decided:
        if session.caller.identity == begin.caller.identity:
            return session
    for session in decided:
        if session.number_received == begin.caller.number_received and is_redelivered(session, begin):
            return session
    return None


def _was_begun_by(erased: Session, begin: SessionBegin) -> bool:
    """Whether it is an erased session's own begin, sent again or come late: all that is left to tell it by is the time.

    Decided afresh, it would bring the erased person back, and be counted twice.
    """
    if begin.stated_at is None:
        return False
    if erased.has_begin:
        return begin.stated_at == erased.begin_stated_at
    assert erased.ended_at is not None
    return erased.ended_at - LONGEST_SESSION <= begin.stated_at <= erased.ended_at


def is_redelivered(session: Session, begin: SessionBegin) -> bool:
    """Whether it is the very begin that the session has."""
    return _is_said_by(session.begin_body, "begin", session.begin_received_at, begin)


def holder_of(sessions: Sequence[Session], end: SessionEnd) -> Session | None:
    """The session that holds this very end, whether or not it counts there."""
    ended = {session.pk: session for session in sessions if session.has_end}
    if not ended:
        return None
    for session in ended.values():
        if bytes(session.end_body or b"") == end.body:
            return session
    # To see whether two ends say the same, both bodies are read, so only ends of the same duration are looked at.
    may_be_same = Q(body=end.body) | Q(stated_seconds=end.duration_seconds)
    superseded = list(SupersededEnd.objects.filter(may_be_same, session__in=ended))
    for row in superseded:
        if bytes(row.body) == end.body:
            return ended[row.session_id]
    for session in ended.values():
        is_as_long = session.stated_seconds == end.duration_seconds
        if is_as_long and _is_said_by(session.end_body, session.end_route, session.end_received_at, end):
            return session
    for row in superseded:
        if _is_said_by(row.body, row.route, row.received_at, end):
            return ended[row.session_id]
    return None


def read_again(body: Any, route: str, received_at: datetime | None) -> SessionEvent:
    """A begin or an end from the bytes that were stored, as it was read when it came."""
    assert received_at is not None
    event = read_event(bytes(body), route=route, received_at=received_at, phone_region=settings.PHONE_REGION)
    assert isinstance(event, SessionEvent)
    return event


def _is_said_by(body: Any, route: str, received_at: datetime | None, event: SessionEvent) -> bool:
    if bytes(body or b"") == event.body:
        return True
    try:
        return read_again(body or b"", route, received_at).said == event.said
    except Refused:  # by a rule that came after it
        return False


def waiting_for(sessions: Sequence[Session], begin: SessionBegin) -> Session | None:
    """The session whose end came first and whose begin this is: the caller's own, else one that leaves the caller open.

    Nobody ever gets an answer made for somebody else: two callers who are both named never share a session.
    """
    without_begin = [session for session in sessions if not session.has_begin]
    caller = begin.caller.identity
    for session in without_begin:
        if caller is not None and session.caller.identity == caller:
            return session
    open_ones = [
        session
        for session in without_begin
        if not session.is_erased and (caller is None or session.caller.identity is None)
    ]
    return open_ones[-1] if open_ones else None


def ended_by(sessions: Sequence[Session], end: SessionEnd) -> Session | None:
    """The session that an end is for: its caller's, else the last one stored; None where the id is new."""
    caller = end.caller.identity
    for session in sessions:
        if caller is not None and session.caller.identity == caller:
            return session
    return sessions[-1] if sessions else None
