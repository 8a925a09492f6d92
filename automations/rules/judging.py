"""Events that rules wait for are judged: which rules fire on each."""

import logging
from collections.abc import Callable, Iterator, Sequence

from automations.apart import AWAY, each_alone
from automations.happenings import triggers_of
from automations.models import Occurrence, Rule, Trigger
from automations.rules.firing import Event, Prepared, Preparing, event_of, store_firings
from automations.rules.matching import holds, subject_of
from automations.rules.usage_alerts import usage_events
from sessions_app.database.pieces import bulk_transaction
from sessions_app.models import Session

logger = logging.getLogger("frontdesk.automations")

# Read at once, and stored at once: SQLite's turn is LiveTok's again after some milliseconds.
AT_ONCE, FIRINGS_AT_ONCE = 50, 40

Judged = tuple[Occurrence, Sequence[Prepared]]


class Judge:
    """One for a process. What cannot be judged stays in the table, and holds up nothing."""

    def __init__(self) -> None:
        self._failed: set[int] = set()

    def judge(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Judge what waits, some at a time. Returns how many."""
        judged = 0
        while not should_stop():
            taken = self._judge_some()
            judged += taken
            if taken < AT_ONCE:
                break
        return judged

    def _judge_some(self) -> int:
        """Judged beforehand, with nothing locked; stored and deleted in one transaction."""
        some = list(Occurrence.objects.exclude(pk__in=self._failed).order_by("pk")[:AT_ONCE])
        if some:
            for piece in _pieces(self._judged(some)):
                each_alone(piece, _store, lambda one, fault: self._set_aside(one[0], fault))
        return len(some)

    def _set_aside(self, occurrence: Occurrence, fault: Exception) -> None:
        logger.error("an event cannot be judged", exc_info=fault, extra={"session": occurrence.session_id})
        self._failed.add(occurrence.pk)

    def _judged(self, some: Sequence[Occurrence]) -> Iterator[Judged]:
        # Read after the events: an edit that an event saw is seen here.
        rules = list(Rule.objects.active(*(set(Trigger) - {Trigger.MISSING_END, Trigger.SILENT})))
        sessions, preparing = _sessions_of(some), Preparing()
        for occurrence in some:
            session = sessions.get(_named(occurrence))
            try:
                # Of a session that is gone, nothing follows.
                prepared = preparing.prepare(set_off(occurrence, session, rules)) if session else []
            except AWAY:
                raise
            except Exception as fault:  # noqa: BLE001 - the log is told, and the others are judged
                self._set_aside(occurrence, fault)
            else:
                yield occurrence, prepared


def set_off(occurrence: Occurrence, session: Session, rules: Sequence[Rule]) -> Iterator[tuple[Rule, Event]]:
    """Those of the rules that the event sets off, with what they fire on."""
    triggers = triggers_of(occurrence.kind, bool(session.allowed), occurrence.is_first_contact)
    subject = subject_of(session)
    matching = [rule for rule in rules if rule.trigger in triggers and holds(rule, subject)]
    event = event_of(session, occurrence.received_at)
    yield from ((rule, event) for rule in matching if rule.trigger != Trigger.USAGE_REACHED)
    on_usage = [rule for rule in matching if rule.trigger == Trigger.USAGE_REACHED]
    yield from usage_events(on_usage, session, occurrence.received_at)


def _sessions_of(some: Sequence[Occurrence]) -> dict[tuple[str, bool, int], Session]:
    named = Session.objects.filter(session_id__in={one.session_id for one in some})
    found = named.select_related("customer", "tier", "channel", "agent").prefetch_related("customer__numbers")
    return {_named(session): session for session in found}


def _named(one: Occurrence | Session) -> tuple[str, bool, int]:
    return one.session_id, one.is_test, one.number


def _pieces(judged: Iterator[Judged]) -> Iterator[list[Judged]]:
    """Some at a time, none with many more firings than are stored at once."""
    piece: list[Judged] = []
    for one in judged:
        piece.append(one)
        if sum(len(prepared) for _, prepared in piece) >= FIRINGS_AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece


def _store(piece: Sequence[Judged]) -> None:
    """All that follows, and the events are gone: a worker that dies before leaves them to another.

    Of what another worker judges too, who is first stores it. The other waits and finds it gone: if it went on with
    later ones meanwhile, a session's end could be told before its begin.
    """
    with bulk_transaction():
        waiting = Occurrence.objects.filter(pk__in=[occurrence.pk for occurrence, _ in piece]).order_by("pk")
        ours = set(waiting.select_for_update().values_list("pk", flat=True))
        if ours:
            store_firings([one for occurrence, prepared in piece if occurrence.pk in ours for one in prepared])
            Occurrence.objects.filter(pk__in=ours).delete()


judge = Judge()
