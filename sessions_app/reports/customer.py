"""One customer's page: use against every limit, where the limits come from, recent days, sessions and changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeAlias

from django.db.models import F, Q, Sum
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from customers.history import history_of
from customers.limits import Limit, Metric, Period
from customers.models import Customer, Erasure, LimitOverride
from customers.origins import limits_in_force, remaining_words
from customers.personal.erasing import YOUNG
from customers.scheduling import planned_of_customer, planned_of_tier
from sessions_app.billing.statements import Month
from sessions_app.models import DailyUsage, Session
from sessions_app.periods import ONE_DAY, local_day
from sessions_app.reports.change_forms import limit_name
from sessions_app.reports.customer_changes import PARTS, may_allow_more
from sessions_app.reports.customers import CANDIDATE_SHARE, DAYS_AT_LIMIT, DAYS_DEFINITION, use_address
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import (
    NOTHING,
    Figure,
    full_days_address,
    number_words,
    percent_words,
    sessions_address,
    used_address,
)
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.list.lines import lines_of
from sessions_app.reports.list.queries import LISTED_OF_ONE
from sessions_app.reports.outlook import NOT_FOUND, outlook_lines
from sessions_app.reports.top_ups import DEFINITION as TOP_UPS_DEFINITION
from sessions_app.reports.top_ups import top_up_lines
from sessions_app.reports.try_form import try_customer_address
from sessions_app.usage.counting import FILLED_BY
from sessions_app.usage.outlook import is_found_by_calls, ready_for_outlook, setting_at
from sessions_app.usage.own_days import count_on_own_days
from sessions_app.usage.standing import LimitUse, Standing, standings
from sessions_app.wording import duration_words, left_number, short_number, used_number

DAYS_SHOWN = 31
SESSIONS_SHOWN = 10
CHANGES_SHOWN = 20
# Before a column: what uses up limits of it.
LIMITED = "limited_"
# A column of the daily sums, and the one channel and agent, if any, that are added up.
Scope: TypeAlias = tuple[str, str | None, str | None]
SHOWN: tuple[Scope, ...] = (("sessions", None, None), ("seconds", None, None), ("call_seconds", None, None))
DAY_COLUMNS = ("Day", "Sessions", "Minutes", "Call minutes")
LIMITS_DEFINITION = (
    "Each hard limit that applies must hold for a session to begin. Used: recorded, and held by sessions that are "
    "open. Messages go through LiveTok and are never reported to us. An override stands in place of the tier's limit "
    "of the same metric, period, channel and agent."
)
LAST_DAYS_DEFINITION = (
    "Sessions on the day on which they started, minutes of ended sessions on each day that they touched, split at the "
    "customer's midnight. Denied sessions are left out. Call minutes are those on channels that count toward call "
    "minutes."
)
PERIOD_WORDS = {Period.DAY: "Today", Period.WEEK: "This week", Period.MONTH: "This month"}


@dataclass(frozen=True)
class LimitLine:
    """A limit in force: what is used of it, when it starts afresh in the customer's time, and whose row it is."""

    use: LimitUse
    resets_at: datetime | None
    override: LimitOverride | None
    address: str
    held_minutes: float
    instead_of: str
    remaining: tuple[str, ...]

    @property
    def name(self) -> str:
        return limit_name(self.use.limit)

    @property
    def amount(self) -> str:
        return _amount_of(self.use.limit)

    @property
    def used(self) -> str:
        return NOTHING if self.use.used is None else used_number(self.use.used)

    @property
    def held(self) -> str:
        return short_number(self.held_minutes)

    @property
    def left(self) -> str:
        return NOTHING if self.use.left is None else left_number(self.use.left)

    @property
    def percent(self) -> str:
        return NOTHING if self.use.share is None else percent_words(self.use.share)

    @property
    def bar(self) -> float:
        return round(min(100.0, 100 * (self.use.share or 0.0)), 1)

    @property
    def kind(self) -> str:
        share = self.use.share or 0.0
        return "bad" if share >= 1 else "odd" if share >= CANDIDATE_SHARE else ""


