"""Begins that were decided by reading and wait on disk to be stored: what they use already, and how they were answered.

Read from the spool's own files, since each process of this machine writes one. Nearly always there is nothing to read.
"""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from django.conf import settings

from sessions_app.decision.answer import AnswerGiven
from sessions_app.livetok.events import SessionBegin
from sessions_app.livetok.payloads import read_event
from sessions_app.spool.files import Line, Unreadable, lines_of, spool_files, spool_folder

# The system's clock for files goes in steps: a folder that changed so lately may change again without a sign of it.
SETTLED_SECONDS = 0.1
_DECIDED = b'"decision":{'


@dataclass(frozen=True)
class WaitingBegin:
    """One of them, of a named caller. `open_until` is when it counts as open no longer."""

    session_id: str
    is_test: bool
    channel: str | None
    agent: str | None
    started_at: datetime
    open_until: datetime
    counts_toward_call_minutes: bool
    given: AnswerGiven
    minutes_top_up_id: int | None = None
    sessions_top_up_id: int | None = None

    @property
    def uses_limits(self) -> bool:
        return self.given.reason.admits and not self.is_test

    def is_of(self, event: SessionBegin) -> bool:
        return (self.session_id, self.is_test) == (event.session_id, event.is_test)


Key: TypeAlias = tuple[str, str]  # a caller's identity, or ("customer", the id of its row)


@dataclass(frozen=True)
class Waiting:
    """All of them at one moment."""

    by_key: Mapping[Key, tuple[WaitingBegin, ...]]

    def answer_to(self, event: SessionBegin) -> AnswerGiven | None:
        """What the same caller's begin of this session was answered."""
        same = self.by_key.get(event.caller.identity or ("", ""), ())
        return next((begin.given for begin in same if begin.is_of(event)), None)

    def beside(self, event: SessionBegin, customer_id: int | None) -> list[WaitingBegin]:
        """The other sessions of the customer, or of the caller who is none yet, that were let in; no test traffic."""
        keys = [event.caller.identity or ("", "")]
        keys += [_customer_key(customer_id)] if customer_id is not None else []
        found = {id(begin): begin for key in keys for begin in self.by_key.get(key, ())}
        return [begin for begin in found.values() if begin.uses_limits and not begin.is_of(event)]


NOTHING = Waiting({})


def begins_that_wait() -> Waiting:
    return _files.known()


class _Files:
    """What this process has read of the spool. One for a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder: tuple[Path, int] | None = None  # with its change that was seen last
        self._read_until: dict[Path, int] = {}
        self._begins: dict[Path, list[tuple[tuple[Key, ...], WaitingBegin]]] = {}
        self._known = NOTHING

    def known(self) -> Waiting:
        if self._is_as_empty_as_before():
            return NOTHING
        with self._lock:
            if self._catch_up():
                by_key: defaultdict[Key, tuple[WaitingBegin, ...]] = defaultdict(tuple)
                for begins in self._begins.values():
                    for keys, begin in begins:
                        for key in keys:
                            by_key[key] += (begin,)
                self._known = Waiting(by_key) if by_key else NOTHING
            return self._known

    def _is_as_empty_as_before(self) -> bool:
        """What every begin asks, so without a look into the folder."""
        if self._read_until:
            return False
        folder = spool_folder()
        try:
            return self._folder == (folder, os.stat(folder).st_mtime_ns)
        except OSError:
            return True

    def _catch_up(self) -> bool:
        """Whether anything changed."""
        folder = spool_folder()
        changed_ns = os.stat(folder).st_mtime_ns if folder.is_dir() else 0
        before = dict(self._read_until)
        files = spool_files()
        for path in self._read_until.keys() - set(files):
            del self._read_until[path]
            self._begins.pop(path, None)
        for path in files:
            start = self._read_until.setdefault(path, 0)
            for line in _finished(path, start):
                self._read_until[path] = line.end
                if (found := _begin_of(line)) is not None:
                    self._begins.setdefault(path, []).append(found)
        is_settled = time.time_ns() - changed_ns > SETTLED_SECONDS * 1_000_000_000
        self._folder = (folder, changed_ns) if is_settled else None
        return before != self._read_until


_files = _Files()


def _finished(path: Path, start: int) -> Iterator[Line]:
    try:
        yield from (line for line in lines_of(path, start) if line.is_finished)
    except OSError:  # fed and deleted meanwhile
        return


def _begin_of(line: Line) -> tuple[tuple[Key, ...], WaitingBegin] | None:
    """The begin that a line holds, if it was decided, with the keys to find it by."""
    # Ends and fallbacks were not decided; this tells without decoding their lines.
    if _DECIDED not in line.content:
        return None
    try:
        request = line.request()
    except Unreadable:
        return None
    event = read_event(
        request.body or b"", route=request.route, received_at=request.received_at, phone_region=settings.PHONE_REGION
    )
    given = request.given
    if not isinstance(event, SessionBegin) or given is None or given.decision is None:
        return None
    decision = given.decision
    begin = WaitingBegin(
        session_id=event.session_id,
        is_test=event.is_test,
        channel=event.channel,
        agent=event.agent,
        started_at=event.at,
        open_until=event.at + timedelta(seconds=decision.longest_session_seconds),
        counts_toward_call_minutes=decision.counts_toward_call_minutes,
        given=given,
        minutes_top_up_id=decision.minutes_top_up_id,
        sessions_top_up_id=decision.sessions_top_up_id,
    )
    customer = _customer_key(decision.customer_id) if decision.customer_id is not None else None
    return tuple(key for key in (event.caller.identity, customer) if key is not None), begin


def _customer_key(customer_id: int) -> Key:
    return "customer", str(customer_id)
