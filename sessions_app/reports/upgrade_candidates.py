"""Who should upgrade: whose limits are used up often, by day, week and month."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

from django.db.models import Count, Q
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from customers.limits import Limit, Period
from customers.models import Customer
from customers.zones import company_zone
from sessions_app.database.replica import steadily
from sessions_app.models import DENIED, Session
from sessions_app.periods import first_of_earlier, local_day, span_of
from sessions_app.reports.customers import (
    CANDIDATE_DEFINITION,
    EXPORTED_AT_ONCE,
    MOST_RANKED,
    MOST_SUMMED_AT_ONCE,
    CustomerLine,
    Fullest,
    customer_lines,
    use_address,
)
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import filled_address, sessions_address
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.ranges import DayRange
from sessions_app.usage.counting import FILLED_BY
from sessions_app.usage.often import OFTEN, Filled, often_filled

CANDIDATE_COLUMNS = (
    "Customer", "External id", "Tier", "Limit", "Of the last", "Periods at 80 % or more", "Periods at the limit",
    "Denied", "Used now (%)",
)  # fmt: skip
DENIED_DEFINITION = (
    "Denied are the sessions that were denied for a limit of this kind and period, on its channel and with its agent, "
    "since the first of these days, weeks or months began by the company's clock."
)


@dataclass(frozen=True)
class Candidate:
    """A limit that is used up often. `used` is of the period that holds now."""

    line: CustomerLine
    filled: Filled
    denied: int
    days: DayRange

    @property
    def limit(self) -> Limit:
        return self.filled.limit

    @property
    def of_periods(self) -> str:
        """Such as "14 days"."""
        return f"{OFTEN[self.limit.period].periods} {self.limit.period}s"

    @property
    def used(self) -> Fullest:
        standing = self.line.standing
        use = next((use for use in standing.uses if use.limit.hard and use.limit.key == self.limit.key), None)
        return Fullest(use, use_address(standing, use) if use else "")

    @property
    def close_address(self) -> str:
        return filled_address(self.filled.customer_id, self.limit, "close")

    @property
    def reached_address(self) -> str:
        return filled_address(self.filled.customer_id, self.limit, "reached")

    @property
    def denied_address(self) -> str:
        return sessions_address(
            customer=self.filled.customer_id,
            state="denied",
            reason=_reason(self.limit),
            channel=self.limit.channel,
            agent=self.limit.agent,
            first_day=self.days.first_day,
            last_day=self.days.last_day,
        )

    def as_row(self) -> Row:
        customer = self.line.customer
        return (
            str(customer),
            customer.external_id or "",
            str(customer.tier),
            str(self.limit),
            self.of_periods,
            len(self.filled.close),
            len(self.filled.reached),
            self.denied,
            self.used.percent,
        )


@report
def upgrade_candidates(request: HttpRequest) -> HttpResponseBase:
    """Who should upgrade, those first whose limit is reached most."""
    now = timezone.now()
    file_format, part = request.GET.get("format"), request.GET.get("part")
    if file_format in FORMATS:
        return export("upgrade-candidates", file_format, CANDIDATE_COLUMNS, _candidate_rows(_ranked(now), now))
    if part == "list":
        return render(request, "reports/_upgrade_candidates.html", _context(now))
    context: dict[str, Any] = {"title": "Upgrade candidates", "tab": "candidates"}
    comes_late = Customer.objects.count() > MOST_SUMMED_AT_ONCE and not request.GET.get("list")
    context |= {"comes_late": True} if comes_late else _context(now)
    return page(request, "reports/upgrade_candidates.html", context)


def _context(now: datetime) -> dict[str, Any]:
    """What takes its time with many customers."""
    ranked = _ranked(now)
    return {
        "lines": candidates_of(ranked[:MOST_RANKED], now),
        "limits": len(ranked),
        "total": len({filled.customer_id for filled in ranked}),
        "definition": CANDIDATE_DEFINITION,
        "denied_definition": DENIED_DEFINITION,
    }


def _ranked(now: datetime) -> list[Filled]:
    return sorted(often_filled(now), key=_rank)


def _rank(filled: Filled) -> tuple[object, ...]:
    """By the share of the periods at the limit, then of those close to it."""
    periods = OFTEN[filled.limit.period].periods
    return -len(filled.reached) / periods, -len(filled.close) / periods, filled.customer_id, str(filled.limit)


def candidates_of(some: Sequence[Filled], now: datetime) -> list[Candidate]:
    """As they stand now, read for all of them together."""
    # Unread: `customer_lines` reads them by their ids, with all that it needs.
    lines = customer_lines([Customer(pk=pk) for pk in {filled.customer_id for filled in some}], now)
    by_customer = {line.customer.pk: line for line in lines}
    days = {period: _days_of(period, now) for period in OFTEN}
    denied = _denied(by_customer, days)
    return [
        Candidate(
            by_customer[filled.customer_id],
            filled,
            _count_of(denied[filled.customer_id, _reason(filled.limit)], filled.limit),
            days[filled.limit.period],
        )
        for filled in some
        if filled.customer_id in by_customer
    ]


def _days_of(period: Period, now: datetime) -> DayRange:
    """The company's days from the first period that `OFTEN` looks at until today."""
    zone = company_zone()
    first = first_of_earlier(period, span_of(period, now, zone).first_day, OFTEN[period].periods - 1)
    return DayRange(first, local_day(now, zone), zone)


def _reason(limit: Limit) -> str:
    return f"{limit.metric}_{limit.period}"


# By customer and reason: the channel, the agent, and how many sessions.
Denied: TypeAlias = Mapping[tuple[int, str], list[tuple[str | None, str | None, int]]]


def _denied(customer_ids: Iterable[int], days: Mapping[Period, DayRange]) -> Denied:
    for_limits = Q(pk__in=[])
    for period, of_period in days.items():
        reasons = [f"{metric}_{period}" for metric in FILLED_BY]
        for_limits |= Q(reason__in=reasons, started_at__gte=of_period.starts_at, started_at__lt=of_period.ends_before)
    first = min(of_period.starts_at for of_period in days.values())
    sessions = Session.objects.filter(
        DENIED, for_limits, customer_id__in=list(customer_ids), started_at__gte=first, is_test=False
    )
    rows = sessions.order_by().values_list("customer_id", "reason", "channel_id", "agent_id").annotate(Count("pk"))
    found: defaultdict[tuple[int, str], list[tuple[str | None, str | None, int]]] = defaultdict(list)
    for customer_id, reason, *of_scope in rows:
        found[customer_id, reason].append(tuple(of_scope))
    return found


def _count_of(denied: Iterable[tuple[str | None, str | None, int]], limit: Limit) -> int:
    return sum(count for channel, agent, count in denied if limit.applies_to(channel, agent))


def _candidate_rows(ranked: Sequence[Filled], now: datetime) -> Iterator[Row]:
    rest = iter(ranked)
    while some := list(islice(rest, EXPORTED_AT_ONCE)):
        for candidate in steadily(partial(candidates_of, some, now)):
            yield candidate.as_row()
