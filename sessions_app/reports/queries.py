"""The figures of a page of sessions, and its list, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Case, Count, IntegerField, Q, Sum, Value, When

from customers.models import Tier
from sessions_app.events import LONGEST_DURATION_SECONDS
from sessions_app.models import STATE_CONDITIONS, Session, SessionQuerySet
from sessions_app.periods import starts_at
from sessions_app.reports.cursors import Cursor
from sessions_app.reports.ranges import DayRange

PAGE_SIZE = 50
# All that a line of the list needs; the rest of a session can be large.
LISTED = (
    "session_id",
    "number",
    "is_test",
    "number_received",
    "phone_key",
    "external_id",
    "allowed",
    "reason",
    "begin_received_at",
    "end_received_at",
    "stated_seconds",
    "declared_missing_at",
    "started_at",
    "duration_seconds",
    "open_until",
    "flags",
    "channel__label",
    "agent__name",
    "tier__name",
    "customer__name",
    "customer__external_id",
)


@dataclass(frozen=True)
class Totals:
    """`timed` are the ended sessions with a usable duration; `seconds` is the sum of theirs."""

    sessions: int = 0
    denied: int = 0
    timed: int = 0
    seconds: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.sessions + other.sessions,
            self.denied + other.denied,
            self.timed + other.timed,
            self.seconds + other.seconds,
        )

    @property
    def mean_seconds(self) -> float | None:
        return self.seconds / self.timed if self.timed else None

    @property
    def total_seconds(self) -> int | None:
        return self.seconds if self.timed else None


@dataclass(frozen=True)
class TierTotals:
    """`tier` is None for sessions that were on no tier: callers whom the policy denies, and ends without a begin."""

    tier: Tier | None
    totals: Totals


@dataclass(frozen=True)
class DayTotals:
    day: date
    tiers: list[TierTotals]


@dataclass(frozen=True)
class Summary:
    totals: Totals
    tiers: list[TierTotals]
    days: list[DayTotals]


def summarise(sessions: SessionQuerySet, days: DayRange, tiers: Sequence[Tier], now: datetime) -> Summary:
    """Number and durations per tier and local day, the newest day first, days and tiers without sessions left out."""
    cells = _cells(sessions, days, now)
    every_tier: list[Tier | None] = [*tiers, None]

    def per_tier(wanted: set[date]) -> list[TierTotals]:
        found = []
        for tier in every_tier:
            pk = tier.pk if tier else None
            totals = [cell for (day, tier_id), cell in cells.items() if tier_id == pk and day in wanted]
            if totals:
                found.append(TierTotals(tier, sum(totals, Totals())))
        return found

    held = sorted({day for day, _ in cells}, reverse=True)
    return Summary(
        totals=sum(cells.values(), Totals()),
        tiers=per_tier(set(held)),
        days=[DayTotals(day, per_tier({day})) for day in held],
    )


def _cells(sessions: SessionQuerySet, days: DayRange, now: datetime) -> dict[tuple[date, int | None], Totals]:
    ended = STATE_CONDITIONS[Session.State.ENDED.value](now)
    timed = ended & Q(duration_seconds__gte=0, duration_seconds__lte=LONGEST_DURATION_SECONDS)
    rows = (
        sessions.order_by()
        .annotate(day_number=_day_number(days, 0, len(days.days)))
        .values("day_number", "tier_id")
        .annotate(
            count=Count("pk"),
            denied=Count("pk", filter=STATE_CONDITIONS[Session.State.DENIED.value](now)),
            timed=Count("pk", filter=timed),
            seconds=Sum("duration_seconds", filter=timed, default=0),
        )
    )
    return {
        (days.days[row["day_number"]], row["tier_id"]): Totals(
            row["count"], row["denied"], row["timed"], row["seconds"]
        )
        for row in rows
    }


def _day_number(days: DayRange, low: int, high: int) -> Case | Value:
    """Which of the days holds a session's start, by halves: the same days as `periods.local_day`, on both databases.

    A database's own dates differ where the clock goes back over midnight.
    """
    if high - low == 1:
        return Value(low, output_field=IntegerField())
    middle = (low + high) // 2
    return Case(
        When(started_at__lt=starts_at(days.days[middle], days.zone), then=_day_number(days, low, middle)),
        default=_day_number(days, middle, high),
    )


@dataclass(frozen=True)
class Page:
    """Some sessions, the newest first, and where the pages beside it begin; None where there is none."""

    sessions: list[Session]
    newer: Cursor | None
    older: Cursor | None


def page_of(sessions: SessionQuerySet, older: Cursor | None, newer: Cursor | None) -> Page:
    """The page that follows `older`, or the one before `newer`; else the newest. As fast wherever it is."""
    sessions = sessions.select_related("channel", "agent", "tier", "customer").only(*LISTED)
    if newer is not None:
        found = list(_after(sessions, newer)[: PAGE_SIZE + 1])
        if len(found) > PAGE_SIZE:
            return _page(found[:PAGE_SIZE][::-1], has_newer=True, has_older=True)
        # Less than a page is newer: the first page shows it, filled up.
    elif older is not None:
        found = list(_before(sessions, older)[: PAGE_SIZE + 1])
        return _page(found[:PAGE_SIZE], has_newer=True, has_older=len(found) > PAGE_SIZE)
    found = list(sessions.order_by("-started_at", "-pk")[: PAGE_SIZE + 1])
    return _page(found[:PAGE_SIZE], has_newer=False, has_older=len(found) > PAGE_SIZE)


def _before(sessions: SessionQuerySet, cursor: Cursor) -> SessionQuerySet:
    # The first condition alone bounds the index; the second tells sessions of one instant apart.
    return sessions.filter(
        Q(started_at__lt=cursor.started_at) | Q(pk__lt=cursor.pk), started_at__lte=cursor.started_at
    ).order_by("-started_at", "-pk")


def _after(sessions: SessionQuerySet, cursor: Cursor) -> SessionQuerySet:
    return sessions.filter(
        Q(started_at__gt=cursor.started_at) | Q(pk__gt=cursor.pk), started_at__gte=cursor.started_at
    ).order_by("started_at", "pk")


def _page(sessions: list[Session], *, has_newer: bool, has_older: bool) -> Page:
    if not sessions:
        return Page([], None, None)
    newest, oldest = Cursor.of(sessions[0]), Cursor.of(sessions[-1])
    return Page(sessions, newest if has_newer else None, oldest if has_older else None)
