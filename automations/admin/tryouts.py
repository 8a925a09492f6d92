"""Pages that try a rule out: on last week's sessions, and on one session with what would go out."""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.http import urlencode

from automations.admin.actions import LONGEST_KEY
from automations.deliveries.copies import is_copy
from automations.deliveries.making import Filled, fill_action, make_delivery
from automations.deliveries.masks import MASK
from automations.facts import values_of
from automations.models import Action, Delivery, Destination, Rule, Trigger
from automations.needs import why_not_on
from automations.outgoing.mail import NO_SERVER, has_mail_server
from automations.rules.conditions import failed_condition
from automations.rules.matching import came_before_its_end, conditions_of, happened_at, subject_of, why_not
from automations.rules.rehearsal import MOST_SESSIONS, can_be_rehearsed, rehearse
from automations.texts.liquid import TextError
from automations.texts.names import NAMES
from automations.wording import IN_A_COPY
from customers.admin.pages import admin_page
from customers.masking import may_see_numbers, shown_number
from sessions_app.models import Session
from sessions_app.wording import duration_words, reason_words, state_words

LONGEST_ID = 255
_SECRET = re.compile(r"\{[{%].*?[}%]\}", re.DOTALL)
# What looks for the newest session that matches need not find one at any price.
MOST_LOOKED_AT, SECONDS_LOOKED = 5000, 2.0


@dataclass(frozen=True)
class Shown:
    """An action as it would go out, or why it would not."""

    action: Action
    filled: Filled | None
    body: str
    address: str
    headers: list[tuple[str, str]]
    problems: list[str]
    # What keeps it from going out, however well it is filled in.
    notice: str = ""


