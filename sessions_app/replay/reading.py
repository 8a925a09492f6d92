"""A tier's sessions, read for a replay: some customers at a time, so that memory stays flat."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from customers.limits import Limit, Metric, effective_limits
from customers.models import Customer, LimitOverride
from customers.models import TopUp as StoredTopUp
from sessions_app.database.prepared import IS_SQLITE
from sessions_app.livetok.events import duration_is_usable
from sessions_app.models import Session, TopUpUse
from sessions_app.periods import local_day, week_of
from sessions_app.replay.engine import BY_LIMITS, LimitsAt, Replayed, TopUp, Verdict, replay
from sessions_app.usage.counting import Draw, TopUpRow
from sessions_app.usage.own_days import FURTHEST_ZONE

# Customers, and sessions, unless one customer has more.
CUSTOMERS_AT_ONCE, SESSIONS_AT_ONCE = 500, 5000
# Whose median is taken for a customer without a call.
LATEST_CALLS = 1000


@dataclass(frozen=True)
class Asked:
    """What is replayed: a tier's sessions that began in [since, until), under each of several sets of limits."""

    tier_id: int
    since: datetime
    until: datetime
    lines: tuple[tuple[Limit, ...], ...]

    @property
    def earliest(self) -> datetime:
        """From when sessions can have used what counts in the week and the month of the first one."""
        first = min(self.since.date().replace(day=1), week_of(self.since.date()))
        return datetime(first.year, first.month, first.day, tzinfo=UTC) - FURTHEST_ZONE - timedelta(days=1)


@dataclass(frozen=True)
class OfCustomer:
    """What is asked for of a customer's sessions, with a verdict for each set of limits."""

    customer_id: int
    verdicts: list[tuple[Replayed, list[Verdict]]]


def customers_of(asked: Asked) -> Any:
    """Who may have been on the tier: whoever is now, and whoever was edited since."""
    edited = Customer.history.filter(id=OuterRef("pk"), history_date__gte=asked.since)
    return Customer.objects.filter(Q(tier=asked.tier_id) | Exists(edited))


def pieces(asked: Asked, after: int) -> Iterator[list[int]]:
    """The ids of customers beyond one who have sessions, in their order, so many that these fit into memory."""
    customers = customers_of(asked).order_by("pk").values_list("pk", flat=True)
    while some := list(customers.filter(pk__gt=after)[:CUSTOMERS_AT_ONCE]):
        piece: list[int] = []
        held = 0
        for customer_id, count in _counts(some, asked.earliest):
            if piece and held + count > SESSIONS_AT_ONCE:
                yield piece
                piece, held = [], 0
            piece.append(customer_id)
            held += count
        if piece:
            yield piece
        after = some[-1]


def _counts(customer_ids: Sequence[int], since: datetime) -> list[tuple[int, int]]:
    """How many sessions each has, of those with any. By ids: given a query for them, PostgreSQL reads all sessions."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT customer_id, count(*) FROM {Session._meta.db_table}
WHERE customer_id IN ({", ".join(["%s"] * len(customer_ids))}) AND started_at >= %s
GROUP BY customer_id ORDER BY customer_id""",
            [*customer_ids, since],
        )
        return cursor.fetchall()


def replayed_customers(asked: Asked, customer_ids: Sequence[int], guess_of_tier: int) -> Iterator[OfCustomer]:
    """Those of the customers of whom something is asked for. `guess_of_tier` is in seconds, for want of a median."""
    overrides, top_ups = _overrides(customer_ids), _top_ups(customer_ids)
    found = _sessions(customer_ids, asked)
    for customer_id in customer_ids:
        sessions = found.pop(customer_id, [])
        if any(session.is_asked for session in sessions):
            own = overrides.get(customer_id, ())
            lines = [_limits_at(limits, own) for limits in asked.lines]
            scale = {limit for limits in asked.lines for limit in limits} | {one.limit for one in own}
            valid = _drawn_before(top_ups.get(customer_id, ()), sessions)
            guess = cache(lambda calls=sessions: _median(_lengths(calls)) or guess_of_tier)
            yield OfCustomer(customer_id, list(replay(sessions, lines, scale, guess, valid)))


def usual_seconds(asked: Asked) -> int:
    """How long the tier's latest calls took: the median, 0 where there were none."""
    calls = Session.objects.filter(
        tier_id=asked.tier_id,
        started_at__gte=asked.since,
        started_at__lt=asked.until,
        is_test=False,
        customer__isnull=False,
        counts_toward_call_minutes=True,
        allowed=True,
        duration_seconds__gt=0,
    )
    latest = calls.order_by("-started_at", "-pk").values_list("duration_seconds", flat=True)[:LATEST_CALLS]
    return _median(seconds for seconds in latest if seconds and duration_is_usable(seconds))


# The sessions. Their rows are read without the ORM, which takes longer for one than deciding it.

_TIMES = (
    "started_at",
    "open_until",
    "begin_received_at",
    "end_received_at",
    "ended_at",
    "declared_missing_at",
)


