"""Sessions begin and end here: the only module that writes them, one transaction for each event.

A session's caller is serialised by the customer's row (on SQLite by the transaction). Locks are taken customer first,
session second. Whoever loses an insert, or finds a row changed between reading and locking it, starts over.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, OperationalError, connection
from django.utils import timezone

from customers.access import Access, find_customer, policy_tier, zone_of
from customers.contact import make_first_contact
from customers.defaults import make_defaults, the_policy
from customers.models import Agent, Channel, Customer, Tier
from customers.sightings import see_agent, see_channel
from sessions_app.billing.past_months import note_past_months
from sessions_app.database.prepared import djangos_transaction
from sessions_app.database.quick_rows import new_row
from sessions_app.decision.answer import AnswerGiven, as_bytes
from sessions_app.decision.judgement import Judgement, becomes_customer, judge
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionBegin, SessionEnd, SessionEvent, counting_end, occupancy
from sessions_app.models import DailyUsage, Session, SupersededEnd, WebhookEvent
from sessions_app.periods import LONGEST_WITHOUT_CHANNEL
from sessions_app.recording.hooks import provided_context, run_session_hooks
from sessions_app.recording.matching import decided_for, ended_by, holder_of, is_redelivered, read_again, waiting_for
from sessions_app.recording.reading import Reading, read_begin, read_end
from sessions_app.recording.writing import line_up, take_turn, write_begin, write_end
from sessions_app.sums.late import is_late, note_late_write, note_late_writes
from sessions_app.usage.used import Amount, UsageKey, change_between, contribution, record_change

Verdict = WebhookEvent.Verdict

# Of the same customer's begins at once, each turns away those that read before it; then the lock lines them up.
ORDINARY_ATTEMPTS = 3
ATTEMPTS = 5
# Deadlock and serialisation failure (PostgreSQL, appendix A): the transaction is sound and may be tried again.
TRANSIENT_SQLSTATES = frozenset({"40P01", "40001"})
# LiveTok sends an event again that was not answered 200, three times within that time at most (its "Retry Logic").
RETRIED_WITHIN = timedelta(minutes=10)

DERIVED_FLAGS = frozenset(
    {"no_begin", "duration_derived", "duration_invalid", "duration_differs", "denied_but_took_place"}
)

# How it was answered before it was stored.
ANSWERED_BEFORE = frozenset({"stored_later", "fallback"})


@dataclass(frozen=True)
class Outcome:
    """What became of an event, stored for good once the transaction has ended."""

    session: Session
    event: WebhookEvent

    @property
    def answer(self) -> bytes:
        return bytes(self.session.answer or b"")


class _ChangedMeanwhile(Exception):
    """What was read without a lock is not what the lock found."""


def begin_session(event: SessionBegin, delivery: Delivery) -> Outcome:
    """Decide whether the session may begin, and store the decision with its answer.

    A begin that comes again gets the stored answer and changes nothing.
    """
    return _begin_session(event, delivery, provided_context(event))


def begin_session_as_answered(event: SessionBegin, delivery: Delivery, given: AnswerGiven) -> Outcome:
    """Store a begin that was answered while nothing could be stored. The answer stands; no limit is judged again.

    Idempotent. It also stands where the session was decided after it was given, or shortly before: LiveTok had it
    first, or alone.
    """
    return _begin_session(event, delivery, {}, given)


def end_session(event: SessionEnd, delivery: Delivery) -> Outcome:
    """Store that a session ended. Of ends that differ one counts, whatever their order; the same end is idempotent."""
    session = read_end(event)
    if session is not None:
        try:
            outcome = _end_ordinarily(event, delivery, session)
        except (IntegrityError, OperationalError) as error:
            if not _may_work_next_time(error):
                raise
            outcome = None
        if outcome is not None:
            return outcome
    return _in_transaction(event, lambda: _end(event, delivery))


def declare_missing(session_ids: Iterable[int], user: AbstractBaseUser) -> int:
    """Staff's word that the ends of these open sessions will not come. Returns how many were open.

    They hold nothing any more; a true end that comes later still wins.
    """
    declared = 0
    for pk in session_ids:
        with djangos_transaction():
            session = Session.objects.select_for_update(of=("self",), no_key=True).get(pk=pk)
            if session.state_at(timezone.now()) == Session.State.OPEN:
                session.declared_missing_at = timezone.now()
                session.declared_missing_by = user  # type: ignore[assignment]
                session.save(update_fields=["declared_missing_at", "declared_missing_by"])
                declared += 1
    return declared


def reassign_sessions(from_customer: Customer, to_customer: Customer) -> None:
    """Give a first-contact customer's sessions and usage to the customer who takes the record over.

    Part of the caller's transaction, with both customers locked.
    """
    moved: set[UsageKey] = set()
    sessions = Session.objects.filter(customer=from_customer)
    note_late_writes(sessions.values_list("started_at", flat=True))
    sessions.update(customer=to_customer)
    for row in DailyUsage.objects.filter(customer=from_customer):
        amount = Amount(row.sessions, row.seconds, row.call_seconds)
        before, after = (UsageKey(who.pk, row.day, row.channel, row.agent) for who in (from_customer, to_customer))
        record_change({}, {after: amount})
        moved |= {before, after}
    note_past_months(moved)
    DailyUsage.objects.filter(customer=from_customer).delete()


def _begin_session(
    event: SessionBegin, delivery: Delivery, provided: dict[str, Any], given: AnswerGiven | None = None
) -> Outcome:
    for _ in range(ORDINARY_ATTEMPTS):
        reading = read_begin(event)
        if reading is None or reading.is_known or becomes_customer(event, reading.access):
            break
        try:
            outcome = _begin_ordinarily(event, delivery, reading, provided, given)
        except (IntegrityError, OperationalError) as error:  # say, the customer was merged into another meanwhile
            if not _may_work_next_time(error):
                raise
            break
        if outcome is not None:
            return outcome
    return _in_transaction(event, lambda: _begin(event, delivery, provided, given))


def _in_transaction(event: SessionEvent, work: Callable[[], Outcome]) -> Outcome:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with djangos_transaction():
                if attempt > 1:  # else many at once for one session id could turn each other away over and over
                    line_up(event.session_id)
                return work()
        except (IntegrityError, OperationalError, _ChangedMeanwhile) as error:
            if attempt == ATTEMPTS or not _may_work_next_time(error):
                raise
    raise AssertionError("the last attempt returns or raises")


def _may_work_next_time(error: Exception) -> bool:
    """Whether events that came at once stood in each other's way. A database that is away is none of that."""
    return not isinstance(error, OperationalError) or getattr(error.__cause__, "sqlstate", None) in TRANSIENT_SQLSTATES


