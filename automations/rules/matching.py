"""Whether a rule fires on a session, and if not, why."""

import logging
from collections.abc import Callable
from datetime import datetime

from django.db import Error
from django.db.models import Q
from django.utils import timezone

from automations.models import Rule, Trigger
from automations.rules.conditions import Conditions, Subject, failed_condition
from customers.zones import company_zone
from sessions_app.models import Session

logger = logging.getLogger("frontdesk.automations")


def conditions_of(rule: Rule) -> Conditions:
    """Of a rule read by `RuleQuerySet.active`, or one that is being edited."""
    return Conditions(
        covers_tests=rule.covers_tests,
        tiers=[tier.pk for tier in rule.tiers.all()],
        channels=[channel.pk for channel in rule.channels.all()],
        agents=[agent.pk for agent in rule.agents.all()],
        customers=[customer.pk for customer in rule.customers.all()],
        reasons=rule.reasons,
        least_duration_seconds=rule.least_duration_seconds,
        weekdays=rule.weekdays,
        from_time=rule.from_time,
        until_time=rule.until_time,
    )


def holds(rule: Rule, subject: Subject) -> bool:
    """Whether the rule's conditions hold. A rule that cannot be asked does not, and keeps no other from it."""
    try:
        return not failed_condition(conditions_of(rule), subject)
    except Error:
        raise
    except Exception:
        logger.exception("a rule's conditions cannot be asked", extra={"rule": rule.name})
        return False


def subject_of(session: Session) -> Subject:
    """Its begin says when it was, by LiveTok's clock."""
    return Subject(
        at=session.started_at.astimezone(company_zone()),
        is_test=session.is_test,
        tier=session.tier_id,
        channel=session.channel_id,
        agent=session.agent_id,
        customer=session.customer_id,
        reason=session.reason,
        duration_seconds=session.duration_seconds,
    )


def set_off_by(rule: Rule, session: Session) -> bool:
    """Whether the session, as it is now, has been what the rule's trigger waits for. Not for usage and silence."""
    return _SET_OFF[Trigger(rule.trigger)](session)


def triggers_of(session: Session) -> frozenset[Trigger]:
    """What the session, as it is now, has been that rules wait for; usage and silence aside. One query at most."""
    return frozenset(trigger for trigger, has_been in _SET_OFF.items() if has_been(session))


def is_first_contact(session: Session) -> bool:
    """Whether the session made its customer: of no other of the customer's did an event come before its first one."""
    customer, first = session.customer, first_event_at(session)
    if customer is None or first is None or customer.source != customer.Source.FIRST_CONTACT:
        return False
    came_before = Q(begin_received_at__lt=first) | Q(end_received_at__lt=first)
    return not Session.objects.filter(came_before, customer=customer).exists()


def first_event_at(session: Session) -> datetime | None:
    """When it was first heard of, by our clock: mostly at its begin."""
    return min((at for at in (session.begin_received_at, session.end_received_at) if at), default=None)


def happened_at(trigger: str, session: Session) -> datetime | None:
    """When what rules with the trigger wait for happened to the session, by our clock; None where it did not."""
    began, ended = session.begin_received_at, session.end_received_at
    if trigger in (Trigger.BEGAN_ALLOWED, Trigger.BEGAN_DENIED):
        return began
    if trigger == Trigger.NEW_CALLER:
        return first_event_at(session)
    if trigger == Trigger.MISSING_END:
        return min((moment for moment in (session.missing_from, session.declared_missing_at) if moment), default=None)
    return ended or began


def came_before_its_end(trigger: str, session: Session) -> bool:
    """Whether the session was open, or never let in, when what rules with the trigger wait for happened."""
    if trigger == Trigger.NEW_CALLER:
        return session.begin_received_at is not None and first_event_at(session) == session.begin_received_at
    return trigger in (Trigger.BEGAN_ALLOWED, Trigger.BEGAN_DENIED, Trigger.MISSING_END)


_SET_OFF: dict[Trigger, Callable[[Session], bool]] = {
    Trigger.BEGAN_ALLOWED: lambda session: session.has_begin and bool(session.allowed),
    Trigger.BEGAN_DENIED: lambda session: session.has_begin and session.allowed is False,
    Trigger.ENDED: lambda session: session.has_end,
    Trigger.END_CORRECTED: lambda session: "ends_differ" in session.flag_list,
    Trigger.MISSING_END: lambda session: session.state_at(timezone.now()) == Session.State.MISSING_END,
    Trigger.NEW_CALLER: is_first_contact,
}


def why_not(rule: Rule, session: Session) -> str:
    """Why the rule, as it is now, does not fire on the session, as it is now; empty where it does."""
    if not set_off_by(rule, session):
        return f"It waits for this: {rule.get_trigger_display()}."
    return failed_condition(conditions_of(rule), subject_of(session))
