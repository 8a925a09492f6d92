"""The webhook's health: what became of LiveTok's requests, how fast we were, how late and how regularly they come.

Every query is bounded, by the range and by a number of the newest rows; the page says where that left some out.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.db.models import Aggregate, Count, FloatField, Max, QuerySet, Sum
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from customers.models import Agent
from sessions_app.livetok.events import duration_is_usable
from sessions_app.models import RefusedRequests, Session, WebhookEvent
from sessions_app.periods import ONE_DAY, hours_of, starts_at
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import NOTHING, Figure, number_words, sessions_address, share_words
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.ranges import PRESETS, DayRange
from sessions_app.reports.list.filters import RangeFilters
from sessions_app.spool.files import files_set_aside, spool_files
from sessions_app.sums.counting import place_among
from sessions_app.wording import duration_words

Verdict = WebhookEvent.Verdict

# At a million requests a day these are some two hours of requests, and half an hour of sessions.
MOST_REQUESTS = 100_000
MOST_SESSIONS = 10_000
MOST_SESSIONS_FOR_AGENTS = 50_000
WEEKS_COMPARED = 4
# With so many expected and none come, chance explains one silence in a thousand.
EXPECTED_FOR_ALARM = 7
PERCENTILES = (50, 95, 99)
HOURS_UP_TO_DAYS = 2

VERDICTS = {
    Verdict.ACCEPTED: "A begin or an end that was new, and stored.",
    Verdict.REDELIVERED: "The same begin or end once more; answered from what is stored, counted once.",
    Verdict.CORRECTED: "An end that differs from one that had come before.",
    Verdict.IGNORED: "An event that Frontdesk does not know; kept, and answered 200.",
    Verdict.REJECTED: "Authenticated, but not to be understood; kept, and answered 400 with the field at fault.",
}
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
SILENCE_DEFINITION = (
    f"How long ago the last authenticated request came, test traffic included, against the mean of this weekday and "
    f"hour in up to {WEEKS_COMPARED} past weeks, as far as requests are kept. Unusual: at that rate more than "
    f"{EXPECTED_FOR_ALARM} should have come meanwhile, which by chance happens once in a thousand times."
)


class Percentile(Aggregate):
    """`percentile_cont` of PostgreSQL: between two values, in proportion."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


class WebhookFilters(RangeFilters):
    default_period = "today"


@dataclass(frozen=True)
class Spread:
    """Percentiles of some values, by the per cent; `count` is of how many. Empty where there are none."""

    count: int
    at: Mapping[int, float]

    def words(self, percent: int) -> str:
        return number_words(self.at[percent], 1) if percent in self.at else NOTHING

    def duration(self, percent: int) -> str:
        return duration_words(self.at[percent]) if percent in self.at else NOTHING


def spread_of(values: Sequence[float]) -> Spread:
    """As `percentile_cont` has it."""
    ordered = sorted(values)
    if not ordered:
        return Spread(0, {})
    found = {}
    for percent in PERCENTILES:
        place = (len(ordered) - 1) * percent / 100
        low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
        found[percent] = low + (high - low) * (place - math.floor(place))
    return Spread(len(ordered), found)


@dataclass(frozen=True)
class Requests:
    """The requests that the page looks at: since `since`, which is later than asked for where there are too many."""

    found: QuerySet[WebhookEvent]
    since: datetime
    is_cut: bool


def requests_within(days: DayRange, *, with_test: bool) -> Requests:
    found = WebhookEvent.objects.filter(received_at__gte=days.starts_at, received_at__lt=days.ends_before)
    if not with_test:
        found = found.filter(is_test=False)
    newest = found.order_by("-received_at").values_list("received_at", flat=True)
    too_old = next(iter(newest[MOST_REQUESTS : MOST_REQUESTS + 1]), None)
    if too_old is None:
        return Requests(found, days.starts_at, is_cut=False)
    return Requests(found.filter(received_at__gt=too_old), too_old, is_cut=True)


def latency_of(found: QuerySet[WebhookEvent]) -> Spread:
    if connection.vendor != "postgresql":
        return spread_of(list(found.values_list("took_ms", flat=True)))
    shares = {f"p{percent}": Percentile("took_ms", share=percent / 100) for percent in PERCENTILES}
    row = found.aggregate(count=Count("pk"), **shares)
    return Spread(row["count"], {p: row[f"p{p}"] for p in PERCENTILES if row[f"p{p}"] is not None})


def verdict_counts(found: QuerySet[WebhookEvent]) -> dict[str, int]:
    rows = found.order_by().values_list("verdict").annotate(count=Count("pk"))
    return {verdict.value: 0 for verdict in Verdict} | dict(rows)


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