def _begin_ordinarily(
    event: SessionBegin,
    delivery: Delivery,
    reading: Reading,
    provided: dict[str, Any],
    given: AnswerGiven | None,
) -> Outcome | None:
    """A begin of a new id by a caller whose record is settled. None where that was no longer so when it was stored."""
    session = _new_session(event, [])
    _decide(session, event, reading, reading.access, provided, given)
    row = _event_row(event, delivery, Verdict.ACCEPTED)
    used, late = contribution(session), is_late(session.started_at, timezone.now())
    with _one_transaction(late):
        if not write_begin(session, used, row, reading.begins):
            return None
        if late:
            note_late_write(session.started_at)
            note_past_months(used, session.pk)
        run_session_hooks(session, "begin")
    return Outcome(session, row)


def _end_ordinarily(event: SessionEnd, delivery: Delivery, session: Session) -> Outcome | None:
    """The only end of a session that has begun. None where another came first."""
    before, flags_before = contribution(session), session.flags
    _set_end(session, event)
    _judge_occupancy(session)
    row = _event_row(event, delivery, Verdict.ACCEPTED)
    after, late = contribution(session), is_late(session.started_at, timezone.now())
    with _one_transaction(late):
        if not write_end(session, change_between(before, after), row, flags_before=flags_before):
            return None
        if late:
            note_late_write(session.started_at)
            note_past_months({**before, **after}, session.pk)
        run_session_hooks(session, "end")
    return Outcome(session, row)


def _one_transaction(writes_more: bool) -> AbstractContextManager[object]:
    """A transaction where hooks or we write more; a statement alone is one by itself."""
    return djangos_transaction() if writes_more or settings.SESSION_EVENT_HOOKS else nullcontext()


