"""What would be decided of a session, and answered, without one: and played as test traffic, for those who may."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from customers.limits import Period
from customers.masking import shown_number, shown_text
from customers.models import Customer
from customers.zones import company_zone
from sessions_app.livetok.payloads import PLAYED, Refused
from sessions_app.models import Session
from sessions_app.periods import span_of
from sessions_app.reports.frame.pages import action, page, report_of_primary
from sessions_app.reports.list.lines import pretty_json
from sessions_app.reports.try_form import PlayForm, TryForm
from sessions_app.webhook.playing import play as play_session
from sessions_app.webhook.preview import Preview, preview
from sessions_app.wording import (
    as_sentence,
    decided_words,
    decisive_check,
    flag_sentence,
    moment_in,
    reason_sentence,
    reason_words,
    trace_words,
    with_agents_name,
)

PLAY = "sessions_app.change_session"
# Of what is only tried: no session has it.
NO_SESSION = f"{PLAYED}only tried"


@report_of_primary
def try_page(request: HttpRequest) -> HttpResponseBase:
    """Ask for a caller, and show what would be decided and answered. Stores nothing."""
    return _page(request, request.GET)


@action(PLAY)
def play(request: HttpRequest) -> HttpResponseBase:
    """Store a begin and its end as test traffic, and lead to their session."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("reports:try"))
    form, length = TryForm(request.POST), PlayForm(request.POST)
    if not form.is_valid() or not length.is_valid():
        return _page(request, request.POST, length, status=400)
    now = timezone.now()
    lasts = timedelta(seconds=round(length.cleaned_data["minutes"] * 60))
    # Without a moment it ends now, as a session does that LiveTok has just told of.
    begin_at = form.cleaned_data["moment"] or now - lasts
    talk = form.conversation("")
    session = play_session(talk, begin_at, lasts, now=now, by=request.user.get_username())
    outcome = "let in, and ended" if session.allowed else "denied, so no end was sent"
    messages.success(request, f"Played as test traffic: {outcome}. It uses and counts nothing.")
    return HttpResponseRedirect(reverse("reports:session", args=[session.pk]))


def _page(
    request: HttpRequest, given: Mapping[str, Any], length: PlayForm | None = None, status: int = 200
) -> HttpResponse:
    now = timezone.now()
    form = TryForm(given or None)
    context: dict[str, Any] = {
        "title": "Try",
        "form": form,
        "may_play": request.user.has_perm(PLAY),
        "play": length or PlayForm(None),
    }
    if form.is_valid():
        try:
            tried = preview(form.begin_body(_session_id(form), now), now, form.as_if)
        except Refused as refused:
            form.add_error(None, f"LiveTok's begin would be refused: {refused}.")
        else:
            context |= _outcome(form, tried, now)
    return page(request, "reports/try.html", context, status=400 if form.errors else status)


def _session_id(form: TryForm) -> str:
    pk = form.cleaned_data["session"]
    found = Session.objects.filter(pk=pk).values_list("session_id", flat=True).first() if pk else None
    return found or NO_SESSION


def _outcome(form: TryForm, tried: Preview, now: datetime) -> dict[str, Any]:
    agent = form.agents.get(form.cleaned_data["agent"])
    trace = with_agents_name(tried.trace, agent)
    zone, company = tried.access.zone, company_zone()
    return {
        "tried": tried,
        "is_allowed": tried.reason.admits,
        "outcome": as_sentence(_decided(tried, trace, zone, now)),
        "reason": reason_words(tried.reason),
        "reason_sentence": reason_sentence(tried.reason),
        "customer": _customer(tried),
        "becomes_customer": tried.access.customer is not None and tried.access.customer.pk is None,
        "caller": shown_number(tried.event.caller.phone_key) or tried.event.caller.external_id,
        "tier": tried.access.tier,
        "decided_at": moment_in(company, tried.event.at, company, with_year=True)
        + _which_of_two(tried.event.at, company),
        "zone": zone.key,
        "would_deny": [reason_words(reason) for reason in tried.would_deny],
        "trace": trace_words(trace, tried.reason),
        "flags": [flag_sentence(flag) for flag in sorted(tried.event.flags)],
        "answer": shown_text(pretty_json(tried.content)),
        "as_sent": shown_text(tried.content.decode()),
        "bytes": len(tried.content),
        "given": [(name, form[name].value()) for name in form.fields if form[name].value() not in (None, "")],
    }


def _which_of_two(moment: datetime, zone: ZoneInfo) -> str:
    """Of an hour that comes twice, as clocks are put back."""
    local = moment.astimezone(zone)
    comes_twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return f", for the {'second' if local.fold else 'first'} time" if comes_twice else ""


def _customer(tried: Preview) -> Customer | None:
    customer = tried.access.customer
    return customer if customer is not None and customer.pk is not None else None


def _decided(tried: Preview, trace: list[dict[str, Any]], zone: ZoneInfo, now: datetime) -> str:
    check = decisive_check(trace, tried.reason)
    resets_at, is_over = "", False
    if check is not None and check.get("period"):
        moment = span_of(Period(check["period"]), tried.event.at, zone).resets_at
        resets_at, is_over = moment_in(zone, moment, company_zone(), with_year=True), moment <= now
    return decided_words(tried.reason, trace, resets_at, is_over=is_over)
