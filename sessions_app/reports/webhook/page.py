"""The webhook's health: what became of LiveTok's requests, how fast we were, how late and how regularly they come.

Every query is bounded, by the range and by a number of the newest rows; the page says where that left some out.
"""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from sessions_app.models import WebhookEvent
from sessions_app.reports.first_steps import has_begun, steps_context
from sessions_app.reports.frame.export import FORMATS, export
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.range_filters import RangeFilters
from sessions_app.reports.frame.ranges import PRESETS
from sessions_app.reports.webhook.agents import MOST_SESSIONS_FOR_AGENTS, agent_lines
from sessions_app.reports.webhook.channels import newest_of_all
from sessions_app.reports.webhook.figures import other_figures, request_figures, timing_figures
from sessions_app.reports.webhook.requests import Events, requests_within
from sessions_app.reports.webhook.silence import SILENCE_DEFINITION, silence_at
from sessions_app.reports.webhook.timing import timing_of
from sessions_app.reports.webhook.verdicts import time_lines, verdict_counts, verdict_lines

Verdict = WebhookEvent.Verdict

# At a million requests a day these are some two hours of requests.
MOST_REQUESTS = 100_000
HOURS_UP_TO_DAYS = 2


class WebhookFilters(RangeFilters):
    default_period = "today"


COLUMNS = ("From", "Requests", *(verdict.label.capitalize() for verdict in Verdict))


def _with_heads(counts: list[tuple[int, str]]) -> list[tuple[str, int, str]]:
    return [(head, *count) for head, count in zip(COLUMNS[1:], counts, strict=True)]


@report
def webhook(request: HttpRequest) -> HttpResponseBase:
    """The webhook's health within some days, and now."""
    now = timezone.now()
    filters = WebhookFilters(request.GET, now)
    context: dict[str, Any] = {"title": "Webhook health", "filters": filters, "presets": _presets()}
    if not filters.is_valid():
        return page(request, "reports/webhook.html", context)
    days, with_test = filters.range, filters.cleaned_data["test"]
    within = requests_within(days, with_test=with_test, most=MOST_REQUESTS)
    by_hour = len(days.days) <= HOURS_UP_TO_DAYS
    lines = time_lines(within.found, days, by_hour=by_hour)
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        return export("webhook", file_format, COLUMNS, (line.as_row() for line in lines))
    counts = verdict_counts(within.found)
    may_see = request.user.has_perm("sessions_app.view_webhookevent")
    events = Events(within, days, with_test) if may_see else None
    heard = newest_of_all()
    # Until LiveTok's first begin there is no silence to speak of.
    context |= {} if has_begun(heard) else steps_context(request, heard)
    context |= {
        "range": days,
        "within": within,
        "most_requests": MOST_REQUESTS,
        "silence": silence_at(now),
        "silence_definition": SILENCE_DEFINITION,
        "figures": [*request_figures(within.found, counts, events), *other_figures(days, request.user)],
        "timing": timing_figures(timing_of(days, with_test=with_test), days, with_test=with_test),
        "verdicts": verdict_lines(counts, events),
        "agents": agent_lines(),
        "agents_most": MOST_SESSIONS_FOR_AGENTS,
        "lines": [{"line": line, "linked": _with_heads(line.linked(events))} for line in lines],
        "by_hour": by_hour,
        "verdict_labels": [verdict.label.capitalize() for verdict in Verdict],
        "retention_days": settings.EVENT_RETENTION_DAYS,
    }
    return page(request, "reports/webhook.html", context)


def _presets() -> dict[str, str]:
    """Those that the log reaches back to."""
    days = {"7d": 7, "30d": 30, "90d": 90, "last_month": 62}
    return {name: label for name, label in PRESETS.items() if days.get(name, 1) <= settings.EVENT_RETENTION_DAYS}