def _begin(
    event: SessionBegin, delivery: Delivery, provided: dict[str, Any], given: AnswerGiven | None = None
) -> Outcome:
    """Any begin, step by step, with the customer locked."""
    stored = _sessions_of(event)
    decided = decided_for(stored, event)
    if decided is not None:
        if not is_redelivered(decided, event):
            _mark(decided, "begins_differ")
        if given is not None and _is_what_livetok_goes_by(decided, event, given):
            _let_stand(decided, given)
        return _log(event, delivery, decided, Verdict.REDELIVERED)

    customer = find_customer(event.caller.phone_key, event.caller.external_id, lock=True)
    if customer is not None:
        take_turn(customer.pk)
    waiting = waiting_for(stored, event)
    session = _locked(waiting) if waiting is not None else _new_session(event, stored)
    before = contribution(session) if waiting is not None else {}
    started_before = session.started_at
    reading = _read_for_sure(event, waiting)
    access = reading.access
    if becomes_customer(event, access):
        assert access.tier is not None
        access = access.for_customer(_first_contact(event, access.tier))
    elif access.customer != customer:
        raise _ChangedMeanwhile

    _decide(session, event, reading, access, provided, given)
    session.save()
    _count(session, before, started_before)
    run_session_hooks(session, "begin")
    return _log(event, delivery, session, Verdict.ACCEPTED)


def _is_what_livetok_goes_by(decided: Session, event: SessionBegin, given: AnswerGiven) -> bool:
    """Whether LiveTok got this answer and not the decision's: it asks again soon where it got none."""
    assert decided.begin_received_at is not None
    in_time = event.received_at <= decided.begin_received_at + RETRIED_WITHIN
    return in_time and bytes(decided.answer or b"") != given.content


def _let_stand(decided: Session, given: AnswerGiven) -> None:
    """Put the answer that LiveTok got in the place of a decision that it got later or never."""
    session = _locked(decided)
    before = contribution(session)
    _store_given(session, given)
    _judge_occupancy(session)
    session.save()
    _count(session, before, session.started_at)


def _decide(
    session: Session,
    event: SessionBegin,
    reading: Reading,
    access: Access,
    provided: dict[str, Any],
    given: AnswerGiven | None = None,
) -> None:
    """Judge the begin unless its answer is `given`, and put all that follows from it into the session's row."""
    channel, agent = _seen(event, reading)
    _name_caller(session, event, access.customer)
    session.channel, session.agent = channel, agent
    session.agent_is_number = _is_number(event, agent)
    _store_begin(session, event, access, channel)
    if given is None:
        _store_decision(
            session, judge(event, access, reading.usage, channel, provided=provided, our_now=event.received_at)
        )
    else:
        _store_given(session, given)
    _judge_occupancy(session)
    longest = channel.longest_session if channel else LONGEST_WITHOUT_CHANNEL
    session.open_until, session.missing_from = session.started_at + longest, event.received_at + longest


def _seen(event: SessionBegin, reading: Reading) -> tuple[Channel | None, Agent | None]:
    """The event's channel and agent, made or named anew where that is due."""
    channel, agent = reading.channel, reading.agent
    if channel is None:
        channel = see_channel(event.channel)
    if agent is None or (event.agent_name and event.agent_name != agent.name):
        agent = see_agent(event.agent, event.agent_name)
    return channel, agent


def _read_for_sure(event: SessionBegin, waiting: Session | None) -> Reading:
    reading = read_begin(event, without=waiting)
    if reading is None:
        make_defaults()
        reading = read_begin(event, without=waiting)
        assert reading is not None
    return reading


def _end(event: SessionEnd, delivery: Delivery) -> Outcome:
    """Any end, step by step, with the customer and the session locked."""
    stored = _sessions_of(event)
    holder = holder_of(stored, event)
    if holder is not None:
        return _log(event, delivery, holder, Verdict.REDELIVERED)

    ended = ended_by(stored, event)
    names_caller = ended is None or (not ended.has_begin and ended.caller.identity is None)
    customer = _customer_of_end(event) if names_caller else None
    session = _locked(ended) if ended is not None else _new_session(event, stored)
    before = contribution(session) if ended is not None else {}
    started_before = session.started_at
    if names_caller:
        _name_caller(session, event, customer)
        session.tier = customer.tier if customer else None
        session.time_zone = zone_of(customer).key
    elif event.caller.identity not in (None, session.caller.identity) and session.caller.identity is not None:
        _add_flags(session, {"caller_differs"})

    verdict = Verdict.CORRECTED if session.has_end else Verdict.ACCEPTED
    _take_end(session, event)
    _judge_occupancy(session)
    session.save()
    _count(session, before, started_before)
    run_session_hooks(session, "end")
    return _log(event, delivery, session, verdict)


