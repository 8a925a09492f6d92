"""A begin decided by reading alone, while the database takes no writing: as it will be stored later. Writes nothing."""

from customers.first_sight import expected_channel
from sessions_app.decision.answer import AnswerGiven, DecisionGiven, as_bytes
from sessions_app.decision.judgement import as_at_first_contact, judge
from sessions_app.decision.rules import Reason
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionBegin
from sessions_app.models import Session
from sessions_app.periods import LONGEST_WITHOUT_CHANNEL
from sessions_app.recording.hooks import brought_for
from sessions_app.recording.matching import decided_for, waiting_for
from sessions_app.recording.reading import read_begin
from sessions_app.recording.rows import top_up_ids


def decide_by_reading(event: SessionBegin, delivery: Delivery) -> AnswerGiven | None:
    """The answer, with the decision unless it is stored already. None before first-run set-up.

    No provider of context is asked, since others wait for us. Raises what the database raises. Limits hold where no
    other begin of this machine is decided so meanwhile.
    """
    stored = list(Session.objects.filter(session_id=event.session_id, is_test=event.is_test).order_by("number"))
    decided = decided_for(stored, event)
    if decided is not None and decided.reason is not None:
        return AnswerGiven(Reason(decided.reason), bytes(decided.answer or b""))
    reading = read_begin(event, without=waiting_for(stored, event))
    if reading is None:
        return None
    access = as_at_first_contact(event, reading.access)
    channel = reading.channel or expected_channel(event.channel)
    brought = brought_for(delivery).so_far
    judgement = judge(event, access, reading.usage, channel, provide=brought, our_now=event.received_at)
    longest = channel.longest_session if channel else LONGEST_WITHOUT_CHANNEL
    decision = DecisionGiven(
        would_deny=[reason.value for reason in judgement.decision.would_deny],
        facts=judgement.facts,
        trace=judgement.trace,
        customer_id=reading.access.customer.pk if reading.access.customer else None,
        counts_toward_call_minutes=channel.counts_toward_call_minutes if channel else True,
        longest_session_seconds=longest.total_seconds(),
        **({} if event.is_test else top_up_ids(judgement.decision)),
    )
    return AnswerGiven(judgement.decision.reason, as_bytes(judgement.answer), decision)
