"""From an event and what staff have set to a decision and its answer. Reads only."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from customers.access import Access
from customers.first_sight import first_contact
from customers.limits import Period
from customers.models import Channel, Customer, DenialMessage, Policy, Tier
from sessions_app.decision.answer import NOTHING_PROVIDED, Provided, answer_of, own_context
from sessions_app.decision.rules import DENIAL_MESSAGES, Balance, CallerKind, Decision, Facts, Reason, Usage, decide
from sessions_app.livetok.events import SessionBegin, SessionEvent
from sessions_app.periods import span_of


@dataclass(frozen=True)
class Judgement:
    """A decision with all that is stored beside it."""

    decision: Decision
    answer: dict[str, Any]
    facts: dict[str, Any]
    provided: Provided = NOTHING_PROVIDED

    @property
    def trace(self) -> list[dict[str, Any]]:
        return [check.as_json() for check in self.decision.checks]


def becomes_customer(event: SessionEvent, access: Access) -> bool:
    """A caller whom nobody knew, and whom the policy serves, becomes a customer; test traffic makes none."""
    is_unknown = access.customer is None and event.caller.identity is not None
    return is_unknown and access.tier is not None and not event.is_test


def as_at_first_contact(event: SessionBegin, access: Access) -> Access:
    """What holds for a caller, judged as the customer that a begin would make."""
    if not becomes_customer(event, access):
        return access
    assert access.tier is not None
    return access.for_customer(unsaved_first_contact(event, access.tier))


def unsaved_first_contact(event: SessionEvent, tier: Tier) -> Customer:
    """The customer that an event's caller would become."""
    caller = event.caller
    return first_contact(
        tier=tier,
        phone_key=caller.phone_key,
        external_id=caller.external_id,
        name=caller.name,
        email=caller.email,
    )


def judge(
    event: SessionBegin,
    access: Access,
    usage: Usage,
    channel: Channel | None,
    *,
    provide: Callable[[Access], Provided],
    our_now: datetime,
) -> Judgement:
    """Decide a begin with what staff have set, what the customer has used and, by our clock, when.

    Only one that is let in has other systems asked for its context, by `provide`: no decision depends on it.
    """
    facts = facts_of(
        access,
        usage,
        caller=_caller_kind(event, access),
        channel=event.channel,
        agent=event.agent,
        counts_toward_call_minutes=channel.counts_toward_call_minutes if channel else True,
        at=event.at,
        our_now=our_now,
    )
    decision = decide(facts)
    provided = provide(access) if decision.allowed else NOTHING_PROVIDED
    tier, customer = access.tier, access.customer
    denied_by = decision.decisive.limit if decision.decisive else None
    own = own_context(
        facts,
        tier=tier.slug if tier else None,
        name=customer.name if customer else "",
        status=_account_status(facts),
        resets_at=_resets_at(Period.DAY, event, access),
        denied_by=denied_by,
    )
    # Later wins: what staff wrote of the customer, then of the tier, before what providers and Frontdesk itself say.
    context = {
        **own,
        **provided.context,
        **(tier.context if tier else {}),
        **(customer.context if customer else {}),
    }
    answer = answer_of(
        decision,
        facts,
        context=context,
        limits_are_what_is_left=access.policy.limits_in_answer == Policy.Answer.WHAT_IS_LEFT,
        message="" if decision.allowed else denial_message(decision.reason),
        denied_until=_resets_at(denied_by.period, event, access) if denied_by and denied_by.period else None,
    )
    kept = _facts_to_keep(event, facts, access)
    if provided.missing:
        kept["context_missing"] = [asdict(missing) for missing in provided.missing]
    return Judgement(decision, answer, kept, provided)


def _resets_at(period: Period, event: SessionBegin, access: Access) -> datetime:
    return span_of(period, event.at, access.zone).resets_at.astimezone(access.zone)


def facts_of(
    access: Access,
    usage: Usage,
    *,
    caller: CallerKind,
    channel: str | None,
    agent: str | None,
    counts_toward_call_minutes: bool,
    at: datetime,
    our_now: datetime,
) -> Facts:
    """What a session is decided by that begins at `at`, on a channel and with an agent by LiveTok's words."""
    customer = access.customer
    return Facts(
        caller=caller,
        channel=channel,
        agent=agent,
        # By our clock, since staff set the switch's end by it; all else by LiveTok's, so that old events are judged
        # alike.
        emergency=access.policy.emergency_at(our_now),
        policy_serves=access.policy_serves,
        status=customer.status if customer else "active",
        is_not_yet_valid=customer.is_not_yet_valid(at) if customer else False,
        has_expired=customer.has_expired(at) if customer else False,
        allowed_channels=access.allowed_channels,
        counts_toward_call_minutes=counts_toward_call_minutes,
        limits=access.limits,
        usage=usage,
    )


def _caller_kind(event: SessionBegin, access: Access) -> CallerKind:
    if access.customer is not None:
        return CallerKind.CUSTOMER
    return CallerKind.UNNAMED if event.caller.identity is None else CallerKind.UNKNOWN


def _account_status(facts: Facts) -> str:
    if facts.caller is not CallerKind.CUSTOMER:
        return "unknown"
    if facts.status == "active" and facts.is_not_yet_valid:
        return "not_yet_valid"
    if facts.status == "active" and facts.has_expired:
        return "expired"
    return facts.status


def denial_message(reason: Reason) -> str:
    """What the agent may say of a denial: staff's sentence, else ours."""
    stored = DenialMessage.objects.filter(pk=reason.value).values_list("message", flat=True).first()
    return stored or DENIAL_MESSAGES[reason]


def _facts_to_keep(event: SessionBegin, facts: Facts, access: Access) -> dict[str, Any]:
    """What the trace does not say: with it, the decision can be judged again later."""
    return {
        "now": event.at.isoformat(),
        "caller": facts.caller.value,
        "status": facts.status,
        "emergency": facts.emergency,
        "policy_serves": facts.policy_serves,
        "time_zone": access.zone.key,
        "call_hold_minutes": access.tier.call_hold_minutes if access.tier else None,
        "limits_in_answer": access.policy.limits_in_answer,
        **(
            {"top_ups": [_top_up_to_keep(balance) for balance in balances]}
            if (balances := facts.usage.balances)
            else {}
        ),
    }


def _top_up_to_keep(balance: Balance) -> dict[str, Any]:
    return {"metric": balance.metric.value, **balance.as_json()}