def _count(session: Session, before: Mapping[UsageKey, Amount], started_before: datetime | None) -> None:
    """Bring all that is made of sessions in line with one that counted `before`, or say that it is not any more."""
    after = contribution(session)
    record_change(before, after)
    note_late_writes({started_before, session.started_at})
    note_past_months({**before, **after}, session.pk)


def _sessions_of(event: SessionEvent) -> list[Session]:
    """The stored sessions of LiveTok's id, in the order in which they were stored. Test and live never meet."""
    return list(Session.objects.filter(session_id=event.session_id, is_test=event.is_test).order_by("number"))


def _locked(session: Session) -> Session:
    """The session with its row, and before it its customer's row, locked. On SQLite the transaction has locked it."""
    if not connection.features.has_select_for_update:
        return session
    if session.customer_id is not None:
        Customer.objects.select_for_update(no_key=True).filter(pk=session.customer_id).first()
    fresh = Session.objects.select_for_update(of=("self",), no_key=True).get(pk=session.pk)
    if _standing(fresh) != _standing(session):
        raise _ChangedMeanwhile
    return fresh


def _standing(session: Session) -> tuple[object, ...]:
    return session.customer_id, session.caller.identity, session.has_begin, bytes(session.end_body or b"")


def _customer_of_end(event: SessionEnd) -> Customer | None:
    customer = find_customer(event.caller.phone_key, event.caller.external_id, lock=True)
    if customer is not None or event.caller.identity is None or event.is_test:
        return customer
    tier = policy_tier(the_policy(), is_named=True)
    return _first_contact(event, tier) if tier is not None else None


def _first_contact(event: SessionEvent, tier: Tier) -> Customer:
    caller = event.caller
    return make_first_contact(
        tier=tier,
        number=caller.number_received,
        phone_key=caller.phone_key,
        external_id=caller.external_id,
        name=caller.name,
        email=caller.email,
    )


def _new_session(event: SessionEvent, stored: list[Session]) -> Session:
    flags = {"test"} if event.is_test else set()
    if stored:
        flags.add("session_id_reused")
    number = stored[-1].number + 1 if stored else 0
    session = new_row(Session, session_id=event.session_id, is_test=event.is_test, number=number)
    _add_flags(session, flags)
    return session


def _name_caller(session: Session, event: SessionEvent, customer: Customer | None) -> None:
    session.number_received = event.caller.number_received
    session.phone_key = event.caller.phone_key
    session.external_id = event.caller.external_id
    session.customer = customer


def _store_begin(session: Session, event: SessionBegin, access: Access, channel: Channel | None) -> None:
    session.begin_received_at = event.received_at
    session.begin_stated_at = event.stated_at
    session.begin_body = event.body
    session.tier = access.tier
    session.time_zone = access.zone.key
    session.counts_toward_call_minutes = channel.counts_toward_call_minutes if channel else True
    _add_flags(session, event.flags)


def _store_decision(session: Session, judgement: Judgement) -> None:
    session.allowed = judgement.decision.allowed
    session.reason = judgement.decision.reason.value
    session.would_deny = [reason.value for reason in judgement.decision.would_deny]
    session.facts = judgement.facts
    session.trace = judgement.trace
    session.answer = as_bytes(judgement.answer)


def _store_given(session: Session, given: AnswerGiven) -> None:
    """The answer as it was given; without a decision no rule was asked, so there is nothing to trace."""
    session.allowed = given.reason.admits
    session.reason = given.reason.value
    made = given.decision
    session.would_deny, session.facts, session.trace = (
        (made.would_deny, made.facts, made.trace) if made else ([], {}, [])
    )
    session.answer = given.content
    session.flags = " ".join(flag for flag in session.flag_list if flag not in ANSWERED_BEFORE)
    _add_flags(session, {"stored_later" if made else "fallback"})


