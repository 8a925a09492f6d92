"""How an event becomes a session's row. Nothing here writes it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.utils import timezone

from customers.access import Access
from customers.first_sight import see_agent, see_channel
from customers.limits import Metric
from customers.models import Agent, Channel, Customer, TopUp
from sessions_app.database.quick_rows import new_row
from sessions_app.decision.answer import AnswerGiven, as_bytes
from sessions_app.decision.judgement import Judgement
from sessions_app.decision.rules import Decision
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionBegin, SessionEnd, SessionEvent, occupancy
from sessions_app.models import Session, WebhookEvent
from sessions_app.periods import LONGEST_WITHOUT_CHANNEL
from sessions_app.recording.hooks import Awaited
from sessions_app.recording.log import event_row
from sessions_app.recording.reading import Reading
from sessions_app.sums.late import is_late
from sessions_app.usage.counting import Amount, Draw, UsageKey, change_between, contribution, drawn_between, drawn_by

DERIVED_FLAGS = frozenset(
    {"no_begin", "duration_derived", "duration_invalid", "duration_differs", "denied_but_took_place"}
)

# How it was answered before it was stored.
ANSWERED_BEFORE = frozenset({"stored_later", "fallback"})


@dataclass(frozen=True)
class Rows:
    """What an ordinary event writes, all or nothing.

    `change` is what the sums of usage get, `drawn` what those of top-ups do. `counts_in` are the sums of usage in which
    the session counts now or did before. `is_late`: it started in an earlier hour. `awaited` is what hooks wait for.
    `begins`, of a begin, and `flags_before`, of an end, must still be so when they are written.
    """

    session: Session
    event: WebhookEvent
    change: Mapping[UsageKey, Amount]
    drawn: Mapping[int, Draw]
    counts_in: Collection[UsageKey]
    is_late: bool
    awaited: Awaited
    begins: int | None = None
    flags_before: str = ""


def rows_of_begin(event: SessionBegin, delivery: Delivery, reading: Reading, judged: Judgement | AnswerGiven) -> Rows:
    session = new_session(event, [])
    fill_begin(session, event, reading, judged)
    counted = contribution(session)
    row = event_row(event, delivery, WebhookEvent.Verdict.ACCEPTED)
    late = is_late(session.started_at, timezone.now())
    drawn = drawn_between({}, drawn_by(session))
    return Rows(session, row, counted, drawn, counted, late, reading.awaited, begins=reading.begins)


def rows_of_end(event: SessionEnd, delivery: Delivery, session: Session, awaited: Awaited) -> Rows:
    before, drawn_before, flags_before = contribution(session), drawn_by(session), session.flags
    set_end(session, event)
    judge_occupancy(session)
    after = contribution(session)
    row = event_row(event, delivery, WebhookEvent.Verdict.ACCEPTED)
    late = is_late(session.started_at, timezone.now())
    change = change_between(before, after)
    drawn = drawn_between(drawn_before, drawn_by(session))
    return Rows(session, row, change, drawn, {**before, **after}, late, awaited, flags_before=flags_before)


def fill_begin(session: Session, event: SessionBegin, reading: Reading, judged: Judgement | AnswerGiven) -> None:
    """Put a begin and all that follows from it into the session's row."""
    channel, agent = reading.channel, reading.agent
    name_caller(session, event, reading.access.customer)
    session.channel, session.agent = channel, agent
    session.agent_is_number = _is_number(event, agent)
    _store_begin(session, event, reading.access, channel)
    if isinstance(judged, Judgement):
        _store_decision(session, judged)
    else:
        store_given(session, judged)
    judge_occupancy(session)
    longest = channel.longest_session if channel else LONGEST_WITHOUT_CHANNEL
    # Two clocks: decisions ask by LiveTok's whether a session is open, pages by ours whether its end is missing.
    session.open_until, session.missing_from = session.started_at + longest, event.received_at + longest


def new_session(event: SessionEvent, stored: list[Session]) -> Session:
    flags = {"test"} if event.is_test else set()
    if stored:
        flags.add("session_id_reused")
    number = stored[-1].number + 1 if stored else 0
    session = new_row(Session, session_id=event.session_id, is_test=event.is_test, number=number)
    add_flags(session, flags)
    return session