@cache
def _sql(customers: int) -> str:
    # As texts: either driver takes longer to make moments of them.
    times = [f"{time} || '+00:00'" if IS_SQLITE else f"CAST({time} AS text)" for time in _TIMES]
    plain = "json_extract(facts, '$.call_hold_minutes')" if IS_SQLITE else "(facts ->> 'call_hold_minutes')::integer"
    hold = f"COALESCE(call_hold_minutes, {plain})"
    return f"""SELECT customer_id, tier_id, id, channel_id, agent_id, counts_toward_call_minutes, time_zone,
    {", ".join(times)}, stated_seconds, duration_seconds, allowed, reason, {hold}, minutes_top_up_id, sessions_top_up_id
FROM {Session._meta.db_table}
WHERE customer_id IN ({", ".join(["%s"] * customers)}) AND started_at >= %s AND started_at < %s AND NOT is_test"""


def _sessions(customer_ids: Sequence[int], asked: Asked) -> dict[int, list[Replayed]]:
    """Of each customer, with what was used before in the week and the month that hold the beginning."""
    found: dict[int, list[Replayed]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_sql(len(customer_ids)), [*customer_ids, asked.earliest, asked.until])
        while rows := cursor.fetchmany(2000):
            for row in rows:
                found[row[0]].append(_replayed(row, asked))
    return found


def _replayed(row: Sequence[Any], asked: Asked) -> Replayed:
    (
        _,
        tier,
        pk,
        channel,
        agent,
        counts,
        zone,
        *times,
        stated_seconds,
        duration,
        allowed,
        reason,
        hold,
        minutes,
        one,
    ) = row
    moments = [time and datetime.fromisoformat(time) for time in times]
    started_at, open_until, began, ended, ended_at, declared = moments
    took_place = bool(stated_seconds) and duration_is_usable(stated_seconds)
    counted = duration if ended is not None and (allowed or allowed is None or took_place) else 0
    return Replayed(
        pk,
        # Without the hold no rule was asked: it was answered while the database was away.
        tier == asked.tier_id and hold is not None and reason in BY_LIMITS and asked.since <= started_at,
        channel,
        agent,
        bool(counts),
        _zone(zone),
        started_at,
        local_day(started_at, _zone(zone)),
        open_until or started_at,
        began,
        ended,
        ended_at,
        declared,
        counted if counted and duration_is_usable(counted) else 0,
        None if allowed is None else bool(allowed),
        took_place,
        (hold or 0) * 60,
        minutes,
        one,
    )


_zone = lru_cache(maxsize=1024)(ZoneInfo)


# What the customers have of their own, as it stands today


@dataclass(frozen=True)
class _Override:
    stored: LimitOverride
    limit: Limit


def _overrides(customer_ids: Sequence[int]) -> dict[int, list[_Override]]:
    found: dict[int, list[_Override]] = defaultdict(list)
    for stored in LimitOverride.objects.filter(customer__in=customer_ids).order_by("pk"):
        found[stored.customer_id].append(_Override(stored, stored.as_limit()))
    return found


def _limits_at(limits: tuple[Limit, ...], overrides: Sequence[_Override]) -> LimitsAt:
    if not overrides:
        in_order = _in_order(limits)
        return lambda now: in_order

    @cache
    def with_those(valid: tuple[bool, ...]) -> tuple[Limit, ...]:
        return effective_limits(limits, (own.limit for own, is_valid in zip(overrides, valid, strict=True) if is_valid))

    return lambda now: with_those(tuple(own.stored.is_valid_at(now) for own in overrides))


@lru_cache(maxsize=8)
def _in_order(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    return effective_limits(limits, ())


def _top_ups(customer_ids: Sequence[int]) -> dict[int, list[StoredTopUp]]:
    found: dict[int, list[StoredTopUp]] = defaultdict(list)
    for stored in StoredTopUp.objects.filter(customer__in=customer_ids).order_by("pk"):
        found[stored.customer_id].append(stored)
    return found


def _drawn_before(stored: Sequence[StoredTopUp], sessions: Iterable[Replayed]) -> list[TopUp]:
    """The top-ups with what others than these sessions drew."""
    if not stored:
        return []
    drawn: dict[int, Draw] = defaultdict(Draw)
    for pk, *kept in TopUpUse.objects.filter(pk__in=[one.pk for one in stored]).values_list(
        "pk", "sessions", "call_seconds"
    ):
        drawn[pk] = Draw(*kept)
    for session in sessions:
        if session.sessions_top_up_id is not None:
            drawn[session.sessions_top_up_id] += Draw(sessions=-1)
        if session.minutes_top_up_id is not None and session.counts_toward_call_minutes:
            drawn[session.minutes_top_up_id] += Draw(call_seconds=-session.counted_seconds)
    return [
        TopUp(
            TopUpRow(one.pk, Metric(one.metric), one.amount, one.valid_until, one.created_at.date(), drawn[one.pk]),
            one.is_valid_at,
        )
        for one in stored
    ]


def _lengths(sessions: Iterable[Replayed]) -> Iterator[int]:
    """How long calls took, of those that count."""
    return (
        session.counted_seconds
        for session in sessions
        if session.is_asked and session.counts_toward_call_minutes and session.counted_seconds
    )


def _median(lengths: Iterable[int]) -> int:
    """The length that half of them do not exceed; 0 where there is none."""
    in_order = sorted(lengths)
    return in_order[(len(in_order) - 1) // 2] if in_order else 0
