"""How fast we answered, and how late begins and ends reached us."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, QuerySet

from sessions_app.livetok.events import duration_is_usable
from sessions_app.models import Session, WebhookEvent
from sessions_app.reports.frame.ranges import DayRange
from sessions_app.reports.webhook.spread import PERCENTILES, Percentile, Spread, spread_of

# At a million requests a day these are half an hour of sessions.
MOST_SESSIONS = 10_000


def latency_of(found: QuerySet[WebhookEvent]) -> Spread:
    # SQLite has no percentiles.
    if connection.vendor != "postgresql":
        return spread_of(list(found.values_list("took_ms", flat=True)))
    shares = {f"p{percent}": Percentile("took_ms", share=percent / 100) for percent in PERCENTILES}
    row = found.aggregate(count=Count("pk"), **shares)
    return Spread(row["count"], {p: row[f"p{p}"] for p in PERCENTILES if row[f"p{p}"] is not None})


@dataclass(frozen=True)
class Timing:
    """How late ends and begins reached us, in seconds."""

    end_lag: Spread
    skew: Spread


def timing_of(days: DayRange, *, with_test: bool) -> Timing:
    sessions = Session.objects.filter(started_at__gte=days.starts_at, started_at__lt=days.ends_before)
    if not with_test:
        sessions = sessions.filter(is_test=False)
    columns = ("started_at", "duration_seconds", "begin_received_at", "begin_stated_at", "end_received_at")
    lags, skews = [], []
    for started, seconds, begin_received, stated, end_received in sessions.order_by("-started_at", "-pk").values_list(
        *columns
    )[:MOST_SESSIONS]:
        if begin_received is not None and stated is not None:
            skews.append((begin_received - stated).total_seconds())
        if begin_received is not None and end_received is not None and duration_is_usable(seconds):
            lags.append((end_received - started).total_seconds() - (seconds or 0))
    return Timing(spread_of(lags), spread_of(skews))
