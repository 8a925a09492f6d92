"""How much a customer has used: the daily sums, and reading them back."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import astuple, fields
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from customers.limits import Period
from sessions_app.database.replica import read_connection
from sessions_app.decision.rules import Usage
from sessions_app.models import DailyUsage, Session
from sessions_app.periods import Span, span_of
from sessions_app.usage.counting import (
    CALL_SECONDS,
    OPEN_COLUMNS,
    PERIODS,
    RECORDED,
    SESSIONS,
    Amount,
    OpenSession,
    UsageKey,
    change_between,
    usage_from,
    without_session,
)
from sessions_app.usage.drawn import valid_top_ups


def amount_of(row: DailyUsage) -> Amount:
    return Amount(row.sessions, row.seconds, row.call_seconds, row.drawn_sessions, row.drawn_call_seconds)


def record_change(before: Mapping[UsageKey, Amount], after: Mapping[UsageKey, Amount]) -> None:
    """Bring the sums from what a session counted `before` to what it counts `after`, in the caller's transaction."""
    for key, change in change_between(before, after).items():
        _add(key, change)


_TABLE = DailyUsage._meta.db_table
_COUNTED = tuple(field.name for field in fields(Amount))
# What follows an insert on both databases, so that two sessions of one customer add up whoever is first.
ADDING = f"""ON CONFLICT (customer_id, day, channel, agent) DO UPDATE SET
    sessions = {_TABLE}.sessions + excluded.sessions,
    seconds = {_TABLE}.seconds + excluded.seconds,
    call_seconds = {_TABLE}.call_seconds + excluded.call_seconds,
    drawn_sessions = {_TABLE}.drawn_sessions + excluded.drawn_sessions,
    drawn_call_seconds = {_TABLE}.drawn_call_seconds + excluded.drawn_call_seconds"""
_ADD = f"""INSERT INTO {_TABLE} (customer_id, day, channel, agent, {", ".join(_COUNTED)})
VALUES (%s, %s, %s, %s, {", ".join(["%s"] * len(_COUNTED))}) {ADDING}"""


def _add(key: UsageKey, change: Amount) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            [
                key.customer_id,
                key.day.isoformat() if connection.vendor == "sqlite" else key.day,
                key.channel,
                key.agent,
                *astuple(change),
            ],
        )


def usage_at(
    customer_id: int, now: datetime, zone: ZoneInfo, hold_minutes: int, *, without: Session | None = None
) -> Usage:
    """What a customer has used in the day, week and month that hold `now`, by channel and agent.

    `without` is a stored session that is left out, as if it did not exist.
    """
    spans = {period: span_of(period, now, zone) for period in PERIODS}
    return usage_from(
        recorded_sums([customer_id], spans).get(customer_id, ()),
        _open_sessions(customer_id, now, without),
        now,
        spans,
        hold_minutes,
        top_ups=valid_top_ups({customer_id: zone}, now).get(customer_id, ()),
        without=without_session(without, customer_id),
    )


def _open_sessions(customer_id: int, now: datetime, without: Session | None) -> list[OpenSession]:
    """Those that may be open for a decision at `now` (LiveTok's clock)."""
    candidates = Session.objects.holding_at(now).filter(customer_id=customer_id)
    if without is not None:
        candidates = candidates.exclude(pk=without.pk)
    return [OpenSession(*row) for row in candidates.values_list(*OPEN_COLUMNS)]


RECORDED_SUMS = ", ".join(
    f"CAST(COALESCE(SUM({counted}) FILTER (WHERE day >= %({period}_from)s AND day < %({period}_until)s), 0) AS bigint)"
    f" AS {name}"
    for counted, name, period in (
        *(("sessions - drawn_sessions", name, period) for period, name in SESSIONS.items()),
        *(("call_seconds - drawn_call_seconds", name, period) for period, name in CALL_SECONDS.items()),
        ("drawn_call_seconds", "drawn_seconds_today", Period.DAY),
    )
)
WITHIN_SPANS = "day >= %(first_day)s AND day < %(after_last_day)s"
# Asking the ORM for six sums takes longer than adding them up.
_RECORDED = f"""SELECT customer_id, channel, agent, {RECORDED_SUMS} FROM {_TABLE}
WHERE customer_id IN ({{customers}}) AND {WITHIN_SPANS} GROUP BY customer_id, channel, agent"""


def days_of(spans: Mapping[Period, Span]) -> dict[str, date]:
    """The parameters of RECORDED_SUMS and WITHIN_SPANS: each span's days, and those of all together."""
    return {
        "first_day": min(span.first_day for span in spans.values()),
        "after_last_day": max(span.after_last_day for span in spans.values()),
        **{f"{period}_from": span.first_day for period, span in spans.items()},
        **{f"{period}_until": span.after_last_day for period, span in spans.items()},
    }


def recorded_sums(customer_ids: Collection[int], spans: Mapping[Period, Span]) -> dict[int, list[Mapping[str, Any]]]:
    """The sums of each customer's day, week and month by channel and agent, as `usage_from` takes them."""
    customers = {f"customer_{number}": pk for number, pk in enumerate(customer_ids)}
    found: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    if not customers:
        return found
    with read_connection().cursor() as cursor:
        cursor.execute(
            _RECORDED.format(customers=", ".join(f"%({name})s" for name in customers)),
            {**customers, **{name: day.isoformat() for name, day in days_of(spans).items()}},
        )
        for customer_id, *sums in cursor.fetchall():
            found[customer_id].append(dict(zip(RECORDED, sums, strict=True)))
    return found