def _take_end(session: Session, event: SessionEnd) -> None:
    """Make the end that counts the session's own, and keep those that do not."""
    if not session.has_end:
        _set_end(session, event)
        return
    current = _end_again(session.end_body, session.end_route, session.end_received_at)
    others = {row.pk: _end_again(row.body, row.route, row.received_at) for row in session.superseded_ends.all()}
    ends = [current, *others.values(), event]
    winner = counting_end(ends)
    _add_flags(session, {"ends_differ"})
    if not session.has_begin:
        _spell_caller(session, ends)
    if winner is not event:
        _keep_superseded(session, event, event.received_at)
    if winner is not current:
        _keep_superseded(session, current, event.received_at)
        SupersededEnd.objects.filter(pk__in=[pk for pk, end in others.items() if end is winner]).delete()
        _set_end(session, winner)


def _spell_caller(session: Session, ends: Iterable[SessionEnd]) -> None:
    """Write the caller as the end that counts among those of the caller does, whichever came first."""
    spelled = [end for end in ends if end.caller.identity == session.caller.identity]
    if spelled:  # none, where numbers are read otherwise than when they came: PHONE_REGION was changed
        caller = counting_end(spelled).caller
        session.number_received, session.external_id = caller.number_received, caller.external_id


def _set_end(session: Session, end: SessionEnd) -> None:
    session.end_received_at = end.received_at
    session.end_stated_at = end.stated_at
    session.end_body = end.body
    session.end_route = end.route
    session.stated_seconds = end.duration_seconds
    session.flags = " ".join(flag for flag in session.flag_list if not flag.startswith("end_"))
    _add_flags(session, end.flags)
    if not session.has_begin:
        channel = see_channel(end.channel)
        agent = see_agent(end.agent, end.agent_name)
        if session.pk is None or session.channel_id != (channel.pk if channel else None):
            session.counts_toward_call_minutes = channel.counts_toward_call_minutes if channel else True
        session.channel, session.agent = channel, agent
        session.agent_is_number = _is_number(end, agent)


def _is_number(event: SessionEvent, agent: Agent | None) -> bool:
    """Whether LiveTok gave the agent's id as a number. One of too many is stored as another, by a word."""
    return event.agent_is_number and agent is not None and agent.pk == event.agent


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


def _judge_occupancy(session: Session) -> None:
    """Bring start, end, duration and the flags that follow from them in line with the begin and the end there are."""
    is_unreadable = "end_duration_unreadable" in session.flag_list
    taken = occupancy(
        begin_at=session.begin_stated_at or session.begin_received_at,
        begin_stated=session.begin_stated_at is not None,
        end_at=session.end_stated_at or session.end_received_at,
        end_stated=session.end_stated_at is not None,
        stated_seconds=session.stated_seconds,
        may_derive=session.allowed is not False and not is_unreadable,
    )
    session.started_at, session.ended_at = taken.started_at, taken.ended_at
    session.duration_seconds = taken.duration_seconds
    session.flags = " ".join(flag for flag in session.flag_list if flag not in DERIVED_FLAGS)
    _add_flags(session, taken.flags | ({"denied_but_took_place"} if session.took_place_although_denied else set()))


def _add_flags(session: Session, flags: Iterable[str]) -> None:
    session.flags = " ".join(sorted({*session.flag_list, *flags}))


def _mark(session: Session, flag: str) -> None:
    """Add a flag to a stored session that otherwise stays as it is."""
    if flag not in session.flag_list:
        fresh = Session.objects.select_for_update(of=("self",), no_key=True).get(pk=session.pk)
        _add_flags(fresh, {flag})
        fresh.save(update_fields=["flags"])


def _log(event: SessionEvent, delivery: Delivery, session: Session, verdict: WebhookEvent.Verdict) -> Outcome:
    row = _event_row(event, delivery, verdict)
    log_event(row, delivery)
    return Outcome(session, row)


def log_event(row: WebhookEvent, delivery: Delivery) -> None:
    """Log a request, once even where we bring it to the database again."""
    same = WebhookEvent.objects.filter(received_at=row.received_at, session_id=row.session_id, event=row.event)
    if not (delivery.is_again and same.filter(key=row.key, body=row.body).exists()):
        row.save(force_insert=True)


def _event_row(event: SessionEvent, delivery: Delivery, verdict: WebhookEvent.Verdict) -> WebhookEvent:
    return new_row(
        WebhookEvent,
        received_at=event.received_at,
        event="session_begin" if isinstance(event, SessionBegin) else "session_end",
        session_id=event.session_id,
        is_test=event.is_test,
        verdict=verdict,
        status=200,
        took_ms=delivery.took_ms(),
        key=delivery.key,
        address=delivery.address,
        route=event.route,
        body=event.body,
    )