@dataclass(frozen=True)
class DayLine:
    day: date
    sessions: int
    seconds: int
    call_seconds: int
    is_full: bool
    longest: int
    customer_id: int

    @property
    def address(self) -> str:
        return used_address(self.day, self.day, customer=self.customer_id)

    @property
    def minutes_address(self) -> str:
        return used_address(self.day, self.day, customer=self.customer_id, minutes=True)

    @property
    def call_minutes_address(self) -> str:
        return used_address(self.day, self.day, customer=self.customer_id, minutes=True, calls=True)

    @property
    def iso(self) -> str:
        return self.day.isoformat()

    @property
    def words(self) -> str:
        return f"{self.day:%a} {self.day.day} {self.day:%b %Y}"

    @property
    def minutes(self) -> str:
        return number_words(self.seconds / 60, 1)

    @property
    def call_minutes(self) -> str:
        return number_words(self.call_seconds / 60, 1)

    @property
    def bar(self) -> float:
        return round(100 * self.seconds / self.longest, 1) if self.longest else 0.0

    def as_row(self) -> Row:
        return self.day, self.sessions, round(self.seconds / 60, 2), round(self.call_seconds / 60, 2)


def limit_lines(standing: Standing) -> list[LimitLine]:
    customer = standing.customer
    overrides: list[LimitOverride] = customer.valid_overrides  # type: ignore[attr-defined]
    by_key = {override.as_limit().key: override for override in overrides}
    tier_limits = (limit.as_limit() for limit in customer.tier.limits.all())
    in_force = {row.limit: row for row in limits_in_force(tier_limits, (row.as_limit() for row in overrides))}
    lines = []
    for use in standing.uses:
        origin = in_force[use.limit]
        span = standing.spans.get(use.limit.period)
        lines.append(
            LimitLine(
                use,
                resets_at=span.resets_at.astimezone(standing.zone) if span else None,
                address=use_address(standing, use),
                held_minutes=_held_minutes(standing, use),
                override=by_key.get(use.limit.key) if use.limit.origin == "override" else None,
                instead_of=_amount_of(origin.replaces) if origin.replaces else "",
                remaining=tuple(remaining_words(other, use.limit, customer.tier.name) for other in origin.remaining),
            )
        )
    return lines


def _amount_of(limit: Limit) -> str:
    return "unlimited" if limit.amount is None else number_words(limit.amount)


def _held_minutes(standing: Standing, use: LimitUse) -> float:
    limit = use.limit
    if limit.metric is not Metric.CALL_MINUTES:
        return 0.0
    return standing.usage.held_seconds(limit.period, limit.channel, limit.agent) / 60


def day_lines(standing: Standing, today: date) -> list[DayLine]:
    """The last days, today first, those without a session included. Which are full is as `shares.full_days` has it."""
    first = today - timedelta(days=DAYS_SHOWN - 1)
    full_at = _full_at(standing.limits)
    # Those of SHOWN first: below, sums are taken by their place.
    scopes = list(dict.fromkeys([*SHOWN, *full_at]))
    rows = (
        DailyUsage.objects.filter(customer=standing.customer, day__gte=first, day__lte=today)
        .order_by()
        .values_list("day")
        .annotate(**{f"sum_{number}": _sum(*scope) for number, scope in enumerate(scopes)})
    )
    found = {}
    for day, *sums in rows:
        used = dict(zip(scopes, sums, strict=True))
        is_full = any(used[scope] >= amount for scope, amount in full_at.items())
        found[day] = sums[0], sums[1], sums[2], is_full
    longest = max((seconds for _, seconds, _, _ in found.values()), default=0)
    days = (today - timedelta(days=number) for number in range(DAYS_SHOWN))
    return [DayLine(day, *found.get(day, (0, 0, 0, False)), longest, standing.customer.pk) for day in days]


def _full_at(limits: Iterable[Limit]) -> dict[Scope, int]:
    """How much of each daily sum, without what was drawn on top-ups, fills a hard limit."""
    full_at = {}
    for limit in limits:
        if limit.hard and limit.amount and limit.period is Period.DAY and limit.metric in FILLED_BY:
            column, unit = FILLED_BY[limit.metric]
            full_at[f"{LIMITED}{column}", limit.channel, limit.agent] = limit.amount * unit
    return full_at


def _sum(column: str, channel: str | None, agent: str | None) -> Sum:
    scope = {name: value for name, value in (("channel", channel), ("agent", agent)) if value is not None}
    name = column.removeprefix(LIMITED)
    added = F(name) - F(f"drawn_{name}") if column != name else F(name)
    return Sum(added, filter=Q(**scope), default=0) if scope else Sum(added)


def statement_address(found: Customer, month: Month) -> str:
    return reverse("reports:statement", args=[found.pk, str(month)])


