"""A session ends. Of ends that differ one counts, whatever their order."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from customers.access import zone_of
from customers.scheduled import tier_at
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import Caller, SessionEnd, counting_end
from sessions_app.models import Session, SupersededEnd, WebhookEvent
from sessions_app.recording.attempts import NotOrdinary, in_transaction, locked, ordinarily
from sessions_app.recording.counted import count_change
from sessions_app.recording.first_sight import customer_of_end
from sessions_app.recording.hooks import Happening
from sessions_app.recording.log import Outcome, log_of
from sessions_app.recording.matching import ended_by, holder_of, read_again, sessions_of
from sessions_app.recording.reading import read_end
from sessions_app.recording.rows import add_flags, judge_occupancy, name_caller, new_session, rows_of_end, set_end
from sessions_app.recording.writing import write_end, write_hooked
from sessions_app.usage.counting import NOTHING, Counts

Verdict = WebhookEvent.Verdict


def end_session(event: SessionEnd, delivery: Delivery) -> Outcome:
    """Store that a session ended. Of ends that differ one counts, whatever their order; the same end is idempotent."""
    outcome = ordinarily(lambda: _end_ordinarily(event, delivery), attempts=1)
    return outcome or in_transaction(event, lambda: _end(event, delivery))


def _end_ordinarily(event: SessionEnd, delivery: Delivery) -> Outcome | None:
    """The only end of a session that has begun. None where another came first."""
    read = read_end(event)
    if read is None:
        raise NotOrdinary
    return write_end(rows_of_end(event, delivery, *read))


def _end(event: SessionEnd, delivery: Delivery) -> Outcome:
    """Any end, step by step, with the customer and the session locked."""
    stored = sessions_of(event)
    holder = holder_of(stored, event)
    if holder is not None:
        return log_of(event, delivery, holder, Verdict.REDELIVERED)

    ended = ended_by(stored, event)
    if ended is not None and ended.is_erased:
        if ended.has_end:  # whether it is the same or a correction, nobody can tell any more
            return log_of(event, delivery, ended, Verdict.REDELIVERED)
        event = replace(event, caller=Caller(), body=b"")
    # Caller, customer, tier and zone are the begin's once there is one; an end says them only where nothing else does.
    names_caller = ended is None or (not ended.has_begin and ended.caller.identity is None)
    # The customer is locked before the session, as a begin does: the other way round, two could wait for each other.
    customer, is_first_contact = customer_of_end(event) if names_caller else (None, False)
    session = locked(ended) if ended is not None else new_session(event, stored)
    before = Counts.of(session) if ended is not None else NOTHING
    started_before = session.started_at
    if names_caller:
        name_caller(session, event, customer)
        session.time_zone = zone_of(customer).key
    elif event.caller.identity not in (None, session.caller.identity) and session.caller.identity is not None:
        add_flags(session, {"caller_differs"})

    is_corrected = session.has_end
    _take_end(session, event)
    judge_occupancy(session)
    if names_caller:
        session.tier = tier_at(customer, session.started_at) if customer else None
    session.save()
    count_change(session, before, started_before)
    kind: Literal["end", "corrected"] = "corrected" if is_corrected else "end"
    write_hooked(Happening(kind, session, event.received_at, is_first_contact))
    return log_of(event, delivery, session, Verdict.CORRECTED if is_corrected else Verdict.ACCEPTED)


def _take_end(session: Session, event: SessionEnd) -> None:
    """Make the end that counts the session's own, and keep those that do not."""
    if not session.has_end:
        set_end(session, event)
        return
    # Which end counts may depend on everything that each of them says, and only its body has all of that.
    current = _end_again(session.end_body, session.end_route, session.end_received_at)
    others = {row.pk: _end_again(row.body, row.route, row.received_at) for row in session.superseded_ends.all()}
    ends = [current, *others.values(), event]
    winner = counting_end(ends)
    add_flags(session, {"ends_differ"})
    if not session.has_begin:
        _spell_caller(session, ends)
    if winner is not event:
        _keep_superseded(session, event, event.received_at)
    if winner is not current:
        _keep_superseded(session, current, event.received_at)
        SupersededEnd.objects.filter(pk__in=[pk for pk, end in others.items() if end is winner]).delete()
        set_end(session, winner)


def _spell_caller(session: Session, ends: Iterable[SessionEnd]) -> None:
    """Write the caller as the end that counts among those of the caller does, whichever came first."""
    spelled = [end for end in ends if end.caller.identity == session.caller.identity]
    if spelled:  # none, where numbers are read otherwise than when they came: PHONE_REGION was changed
        caller = counting_end(spelled).caller
        session.number_received, session.external_id = caller.number_received, caller.external_id


def _end_again(body: Any, route: str, received_at: datetime | None) -> SessionEnd:
    end = read_again(body, route, received_at)
    assert isinstance(end, SessionEnd)
    return end


def _keep_superseded(session: Session, end: SessionEnd, recorded_at: datetime) -> None:
    SupersededEnd.objects.create(
        session=session,
        received_at=end.received_at,
        recorded_at=recorded_at,
        route=end.route,
        stated_seconds=end.duration_seconds,
        body=end.body,
    )
