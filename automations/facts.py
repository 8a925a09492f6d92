"""What texts are told of a session, its customer, its decision and the rule: the values of `texts.names`."""

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst

from automations.models import Rule
from customers.models import Customer
from sessions_app.decision.judgement import denial_message
from sessions_app.decision.rules import Reason
from sessions_app.models import Session


def values_of(
    rule: Rule,
    session: Session | None,
    happened_at: datetime,
    *,
    key: str,
    facts: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """By full name. `key` is the event's own, the same however often it is sent.

    `facts` are the session's, where they are known already.
    """
    link = page_of("reports:session", session.pk) if session else address_of_this(reverse("reports:webhook"))
    values: dict[str, object] = {
        "event.id": key,
        "event.trigger": rule.trigger,
        "event.label": capfirst(rule.get_trigger_display()),
        "event.at": happened_at,
        "event.link": link,
        "rule.name": rule.name,
    }
    if session is not None:
        values |= session_facts(session) if facts is None else facts
    return values


def session_facts(session: Session) -> dict[str, object]:
    """What is the same for all rules."""
    return session_values(session) | customer_values(session.customer)


def session_values(session: Session) -> dict[str, object]:
    channel, agent, tier = session.channel, session.agent, session.tier
    seconds = session.duration_seconds
    reason = session.reason
    is_denied = session.has_begin and not session.allowed
    return {
        "session.id": session.session_id,
        "session.channel": session.channel_id,
        "session.channel_label": str(channel) if channel else None,
        "session.agent_id": session.agent_id,
        "session.agent_name": agent.name if agent else None,
        "session.number": session.number_received,
        "session.external_id": session.external_id,
        "session.started_at": session.started_at,
        "session.ended_at": session.ended_at,
        "session.duration_seconds": seconds,
        "session.duration_minutes": None if seconds is None else round(seconds / 60, 1),
        "session.state": session.state_at(timezone.now()),
        "session.is_test": session.is_test,
        "session.link": page_of("reports:session", session.pk),
        "tier.name": tier.name if tier else None,
        "tier.slug": tier.slug if tier else None,
        "decision.allowed": session.allowed,
        "decision.reason": reason,
        "decision.message": denial_message(Reason(reason)) if is_denied and reason else None,
    }


def customer_values(customer: Customer | None) -> dict[str, object]:
    if customer is None:
        return {}
    numbers = [number.number for number in sorted(customer.numbers.all(), key=lambda number: number.pk)]
    return {
        "customer.name": customer.name,
        "customer.number": numbers[0] if numbers else None,
        "customer.numbers": numbers,
        "customer.email": customer.email,
        "customer.external_id": customer.external_id,
        "customer.status": customer.status,
        "customer.link": page_of("reports:customer", customer.pk),
        "customer.context": customer.context,
    }


def page_of(name: str, pk: int) -> str:
    return address_of_this(reverse(name, args=[pk]))


def address_of_this(path: str) -> str:
    """Frontdesk's own page as people reach it from outside."""
    return f"{settings.PUBLIC_URL or f'http://127.0.0.1:{settings.PORT}'}{path}"


def destination_page(pk: int) -> str:
    return f"/admin/automations/destination/{pk}/change/"


def rule_page(pk: int) -> str:
    return f"/admin/automations/rule/{pk}/change/"


def deliveries_of_rule(pk: int) -> str:
    return f"/admin/automations/delivery/?rule={pk}"


def deliveries_that_failed(destination: int) -> str:
    return f"/admin/automations/delivery/?destination__id__exact={destination}&state=failed"
