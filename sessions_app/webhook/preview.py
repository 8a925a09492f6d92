"""What LiveTok would get for a begin, now and with what staff have set. Writes nothing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from customers.access import Access, access_of, find_customer
from customers.first_sight import expected_channel
from sessions_app.decision.judgement import as_at_first_contact, judge
from sessions_app.decision.rules import Reason, Usage
from sessions_app.livetok.events import SessionBegin
from sessions_app.livetok.payloads import BEGIN, Refused, read_event
from sessions_app.models import Session
from sessions_app.recording.hooks import provided_context
from sessions_app.recording.matching import decided_for, waiting_for
from sessions_app.usage.used import usage_at


@dataclass(frozen=True)
class Preview:
    answer: dict[str, Any]
    reason: Reason
    trace: list[dict[str, Any]]


def preview(body: bytes, received_at: datetime) -> Preview:
    """Decide a begin's body as LiveTok sends it. A known session is decided as if it did not exist.

    Raises `payloads.Refused` for a body that no begin can be read from.
    """
    event = read_event(body, route="begin", received_at=received_at, phone_region=settings.PHONE_REGION)
    if not isinstance(event, SessionBegin):
        raise Refused("event", f"give {BEGIN}, or leave it out")
    access = _access(event)
    usage = Usage()
    if access.customer is not None and access.customer.pk is not None:  # one that a begin would make has no row yet
        hold_minutes = access.customer.tier.call_hold_minutes
        usage = usage_at(access.customer.pk, event.at, access.zone, hold_minutes, without=_stored(event))
    judgement = judge(
        event, access, usage, expected_channel(event.channel), provided=provided_context(event), our_now=received_at
    )
    return Preview(judgement.answer, judgement.decision.reason, judgement.trace)


def _access(event: SessionBegin) -> Access:
    customer = find_customer(event.caller.phone_key, event.caller.external_id)
    access = access_of(customer, is_named=event.caller.identity is not None, now=event.at)
    return as_at_first_contact(event, access)


def _stored(event: SessionBegin) -> Session | None:
    stored = list(Session.objects.filter(session_id=event.session_id, is_test=event.is_test).order_by("number"))
    return decided_for(stored, event) or waiting_for(stored, event)