@report
def customer(request: HttpRequest, pk: int) -> HttpResponseBase:
    """One customer."""
    now = timezone.now()
    ready = ready_for_outlook(Customer.objects.select_related("erasure"), now).prefetch_related(
        "valid_overrides__author"
    )  # type: ignore[misc]
    found = get_object_or_404(ready, pk=pk)
    standing = standings([found], now)[found.pk]
    today = local_day(now, standing.zone)
    days = day_lines(standing, today)
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        return export(f"customer-{found.pk}-days", file_format, DAY_COLUMNS, (line.as_row() for line in days))
    sessions = found.sessions.order_by("-started_at", "-pk").select_related("channel", "agent").only(*LISTED_OF_ONE)
    erasure: Erasure | None = getattr(found, "erasure", None)
    context = {
        "title": str(found),
        "erasure": erasure,
        "through_at": erasure.requested_at + YOUNG if erasure else None,
        "customer": found,
        "zone": standing.zone.key,
        "local_now": now.astimezone(standing.zone),
        "outlook": outlook_lines(standing, setting_at(now)),
        "is_found_by_calls": is_found_by_calls(found),
        "not_found": NOT_FOUND,
        "may_allow_more": may_allow_more(request.user, standing),
        "statement_address": statement_address(found, Month.holding(today)),
        "try_address": "" if erasure else try_customer_address(found),
        "limits": limit_lines(standing),
        "limits_definition": LIMITS_DEFINITION,
        "figures": _figures(standing, days, now),
        "days": days,
        "days_definition": LAST_DAYS_DEFINITION,
        "has_days": any(line.sessions or line.seconds for line in days),
        "lines": lines_of(sessions[:SESSIONS_SHOWN], now),
        "sessions_address": sessions_address(customer=found.pk, period="90d"),
        "planned": planned_of_customer(found),
        "planned_of_tier": planned_of_tier(found.tier).exclude(starts_at=None).prefetch_related("limits__agent"),
        "top_ups": top_up_lines(standing, now),
        "top_ups_definition": TOP_UPS_DEFINITION,
        "history": history_of(Customer, found.pk, PARTS)[:CHANGES_SHOWN],
        "changes_shown": CHANGES_SHOWN,
    }
    return page(request, "reports/customer.html", context)


def _figures(standing: Standing, days: Sequence[DayLine], now: datetime) -> list[Figure]:
    found, month = standing.customer, standing.spans[Period.MONTH]
    this_month = [line for line in days if month.holds(line.day)]
    today = local_day(now, standing.zone)
    first_shown = today - timedelta(days=DAYS_SHOWN - 1)
    live = Session.objects.filter(customer=found, is_test=False)
    open_now = live.in_state(Session.State.OPEN, now).count()
    denied = count_on_own_days(live.in_state(Session.State.DENIED, now), first_shown, today + ONE_DAY)
    recorded = sum(line.call_seconds for line in days if line.day == today)
    held = standing.usage.held_seconds(Period.DAY)
    return [
        Figure(
            "Open now",
            number_words(open_now),
            "Sessions that were let in, whose end has not come, and that are within their channel's longest session.",
            sessions_address(customer=found.pk, open_now=True),
        ),
        Figure(
            "Call minutes today",
            used_number(recorded / 60),
            "Minutes of ended sessions on the customer's day, on channels that count toward call minutes. The next "
            "decision adds what open sessions hold.",
            used_address(today, today, customer=found.pk, minutes=True, calls=True),
            note=f"and {used_number(held / 60)} held by open sessions" if held else "",
        ),
        Figure(
            "Sessions this month",
            number_words(sum(line.sessions for line in this_month)),
            "Sessions that started in the customer's month and were not denied.",
            used_address(month.first_day, today, customer=found.pk),
            note=f"{duration_words(sum(line.seconds for line in this_month))} in all",
        ),
        Figure(
            f"Denied in {DAYS_SHOWN} days",
            number_words(denied),
            f"Sessions of the last {DAYS_SHOWN} days, today among them, that were not let in.",
            sessions_address(customer=found.pk, state="denied", first_day=first_shown, last_day=today, own_days=True),
        ),
        Figure(
            f"Days at a limit, of {DAYS_AT_LIMIT}",
            number_words(sum(line.is_full for line in days[:DAYS_AT_LIMIT])),
            DAYS_DEFINITION,
            full_days_address(found.pk, "reached"),
        ),
    ]