def rehearsal_page(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    if request.method == "POST":
        return HttpResponseNotAllowed(["GET", "HEAD"])
    rule = _rule(model_admin, request, pk)
    if not request.user.has_perm("sessions_app.view_session"):
        raise PermissionDenied
    now = timezone.now()
    rehearsal = rehearse(rule) if can_be_rehearsed(rule) else None
    context = {
        "rehearsal": rehearsal,
        "lines": [_line(session, now) for session in rehearsal.sessions] if rehearsal else [],
        "most": MOST_SESSIONS,
    }
    return _page(model_admin, request, "rehearsal", f"Rehearsal: {rule}", rule, context)


def _line(session: Session, now: datetime) -> dict[str, Any]:
    state = session.state_at(now)
    return {
        "session": session,
        "who": str(session.customer or shown_number(session.number_received) or "withheld"),
        "state": state,
        "state_words": state_words(state),
        "reason": reason_words(session.reason) if session.reason else "–",
        "duration": duration_words(session.duration_seconds),
    }


def preview_page(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    if request.method == "POST":
        return HttpResponseNotAllowed(["GET", "HEAD"])
    rule = _rule(model_admin, request, pk)
    asked = request.GET.get("session", "").strip()[:LONGEST_ID]
    may_see = _may_see_what_is_said(model_admin, request, rule)
    session = _session(rule, asked) if may_see else None
    values = _values(rule, session)
    context = {
        "session": session,
        "asked": asked or (session.session_id if session else ""),
        "is_unknown": bool(asked) and may_see and session is None,
        "takes_session": rule.trigger != Trigger.SILENT,
        "may_see": may_see,
        "why_not": _why_not(rule, session) if session else "",
        "is_before_its_end": session is not None and session.has_end and came_before_its_end(rule.trigger, session),
        "has_made_up_usage": rule.trigger == Trigger.USAGE_REACHED,
        "shown": [_shown(action, values) for action in rule.actions.select_related("destination")],
    }
    return _page(model_admin, request, "preview", f"Preview: {rule}", rule, context)


def _may_see_what_is_said(model_admin: ModelAdmin, request: HttpRequest, rule: Rule) -> bool:
    """Of a real session, as of deliveries. Whoever may change a rule may have it sent to themselves anyhow."""
    may_see_bodies = request.user.has_perm("automations.view_bodies")
    return (
        may_see_numbers()
        and request.user.has_perm("sessions_app.view_session")
        and (may_see_bodies or model_admin.has_change_permission(request, rule))
    )


def send_test(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Make a delivery of one action, as the rule would, and lead to it. It goes out by the same queue."""
    rule = _rule(model_admin, request, pk)
    if request.method != "POST":
        return HttpResponseRedirect(_preview_page(rule, ""))
    if not model_admin.has_change_permission(request, rule):
        raise PermissionDenied
    chosen, asked = request.POST.get("action", ""), request.POST.get("session", "")[:LONGEST_ID]
    actions = rule.actions.select_related("destination")
    action = actions.filter(pk=chosen).first() if chosen.isdecimal() and len(chosen) <= LONGEST_KEY else None
    if action is None:
        raise Http404
    problems = why_not_on([action.destination]) + _mail_problem(action.destination)
    if problems:
        model_admin.message_user(request, f"Nothing was sent: {problems[0]}", messages.ERROR)
        return HttpResponseRedirect(_preview_page(rule, asked))
    session = _session(rule, asked) if asked and _may_see_what_is_said(model_admin, request, rule) else None
    with transaction.atomic():
        values = _values(rule, session)
        delivery = make_delivery(action, values, happened_at=timezone.now(), session=session, is_test=True)
    delivery.refresh_from_db()
    if delivery.state == Delivery.State.FAILED:
        model_admin.message_user(request, "The test could not be filled in, so nothing is sent.", messages.ERROR)
    elif is_copy():
        model_admin.message_user(request, f"The test waits. {IN_A_COPY}", messages.WARNING)
    elif action.destination.paused_at:
        text = f"The test waits: “{action.destination}” is paused."
        model_admin.message_user(request, text, messages.WARNING)
    else:
        text = "The test is on its way. Load this page again to see the answer."
        model_admin.message_user(request, text, messages.SUCCESS)
    return HttpResponseRedirect(_delivery_page(delivery, rule, asked))


def _delivery_page(delivery: Delivery, rule: Rule, asked: str) -> str:
    try:
        return reverse("admin:automations_delivery_change", args=[delivery.pk])
    except NoReverseMatch:
        return _preview_page(rule, asked)


def _preview_page(rule: Rule, asked: str) -> str:
    query = urlencode({"session": asked}) if asked else ""
    return f"{reverse('admin:automations_rule_preview', args=[rule.pk])}?{query}"


def _rule(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> Rule:
    rule = Rule.objects.filter(pk=pk).first()
    if rule is None:
        raise Http404
    if not model_admin.has_view_or_change_permission(request, rule):
        raise PermissionDenied
    return rule


def _page(
    model_admin: ModelAdmin, request: HttpRequest, name: str, title: str, rule: Rule, context: dict[str, Any]
) -> HttpResponse:
    shown = {
        "title": title,
        "rule": rule,
        "can_be_rehearsed": can_be_rehearsed(rule),
        "may_change": model_admin.has_change_permission(request, rule),
    }
    return admin_page(request, f"admin/automations/rule/{name}.html", shown | context, of=model_admin)


def _session(rule: Rule, asked: str) -> Session | None:
    """The one with LiveTok's id `asked`; where none is asked for, the newest that the rule would have fired on."""
    sessions = Session.objects.select_related("customer", "tier", "channel", "agent")
    if rule.trigger == Trigger.SILENT:
        return None
    if asked:
        return sessions.filter(session_id=asked).order_by("-pk").first()
    if not can_be_rehearsed(rule):
        return None
    found = rehearse(rule, most=MOST_LOOKED_AT, seconds=SECONDS_LOOKED, enough=1).sessions
    return sessions.get(pk=found[0].pk) if found else None


def _values(rule: Rule, session: Session | None) -> dict[str, object]:
    """What texts are filled with: the session's, else the samples beside the field."""
    samples = {name: entry.sample for name, entry in NAMES.items() if not name.startswith("kept.")}
    key = f"test-{uuid.uuid4()}"
    at = happened_at(rule.trigger, session) if session else None
    own = values_of(rule, session, at or timezone.now(), key=key)
    if session is not None and came_before_its_end(rule.trigger, session):
        own |= _OF_AN_END | {"session.state": _state_then(rule, session)}
    if session is None:
        shown = samples if rule.trigger != Trigger.SILENT else {}
        return shown | {name: value for name, value in own.items() if name != "event.link" or not shown}
    if rule.trigger == Trigger.USAGE_REACHED:
        return {name: value for name, value in samples.items() if name.startswith("usage.")} | own
    return own


# Not known before a session's end.
_OF_AN_END: dict[str, object] = {
    "session.ended_at": None,
    "session.duration_seconds": None,
    "session.duration_minutes": None,
}


def _state_then(rule: Rule, session: Session) -> Session.State:
    if rule.trigger == Trigger.MISSING_END:
        return Session.State.MISSING_END
    return Session.State.DENIED if session.allowed is False else Session.State.OPEN


def _why_not(rule: Rule, session: Session) -> str:
    """Why the rule, as it is now, does not fire on the session; empty where it does."""
    if rule.trigger != Trigger.USAGE_REACHED:
        return why_not(rule, session)
    if session.customer is None:
        return "Its caller is no customer, so nothing is used up."
    return failed_condition(conditions_of(rule), subject_of(session))


def _shown(action: Action, values: dict[str, object]) -> Shown:
    destination = action.destination
    problems: list[str] = []
    filled = None
    try:
        filled = fill_action(action, values)
    except TextError as error:
        problems = error.problems
    return Shown(
        action=action,
        filled=filled,
        body=_readable(filled.body) if filled else "",
        address=_masked(destination.address),
        headers=list(_headers(destination)),
        problems=problems,
        notice="".join(_mail_problem(destination)),
    )


def _mail_problem(destination: Destination) -> list[str]:
    return [NO_SERVER] if destination.kind == Destination.Kind.EMAIL and not has_mail_server() else []


def _readable(body: bytes) -> str:
    text = body.decode(errors="replace")
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def _headers(destination: Destination) -> Iterator[tuple[str, str]]:
    if destination.kind == Destination.Kind.EMAIL:
        return
    own = [line.partition(":") for line in destination.headers.splitlines() if line.strip()]
    if not any(name.strip().lower() == "content-type" for name, _, _ in own):
        yield "Content-Type", "application/json"
    yield from ((name.strip(), _masked(text.strip())) for name, _, text in own)
    yield from ((name, "new for each delivery") for name in ("Idempotency-Key", "webhook-id"))
    yield "webhook-timestamp", "new for each attempt"
    if destination.is_signed:
        yield "webhook-signature", "new for each attempt"


def _masked(text: str) -> str:
    """Whatever a secret may have gone into is hidden whole: it needs not even be opened."""
    return _SECRET.sub(MASK, text)