@dataclass(frozen=True)
class AgentLine:
    agent: Agent
    last: datetime | None
    address: str


def agent_lines() -> list[AgentLine]:
    """When each agent's last event came, as far as the newest sessions tell; the one silent longest comes last."""
    newest = Session.objects.order_by("-started_at", "-pk").values_list("started_at", flat=True)
    oldest = next(iter(newest[MOST_SESSIONS_FOR_AGENTS : MOST_SESSIONS_FOR_AGENTS + 1]), None)
    found = Session.objects.filter(agent__isnull=False)
    if oldest is not None:
        found = found.filter(started_at__gt=oldest)
    rows = found.order_by().values_list("agent").annotate(begun=Max("begin_received_at"), ended=Max("end_received_at"))
    last = {agent: max(moment for moment in moments if moment) for agent, *moments in rows}
    lines = [
        AgentLine(agent, last.get(agent.pk), sessions_address(agent=agent.pk, period="30d"))
        for agent in Agent.objects.all()
    ]
    return sorted(lines, key=lambda line: -(line.last.timestamp() if line.last else 0.0))


@dataclass(frozen=True)
class Silence:
    """`usual_per_hour` is None where no past week can tell."""

    last: datetime | None
    minutes: float
    usual_per_hour: float | None
    weeks: int

    @property
    def is_unusual(self) -> bool:
        return self.usual_per_hour is not None and self.usual_per_hour * self.minutes / 60 > EXPECTED_FOR_ALARM

    @property
    def words(self) -> str:
        return NOTHING if self.last is None else duration_words(int(self.minutes) * 60) if self.minutes >= 1 else "now"

    @property
    def usual_words(self) -> str:
        if self.usual_per_hour is None:
            return "no past week to compare with yet"
        weeks = f"{self.weeks} week{'s' if self.weeks > 1 else ''}"
        return f"usually {number_words(self.usual_per_hour, 1)} an hour now ({weeks})"


def silence_at(now: datetime) -> Silence:
    """How long nothing has come, and what this weekday and hour usually brings."""
    # One by one, since for both at once SQLite goes through all of them.
    first, last = (
        WebhookEvent.objects.order_by(order).values_list("received_at", flat=True).first()
        for order in ("received_at", "-received_at")
    )
    if first is None or last is None:
        return Silence(None, 0, None, 0)
    zone = ZoneInfo(timezone.get_default_timezone_name())
    hour = now.astimezone(zone).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    kept_from = max(first, now - timedelta(days=settings.EVENT_RETENTION_DAYS))
    counts = []
    for weeks in range(1, WEEKS_COMPARED + 1):
        starts = (hour - timedelta(weeks=weeks)).replace(tzinfo=zone)
        if starts >= kept_from:
            within = WebhookEvent.objects.filter(received_at__gte=starts, received_at__lt=starts + timedelta(hours=1))
            counts.append(within.count())
    usual = sum(counts) / len(counts) if counts else None
    return Silence(last, max(0.0, (now - last).total_seconds() / 60), usual, len(counts))


@dataclass(frozen=True)
class TimeLine:
    """The requests of an hour or a day, by verdict."""

    at: datetime
    until: datetime
    counts: Mapping[str, int]
    most: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def bar(self) -> float:
        return round(100 * self.total / self.most, 1) if self.most else 0.0

    @property
    def cells(self) -> list[int]:
        return [self.counts.get(verdict.value, 0) for verdict in Verdict]

    def as_row(self) -> Row:
        return (self.at, self.total, *self.cells)

    def linked(self, events: "Events | None") -> list[tuple[int, str]]:
        """The total and each verdict's count, and where the requests stand."""
        verdicts = ["", *(verdict.value for verdict in Verdict)]
        addresses = [events.between(self.at, self.until, verdict) if events else "" for verdict in verdicts]
        return list(zip([self.total, *self.cells], addresses, strict=True))


def time_lines(found: QuerySet[WebhookEvent], days: DayRange, *, by_hour: bool) -> list[TimeLine]:
    """Hours or days of the company's, the newest first; those without a request are left out."""
    spans = [(starts_at(day, days.zone), starts_at(day + ONE_DAY, days.zone)) for day in days.days]
    if by_hour:
        spans = [(hour.starts_at, hour.ends_before) for day in days.days for hour in hours_of(day, days.zone)]
    placed = found.order_by().annotate(place=place_among([start for start, _ in spans], _RECEIVED_AT))
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for place, verdict, count in placed.values_list("place", "verdict").annotate(Count("pk")):
        counts[place][verdict] = count
    most = max((sum(of_time.values()) for of_time in counts.values()), default=0)
    return [
        TimeLine(spans[place][0].astimezone(days.zone), spans[place][1], counts[place], most)
        for place in sorted(counts, reverse=True)
    ]


