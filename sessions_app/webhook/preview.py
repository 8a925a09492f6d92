"""What LiveTok would get for a begin, now and with what staff have set. Writes nothing."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings

from customers.access import Access, access_of, as_if_on, find_customer
from customers.context import DENIED_KEYS
from customers.first_sight import expected_channel
from customers.models import Tier
from sessions_app.decision.answer import Missing, Origin, as_bytes
from sessions_app.decision.judgement import Judgement, as_at_first_contact, judge
from sessions_app.decision.rules import Reason, Usage
from sessions_app.livetok.events import SessionBegin
from sessions_app.livetok.payloads import BEGIN, Refused, read_event
from sessions_app.models import Session
from sessions_app.recording.hooks import provided_context
from sessions_app.recording.matching import decided_for, waiting_for
from sessions_app.usage.supposed import Supposed, as_if_used
from sessions_app.usage.used import usage_at


@dataclass(frozen=True)
class ContextKey:
    """`age_seconds`: how long ago its source was asked; None for Frontdesk's own, and for what was asked just now."""

    key: str
    source: str
    age_seconds: float | None


@dataclass(frozen=True)
class Preview:
    """`access` is what the begin was judged by, its customer unsaved where the begin would make one."""

    event: SessionBegin
    access: Access
    answer: dict[str, Any]
    reason: Reason
    would_deny: tuple[Reason, ...]
    trace: list[dict[str, Any]]
    context_sources: list[ContextKey]
    context_missing: tuple[Missing, ...]

    @property
    def content(self) -> bytes:
        """The answer as it goes out."""
        return as_bytes(self.answer)


@dataclass(frozen=True)
class AsIf:
    """What is supposed in place of what is: another tier, and what is used."""

    tier: Tier | None = None
    used: Supposed = field(default_factory=dict)


AS_IT_IS = AsIf()


def preview(body: bytes, received_at: datetime, as_if: AsIf = AS_IT_IS) -> Preview:
    """Decide a begin's body as LiveTok sends it. A known session is decided as if it did not exist.

    Raises `payloads.Refused` for a body that no begin can be read from.
    """
    event = read_event(body, route="begin", received_at=received_at, phone_region=settings.PHONE_REGION)
    if not isinstance(event, SessionBegin):
        raise Refused("event", f"give {BEGIN}, or leave it out")
    access = _access(event, as_if.tier)
    usage = Usage()
    if access.customer is not None and access.customer.pk is not None:  # one that a begin would make has no row yet
        assert access.tier is not None
        hold_minutes = access.tier.call_hold_minutes
        usage = usage_at(access.customer.pk, event.at, access.zone, hold_minutes, without=_stored(event))
    usage = as_if_used(usage, as_if.used, event.channel, event.agent)
    provide = partial(provided_context, event)
    judgement = judge(event, access, usage, expected_channel(event.channel), provide=provide, our_now=received_at)
    return Preview(
        event,
        access,
        judgement.answer,
        judgement.decision.reason,
        judgement.decision.would_deny,
        judgement.trace,
        _context_sources(judgement, access),
        judgement.provided.missing,
    )


def _context_sources(judgement: Judgement, access: Access) -> list[ContextKey]:
    """Where each key of the answer's context is from, in its order."""
    own = {"tier": access.tier.context if access.tier else {}}
    own["customer"] = access.customer.context if access.customer else {}
    provided = judgement.provided
    found = {key: Origin("Frontdesk") for key in judgement.answer["context"]}
    found |= {key: provided.origins.get(key, Origin("another system")) for key in provided.context}
    for source, context in own.items():
        found |= {key: Origin(source) for key in context}
    # Why a session is denied stands there whatever a context says.
    denied = DENIED_KEYS if not judgement.decision.allowed else ()
    found |= {key: Origin("Frontdesk") for key in denied}
    return [ContextKey(key, found[key].source, found[key].age_seconds) for key in judgement.answer["context"]]


def _access(event: SessionBegin, tier: Tier | None) -> Access:
    customer = find_customer(event.caller.phone_key, event.caller.external_id)
    access = access_of(customer, is_named=event.caller.identity is not None, now=event.at)
    if tier is not None:
        access = as_if_on(access, tier, event.at)
    return as_at_first_contact(event, access)


def _stored(event: SessionBegin) -> Session | None:
    stored = list(Session.objects.filter(session_id=event.session_id, is_test=event.is_test).order_by("number"))
    return decided_for(stored, event) or waiting_for(stored, event)
