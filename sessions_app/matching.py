"""Which stored session an event belongs to. LiveTok's id alone does not say: it may be used again for another caller.

Every function takes the stored sessions of one id, in the order in which they were stored.
"""

from collections.abc import Sequence

from sessions_app.events import SessionBegin, SessionEnd
from sessions_app.models import Session


def decided_for(sessions: Sequence[Session], begin: SessionBegin) -> Session | None:
    """The session that this begin, or another of the same caller, has decided already.

    The same body is a redelivery even where its number is read otherwise now.
    """
    decided = [session for session in sessions if session.has_begin]
    for session in decided:
        if bytes(session.begin_body or b"") == begin.body:
            return session
    for session in decided:
        if session.caller.identity == begin.caller.identity:
            return session
    return None


def waiting_for(sessions: Sequence[Session], begin: SessionBegin) -> Session | None:
    """The session whose end came first and whose begin this is: the caller's own, else one that leaves the caller open.

    Nobody ever gets an answer made for somebody else: two callers who are both named never share a session.
    """
    without_begin = [session for session in sessions if not session.has_begin]
    caller = begin.caller.identity
    for session in without_begin:
        if caller is not None and session.caller.identity == caller:
            return session
    open_ones = [session for session in without_begin if caller is None or session.caller.identity is None]
    return open_ones[-1] if open_ones else None


def ended_by(sessions: Sequence[Session], end: SessionEnd) -> Session | None:
    """The session that an end is for: its caller's, else the last one stored; None where the id is new."""
    caller = end.caller.identity
    for session in sessions:
        if caller is not None and session.caller.identity == caller:
            return session
    return sessions[-1] if sessions else None