_RECEIVED_AT = f'"{WebhookEvent._meta.db_table}"."received_at"'


@dataclass(frozen=True)
class VerdictLine:
    label: str
    meaning: str
    count: int
    share: str
    percent: float
    address: str
    kind: str


def verdict_lines(counts: Mapping[str, int], events: "Events | None") -> list[VerdictLine]:
    total = sum(counts.values())
    kinds = {Verdict.REJECTED: "bad", Verdict.REDELIVERED: "odd", Verdict.CORRECTED: "odd"}
    return [
        VerdictLine(
            verdict.label.capitalize(),
            VERDICTS[verdict],
            counts[verdict.value],
            share_words(counts[verdict.value], total),
            round(100 * counts[verdict.value] / total, 1) if total else 0.0,
            events.address(verdict.value) if events else "",
            kinds.get(verdict, ""),
        )
        for verdict in Verdict
    ]


@dataclass(frozen=True)
class Events:
    """The admin's log of the requests that the page looks at."""

    within: Requests
    days: DayRange
    with_test: bool

    def address(self, verdict: str = "") -> str:
        return self.between(self.within.since, self.days.ends_before, verdict)

    def between(self, start: datetime, end: datetime, verdict: str = "") -> str:
        # Where the page had to cut, `since` itself is left out.
        after = "received_at__gt" if self.within.is_cut and start <= self.within.since else "received_at__gte"
        query = {after: max(start, self.within.since).isoformat(), "received_at__lt": end.isoformat()}
        if verdict:
            query["verdict__exact"] = verdict
        if not self.with_test:
            query["is_test__exact"] = "0"
        return f"{reverse('admin:sessions_app_webhookevent_changelist')}?{urlencode(query)}"


COLUMNS = ("From", "Requests", *(verdict.label.capitalize() for verdict in Verdict))


@report
def webhook(request: HttpRequest) -> HttpResponseBase:
    """The webhook's health within some days, and now."""
    now = timezone.now()
    filters = WebhookFilters(request.GET, now)
    context: dict[str, Any] = {"title": "Webhook health", "filters": filters, "presets": _presets()}
    if not filters.is_valid():
        return page(request, "reports/webhook.html", context)
    days, with_test = filters.range, filters.cleaned_data["test"]
    within = requests_within(days, with_test=with_test)
    by_hour = len(days.days) <= HOURS_UP_TO_DAYS
    lines = time_lines(within.found, days, by_hour=by_hour)
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        return export("webhook", file_format, COLUMNS, (line.as_row() for line in lines))
    counts = verdict_counts(within.found)
    may_see = request.user.has_perm("sessions_app.view_webhookevent")
    events = Events(within, days, with_test) if may_see else None
    silence = silence_at(now)
    context |= {
        "range": days,
        "within": within,
        "most_requests": MOST_REQUESTS,
        "silence": silence,
        "silence_definition": SILENCE_DEFINITION,
        "figures": [*_request_figures(within.found, counts, events), *_other_figures(days, request.user)],
        "timing": _timing_figures(timing_of(days, with_test=with_test), days, with_test=with_test),
        "verdicts": verdict_lines(counts, events),
        "agents": agent_lines(),
        "agents_most": MOST_SESSIONS_FOR_AGENTS,
        "lines": [{"line": line, "linked": line.linked(events)} for line in lines],
        "by_hour": by_hour,
        "verdict_labels": [verdict.label.capitalize() for verdict in Verdict],
        "retention_days": settings.EVENT_RETENTION_DAYS,
    }
    return page(request, "reports/webhook.html", context)


def _presets() -> dict[str, str]:
    """Those that the log reaches back to."""
    days = {"7d": 7, "30d": 30, "90d": 90, "last_month": 62}
    return {name: label for name, label in PRESETS.items() if days.get(name, 1) <= settings.EVENT_RETENTION_DAYS}


def _request_figures(
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


def _other_figures(days: DayRange, user: User | AnonymousUser) -> Iterator[Figure]:
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
        "none" if not waiting else f"{waiting} file{'s' if waiting > 1 else ''}",
        SPOOL_DEFINITION,
        note=f"{aside} set aside" if aside else "none set aside",
    )


def _refused_address(hours: Mapping[str, datetime]) -> str:
    """The admin's list of the hours with wrong keys."""
    query = urlencode({name: moment.isoformat() for name, moment in hours.items()})
    return f"{reverse('admin:sessions_app_refusedrequests_changelist')}?{query}"


def _timing_figures(timing: Timing, days: DayRange, *, with_test: bool) -> list[Figure]:
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