def name_caller(session: Session, event: SessionEvent, customer: Customer | None) -> None:
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
    add_flags(session, event.flags)


def _store_decision(session: Session, judgement: Judgement) -> None:
    session.allowed = judgement.decision.allowed
    session.reason = judgement.decision.reason.value
    session.would_deny = [reason.value for reason in judgement.decision.would_deny]
    session.facts = judgement.facts
    session.trace = judgement.trace
    session.answer = as_bytes(judgement.answer)
    if not session.is_test:
        vars(session).update(top_up_ids(judgement.decision))


def top_up_ids(decision: Decision) -> dict[str, int | None]:
    """The top-ups that a session draws on, by the names of their columns."""
    draws_on = decision.draws_on
    return {
        "minutes_top_up_id": draws_on.get(Metric.CALL_MINUTES),
        "sessions_top_up_id": draws_on.get(Metric.SESSIONS),
    }


def store_given(session: Session, given: AnswerGiven) -> None:
    """The answer as it was given; without a decision no rule was asked, so there is nothing to trace."""
    session.allowed = given.reason.admits
    session.reason = given.reason.value
    made = given.decision
    session.would_deny, session.facts, session.trace = (
        (made.would_deny, made.facts, made.trace) if made else ([], {}, [])
    )
    session.answer = given.content
    ids = (made.minutes_top_up_id, made.sessions_top_up_id) if made else (None, None)
    session.minutes_top_up_id, session.sessions_top_up_id = _still_there(session, ids)
    session.flags = " ".join(flag for flag in session.flag_list if flag not in ANSWERED_BEFORE)
    add_flags(session, {"stored_later" if made else "fallback"})


def _still_there(session: Session, ids: tuple[int | None, int | None]) -> list[int | None]:
    """What was decided before it is stored may draw on a top-up that was deleted since, or on another customer's."""
    wanted = [pk for pk in ids if pk is not None]
    theirs = TopUp.objects.filter(pk__in=wanted, customer=session.customer_id)
    there = set(theirs.values_list("pk", flat=True)) if wanted else set()
    return [pk if pk in there else None for pk in ids]


def set_end(session: Session, end: SessionEnd) -> None:
    session.end_received_at = end.received_at
    session.end_stated_at = end.stated_at
    session.end_body = end.body
    session.end_route = end.route
    session.stated_seconds = end.duration_seconds
    session.flags = " ".join(flag for flag in session.flag_list if not flag.startswith("end_"))
    add_flags(session, end.flags)
    if not session.has_begin:
        channel = see_channel(end.channel)
        agent = see_agent(end.agent, end.agent_name)
        # As staff had it when the session was stored: later edits of the channel hold for later sessions alone.
        if session.pk is None or session.channel_id != (channel.pk if channel else None):
            session.counts_toward_call_minutes = channel.counts_toward_call_minutes if channel else True
        session.channel, session.agent = channel, agent
        session.agent_is_number = _is_number(end, agent)


def _is_number(event: SessionEvent, agent: Agent | None) -> bool:
    """Whether LiveTok gave the agent's id as a number. One of too many is stored as another, by a word."""
    return event.agent_is_number and agent is not None and agent.pk == event.agent


def judge_occupancy(session: Session) -> None:
    """Bring start, end, duration and the flags that follow from them in line with the begin and the end there are."""
    is_unreadable = "end_duration_unreadable" in session.flag_list
    taken = occupancy(
        begin_at=session.begin_stated_at or session.begin_received_at,
        begin_stated=session.begin_stated_at is not None,
        end_at=session.end_stated_at or session.end_received_at,
        end_stated=session.end_stated_at is not None,
        stated_seconds=session.stated_seconds,
        # A denied session took place only if LiveTok states how long it took. If that were derived, every denied
        # session with an end would count.
        may_derive=session.allowed is not False and not is_unreadable,
    )
    session.started_at, session.ended_at = taken.started_at, taken.ended_at
    session.duration_seconds = taken.duration_seconds
    session.flags = " ".join(flag for flag in session.flag_list if flag not in DERIVED_FLAGS)
    add_flags(session, taken.flags | ({"denied_but_took_place"} if session.took_place_although_denied else set()))


def add_flags(session: Session, flags: Iterable[str]) -> None:
    session.flags = " ".join(sorted({*session.flag_list, *flags}))
