"""The figures of the webhook's health."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet, Sum
from django.template.defaultfilters import pluralize
from django.urls import reverse

from sessions_app.models import RefusedRequests, WebhookEvent
from sessions_app.reports.frame.figures import NOTHING, Figure, number_words, sessions_address, share_words
from sessions_app.reports.frame.ranges import DayRange
from sessions_app.reports.webhook.requests import Events
from sessions_app.reports.webhook.timing import MOST_SESSIONS, Timing, latency_of
from sessions_app.spool.files import files_set_aside, spool_files

Verdict = WebhookEvent.Verdict

REDELIVERY_DEFINITION = (
    "Redelivered requests out of those that were understood: accepted, redelivered and corrected. LiveTok sends again "
    "what it got no answer to in time, so a rate that rises points to slow answers or a shaky line."
)
LATENCY_DEFINITION = (
    "How long we took from reading a request to having its answer ready, in milliseconds, without the network. Half of "
    "the requests were faster than the p50, 95 and 99 of a hundred faster than the p95 and p99."
)
END_LAG_DEFINITION = (
    f"When an end reached us, less when the session ended by its begin and duration; of the newest {MOST_SESSIONS:,} "
    "sessions that started within the range and have both. Large values are ends delivered late; negative ones, clocks "
    "that differ."
)
SKEW_DEFINITION = (
    f"When a begin reached us, less LiveTok's own time of it: the network, redelivery and clocks that differ; of the "
    f"newest {MOST_SESSIONS:,} sessions that started within the range. Shown, not punished."
)
WRONG_KEYS_DEFINITION = (
    "Requests without a valid key, counted by the hour, with the last address alone. Nothing else of them is stored. "
    "LiveTok with an old key would show here."
)
SPOOL_DEFINITION = (
    "Requests that are on disk because the database was away: waiting to be fed into it, or set aside because they "
    "could not be. Both should be none."
)


def request_figures(
    found: QuerySet[WebhookEvent], counts: Mapping[str, int], events: Events | None
) -> Iterator[Figure]:
    latency = latency_of(found)
    understood = sum(counts[verdict.value] for verdict in (Verdict.ACCEPTED, Verdict.REDELIVERED, Verdict.CORRECTED))
    yield Figure(
        "Requests",
        number_words(sum(counts.values())),
        "Authenticated requests, whatever became of them; see verdicts.",
        events.address() if events else "",
    )
    yield Figure(
        "Redelivered",
        share_words(counts[Verdict.REDELIVERED.value], understood),
        REDELIVERY_DEFINITION,
        events.address(Verdict.REDELIVERED.value) if events else "",
    )
    yield Figure(
        "Answered in (p95)",
        f"{latency.words(95)} ms" if latency.count else NOTHING,
        LATENCY_DEFINITION,
        events.address() if events else "",
        note=f"p50 {latency.words(50)} ms, p99 {latency.words(99)} ms" if latency.count else "",
    )


def other_figures(days: DayRange, user: User | AnonymousUser) -> Iterator[Figure]:
    hours = {"hour__gt": days.starts_at - timedelta(hours=1), "hour__lt": days.ends_before}
    refused = RefusedRequests.objects.filter(**hours)
    count = refused.aggregate(total=Sum("count", default=0))["total"]
    last = refused.order_by("-last_at").first()
    yield Figure(
        "Wrong keys",
        number_words(count),
        WRONG_KEYS_DEFINITION,
        _refused_address(hours) if user.has_perm("sessions_app.view_refusedrequests") else "",
        note=f"last from {last.last_address or 'an unknown address'}" if last else "",
    )
    waiting, aside = len(spool_files()), len(files_set_aside())
    yield Figure(
        "Waiting on disk",
        "none" if not waiting else f"{waiting} file{pluralize(waiting)}",
        SPOOL_DEFINITION,
        note=f"{aside} set aside" if aside else "none set aside",
    )


def _refused_address(hours: Mapping[str, datetime]) -> str:
    """The admin's list of the hours with wrong keys."""
    query = urlencode({name: moment.isoformat() for name, moment in hours.items()})
    return f"{reverse('admin:sessions_app_refusedrequests_changelist')}?{query}"


def timing_figures(timing: Timing, days: DayRange, *, with_test: bool) -> list[Figure]:
    shown = {"first_day": days.first_day, "last_day": days.last_day, "test": with_test}
    return [
        Figure(
            label,
            spread.duration(50),
            definition,
            sessions_address(**{which: True}, **shown),
            note=f"p95 {spread.duration(95)}, p99 {spread.duration(99)}, of {number_words(spread.count)}"
            if spread.count
            else "",
        )
        for label, spread, definition, which in (
            ("End lag (median)", timing.end_lag, END_LAG_DEFINITION, "both_came"),
            ("Clock skew (median)", timing.skew, SKEW_DEFINITION, "begin_stated"),
        )
    ]
