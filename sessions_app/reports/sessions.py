"""The pages of all sessions and of one. Thin: filters, queries and words come from `list` and `wording`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone

from customers.limits import Period
from customers.masking import may_see_numbers, shown_text
from customers.zones import company_zone
from sessions_app.billing.statements import Month
from sessions_app.models import Session, SessionQuerySet, WebhookEvent
from sessions_app.periods import local_day, span_of
from sessions_app.reports.customer import statement_address
from sessions_app.reports.frame.export import MOST_XLSX_ROWS, export
from sessions_app.reports.frame.pages import page as render_page
from sessions_app.reports.frame.pages import report
from sessions_app.reports.frame.ranges import PRESETS
from sessions_app.reports.list.filters import SessionFilters
from sessions_app.reports.list.lines import (
    body_text,
    caller_words,
    clocks_of,
    flag_sentences,
    line_of,
    lines_of,
    pretty_json,
)
from sessions_app.reports.list.queries import PAGE_SIZE, page_of
from sessions_app.reports.list.rows import columns, rows_of
from sessions_app.reports.list.totals import total_of
from sessions_app.reports.next_steps import next_steps
from sessions_app.reports.parts import page_parts
from sessions_app.reports.try_form import try_session_address
from sessions_app.wording import (
    STATE_SENTENCES,
    as_sentence,
    decided_words,
    decisive_check,
    moment_in,
    reason_sentence,
    reason_words,
    trace_words,
    with_agents_name,
)

MOST_REQUESTS = 100


@report
def sessions(request: HttpRequest) -> HttpResponseBase:
    """The sessions of a period that match every filter, page by page, or all of them as a file."""
    now = timezone.now()
    filters = SessionFilters(request.GET, now)
    context: dict[str, Any] = {"title": "Sessions", "filters": filters, "presets": PRESETS}
    if not filters.is_valid():
        return render_page(request, "reports/sessions.html", context)
    found = filters.sessions()
    file_format = request.GET.get("format")
    if file_format == "csv" or (file_format == "xlsx" and not _is_too_long(found)):
        name = f"sessions-{filters.range.first_day}-{filters.range.last_day}"
        return export(name, file_format, columns(filters.zone), rows_of(filters, found))
    older, newer = filters.cleaned_data["older"], filters.cleaned_data["newer"]
    listed = page_of(found, filters.order, older, newer, filters.beside(older, newer, PAGE_SIZE + 1))
    context |= {
        "range": filters.range,
        "total": total_of(filters, found),
        "page": listed,
        "lines": lines_of(listed.sessions, now),
        "is_too_long": file_format == "xlsx",
        "most_rows": MOST_XLSX_ROWS,
    }
    return render_page(request, "reports/sessions.html", context)


def _is_too_long(found: SessionQuerySet) -> bool:
    return found.order_by()[: MOST_XLSX_ROWS + 1].count() > MOST_XLSX_ROWS


@report
def session(request: HttpRequest, pk: int) -> HttpResponse:
    """One session with its decision, its answer and every request that named it."""
    now = timezone.now()
    found = get_object_or_404(
        Session.objects.select_related("customer", "tier", "channel", "agent", "declared_missing_by"), pk=pk
    )
    may_see_bodies = may_see_numbers() and request.user.has_perm("sessions_app.view_bodies")
    requests = WebhookEvent.objects.filter(session_id=found.session_id, is_test=found.is_test)
    requests = requests.order_by("-received_at", "-pk")
    if not may_see_bodies:
        requests = requests.defer("body")
    check = decisive_check(found.trace, found.reason)
    context = {
        "title": f"Session {found}",
        "session": found,
        "line": line_of(found, now),
        "caller": caller_words(found),
        "channel_pk": quote(found.channel_id or ""),
        "outcome_sentence": _outcome_sentence(found, check, now),
        "next_steps": next_steps(found, check, request.user),
        "statement_address": _statement_address(found),
        "try_address": try_session_address(found),
        "state_sentence": STATE_SENTENCES[found.state_at(now)],
        "reason": reason_words(found.reason),
        "reason_sentence": reason_sentence(found.reason),
        "would_deny": [reason_words(reason) for reason in found.would_deny],
        "flags": flag_sentences(found),
        "clocks": clocks_of(found),
        "trace": trace_words(with_agents_name(found.trace, found.agent), found.reason),
        "answer": shown_text(pretty_json(found.answer)),
        "context_missing": found.facts.get("context_missing", []),
        "corrections": [
            {"end": end, "body": body_text(end.body) if may_see_bodies else ""} for end in found.superseded_ends.all()
        ],
        "requests": [
            {"event": event, "body": body_text(event.body) if may_see_bodies else ""}
            for event in requests[:MOST_REQUESTS]
        ],
        "most_requests": MOST_REQUESTS,
        "retention_days": settings.EVENT_RETENTION_DAYS,
        "may_see_bodies": may_see_bodies,
        "begin_body": body_text(found.begin_body),
        "end_body": body_text(found.end_body),
        "others": list(_others_of_the_same_id(found)),
        "list_address": request.GET.urlencode(),
        "parts": page_parts(found, request.user),
    }
    return render_page(request, "reports/session.html", context)


def _outcome_sentence(found: Session, check: Mapping[str, Any] | None, now: datetime) -> str:
    """Why it was let in or denied, and where a limit denied it, when that starts afresh."""
    resets_at, is_over = "", False
    if check is not None and check.get("period") and "now" in found.facts:
        moment = span_of(Period(check["period"]), datetime.fromisoformat(found.facts["now"]), found.zone).resets_at
        is_over = moment <= now
        resets_at = moment_in(found.zone, moment, company_zone(), with_year=True)
    words = decided_words(found.reason, with_agents_name(found.trace, found.agent), resets_at, is_over=is_over)
    took_place = found.allowed is False and found.state_at(now) != Session.State.DENIED
    return f"Denied: {words}." if took_place else as_sentence(words)


def _statement_address(found: Session) -> str:
    if found.customer is None:
        return ""
    month = Month.holding(local_day(found.started_at, found.zone))
    return statement_address(found.customer, month)


def _others_of_the_same_id(found: Session) -> Any:
    others = Session.objects.filter(session_id=found.session_id).exclude(pk=found.pk)
    return others.only("session_id", "number", "started_at", "is_test").order_by("is_test", "number")[:MOST_REQUESTS]
