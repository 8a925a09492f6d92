"""A session begins: its begin is decided, and stored with its answer."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from customers.access import Access, find_customer
from customers.defaults import make_defaults
from customers.models.channels import new_channel
from sessions_app.decision.answer import AnswerGiven, Provided
from sessions_app.decision.judgement import Judgement, as_at_first_contact, becomes_customer, judge
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionBegin
from sessions_app.models import Session, WebhookEvent
from sessions_app.recording.attempts import ChangedMeanwhile, NotOrdinary, in_transaction, locked, ordinarily
from sessions_app.recording.counted import count_change
from sessions_app.recording.first_sight import first_contact_of, with_first_sights
from sessions_app.recording.hooks import Brought, Happening, brought_for
from sessions_app.recording.log import Outcome, log_of
from sessions_app.recording.matching import decided_for, is_redelivered, sessions_of, waiting_for
from sessions_app.recording.reading import Reading, read_begin
from sessions_app.recording.rows import add_flags, fill_begin, judge_occupancy, new_session, rows_of_begin, store_given
from sessions_app.recording.writing import take_turn, write_begin, write_hooked
from sessions_app.usage.counting import NOTHING, Counts

Verdict = WebhookEvent.Verdict

# Of the same customer's begins at once, each turns away those that read before it; then the lock lines them up.
ORDINARY_ATTEMPTS = 3
# LiveTok sends an event again that was not answered 200, three times within that time at most (its "Retry Logic").
RETRIED_WITHIN = timedelta(minutes=10)


def begin_session(event: SessionBegin, delivery: Delivery) -> Outcome:
    """Decide whether the session may begin, and store the decision with its answer.

    A begin that comes again gets the stored answer and changes nothing.
    """
    return _begin_session(event, delivery, brought_for(delivery))


def begin_session_as_answered(event: SessionBegin, delivery: Delivery, given: AnswerGiven) -> Outcome:
    """Store a begin that was answered while nothing could be stored. The answer stands; no limit is judged again.

    Idempotent. It also stands where the session was decided after it was given, or shortly before: LiveTok had it
    first, or alone.
    """
    return _begin_session(event, delivery, Brought(), given)


def _begin_session(
    event: SessionBegin, delivery: Delivery, brought: Brought, given: AnswerGiven | None = None
) -> Outcome:
    outcome = ordinarily(lambda: _begin_ordinarily(event, delivery, brought, given), attempts=ORDINARY_ATTEMPTS)
    return outcome or in_transaction(event, lambda: _begin(event, delivery, brought, given))


def _begin_ordinarily(
    event: SessionBegin, delivery: Delivery, brought: Brought, given: AnswerGiven | None
) -> Outcome | None:
    """A begin of a new id by a caller whose record is settled. None where that was no longer so when it was stored."""
    read = read_begin(event)
    if read is None or read.is_known:
        raise NotOrdinary
    ask = partial(brought.ask, event)
    if becomes_customer(event, read.access):
        if given is None:  # ask for context now, since locks are held while the customer is made
            _judge(event, _at_first_contact(event, read), ask)
        raise NotOrdinary
    reading = with_first_sights(read, event)
    judged = given or _judge(event, reading, ask)
    return write_begin(rows_of_begin(event, delivery, reading, judged))


def _at_first_contact(event: SessionBegin, read: Reading) -> Reading:
    """Much as it will be read once the caller is a customer: to know whether to ask. Neither reads nor writes."""
    channel = read.channel or (new_channel(event.channel) if event.channel else None)
    return replace(read, access=as_at_first_contact(event, read.access), channel=channel)


def _judge(event: SessionBegin, reading: Reading, provide: Callable[[Access], Provided]) -> Judgement:
    return judge(event, reading.access, reading.usage, reading.channel, provide=provide, our_now=event.received_at)


def _begin(event: SessionBegin, delivery: Delivery, brought: Brought, given: AnswerGiven | None = None) -> Outcome:
    """Any begin, step by step, with the customer locked: no other system is asked any more."""
    stored = sessions_of(event)
    decided = decided_for(stored, event)
    if decided is not None and decided.is_erased:
        return log_of(event, delivery, decided, Verdict.REDELIVERED)
    if decided is not None:
        if not is_redelivered(decided, event):
            _mark(decided, "begins_differ")
        if given is not None and _is_what_livetok_goes_by(decided, event, given):
            _let_stand(decided, given)
        return log_of(event, delivery, decided, Verdict.REDELIVERED)

    customer = find_customer(event.caller.phone_key, event.caller.external_id, lock=True)
    if customer is not None:
        # Begins that have read already find their turn gone when they write, and read again.
        take_turn(customer.pk)
    waiting = waiting_for(stored, event)
    session = locked(waiting) if waiting is not None else new_session(event, stored)
    # An end that came first counts already, and must not count twice once the begin says when the session started.
    before = Counts.of(session) if waiting is not None else NOTHING
    started_before = session.started_at
    reading = _read_for_sure(event, waiting)
    tier = reading.access.tier
    is_first_contact = tier is not None and becomes_customer(event, reading.access)
    if tier is not None and is_first_contact:
        reading = replace(reading, access=reading.access.for_customer(first_contact_of(event, tier)))
    elif reading.access.customer != customer:
        # Between looking for whom to lock and reading, the number came to another customer.
        raise ChangedMeanwhile

    reading = with_first_sights(reading, event)
    fill_begin(session, event, reading, given or _judge(event, reading, brought.so_far))
    session.save()
    count_change(session, before, started_before)
    write_hooked(Happening("begin", session, event.received_at, is_first_contact))
    return log_of(event, delivery, session, Verdict.ACCEPTED)


def _is_what_livetok_goes_by(decided: Session, event: SessionBegin, given: AnswerGiven) -> bool:
    """Whether LiveTok got this answer and not the decision's: it asks again soon where it got none."""
    assert decided.begin_received_at is not None
    in_time = event.received_at <= decided.begin_received_at + RETRIED_WITHIN
    return in_time and bytes(decided.answer or b"") != given.content


def _let_stand(decided: Session, given: AnswerGiven) -> None:
    """Put the answer that LiveTok got in the place of a decision that it got later or never."""
    session = locked(decided)
    before = Counts.of(session)
    store_given(session, given)
    judge_occupancy(session)
    session.save()
    count_change(session, before, session.started_at)


def _read_for_sure(event: SessionBegin, waiting: Session | None) -> Reading:
    reading = read_begin(event, without=waiting)
    if reading is None:
        make_defaults()
        reading = read_begin(event, without=waiting)
        assert reading is not None
    return reading


def _mark(session: Session, flag: str) -> None:
    """Add a flag to a stored session that otherwise stays as it is."""
    if flag not in session.flag_list:
        fresh = Session.objects.select_for_update(of=("self",), no_key=True).get(pk=session.pk)
        add_flags(fresh, {flag})
        fresh.save(update_fields=["flags"])
