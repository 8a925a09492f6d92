"""What decides a begin, and which session an end is for: each read in one statement, and so in one snapshot.

LiveTok waits for the answer, so it is one round trip; a call that ends meanwhile is either open or recorded, never
neither.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

from customers.access import Access, zone_of
from customers.context import read_json
from customers.limits import Limit, Metric, Period, effective_limits
from customers.models import (
    Agent,
    Channel,
    Customer,
    CustomerChange,
    LimitOverride,
    PhoneNumber,
    Policy,
    Tier,
    TierChange,
    TierChangeLimit,
    TierLimit,
    TopUp,
)
from customers.scheduled import deciding_sql, tier_id_sql
from customers.validity import valid_sql
from sessions_app.database.prepared import fetch
from sessions_app.database.snapshots import one_snapshot
from sessions_app.decision.rules import Usage
from sessions_app.livetok.events import SessionBegin, SessionEnd
from sessions_app.models import CustomerTurn, DailyUsage, Session, TopUpUse
from sessions_app.periods import span_of
from sessions_app.recording.columns import (
    as_json,
    instance,
    json_array,
    json_list,
    json_row,
    loaded,
    moment_of,
    table_of,
)
from sessions_app.recording.hooks import Awaited, SessionHook, awaited_columns, session_hooks
from sessions_app.spool.waiting import NOTHING, Waiting, WaitingBegin, begins_that_wait
from sessions_app.usage.counting import (
    OPEN_COLUMNS,
    PERIODS,
    RECORDED,
    Draw,
    OpenSession,
    TopUpRow,
    usage_from,
    without_session,
)
from sessions_app.usage.used import RECORDED_SUMS, WITHIN_SPANS, days_of

POLICY_COLUMNS = (
    "id",
    "unknown_callers",
    "unknown_callers_tier_id",
    "callers_without_number",
    "callers_without_number_tier_id",
    "limits_in_answer",
    "emergency",
    "emergency_until",
)
CHANNEL_COLUMNS = ("slug", "counts_toward_call_minutes", "longest_session_minutes")
AGENT_COLUMNS = ("livetok_id", "name")
CUSTOMER_COLUMNS = ("id", "name", "status", "valid_from", "valid_until", "context", "time_zone")
TIER_COLUMNS = ("id", "slug", "context", "call_hold_minutes")
END_COLUMNS = (
    "id",
    "session_id",
    "number",
    "is_test",
    "channel_id",
    "agent_id",
    "number_received",
    "phone_key",
    "external_id",
    "customer_id",
    "allowed",
    "reason",
    "begin_received_at",
    "begin_stated_at",
    "end_received_at",
    "stated_seconds",
    "started_at",
    "time_zone",
    "counts_toward_call_minutes",
    "minutes_top_up_id",
    "sessions_top_up_id",
    "flags",
)


@dataclass(frozen=True)
class Reading:
    """What a begin's decision depends on, at one moment.

    `is_known`: LiveTok's session id is stored already. `begins` is how many begins of the customer were decided before;
    None where there is no customer. `channel` and `agent` are None where this is their first sight. Where no limit in
    force is for one channel or agent, `usage` may have what was recorded as one row of neither. `awaited` is what
    hooks wait for.
    """

    is_known: bool
    access: Access
    channel: Channel | None
    agent: Agent | None
    usage: Usage
    begins: int | None
    awaited: Awaited


def read_begin(event: SessionBegin, *, without: Session | None = None) -> Reading | None:
    """Read all that decides a begin, in one statement. None before first-run set-up.

    `without` is a stored session, ended already, whose own use does not count. Sessions that wait on disk to be stored
    count as open ones.
    """
    waiting = begins_that_wait()
    if waiting is NOTHING:
        return _read_in_zone(event, without, waiting)
    with one_snapshot():  # in which each of them is either stored or waiting
        return _read_in_zone(event, without, waiting)


def _read_in_zone(event: SessionBegin, without: Session | None, waiting: Waiting) -> Reading | None:
    caller = event.caller.identity
    zone = _zone_hints.get(caller) or zone_of(None)
    reading, true_zone = _read_begin(event, zone, without, waiting)
    # The days to add up depend on the customer's zone, which only the statement tells: it was another one last time.
    while true_zone != zone:
        if len(_zone_hints) >= MOST_HINTS:
            _zone_hints.clear()
        _zone_hints[caller] = zone = true_zone
        reading, true_zone = _read_begin(event, zone, without, waiting)
    return reading


# By caller, the zone of its customer when it called last. A wrong hint, or none, costs one statement more.
MOST_HINTS = 100_000
_zone_hints: dict[tuple[str, str] | None, ZoneInfo] = {}
# Whether this process has met a customer with a limit for one channel or agent. Until then usage is read as one sum,
# which for a customer who uses many of them takes half the time.
_limits_have_scopes = Event()
# Whether this process has met a scheduled change, a draft or a top-up of anybody. Until then the statement asks whether
# there is one, and reads none.
_has_met_changes = Event()
_MEETS_SOME = "some"


def _read_begin(
    event: SessionBegin, zone: ZoneInfo, without: Session | None, waiting: Waiting
) -> tuple[Reading | None, ZoneInfo]:
    caller = event.caller
    spans = {period: span_of(period, event.at, zone) for period in PERIODS}
    parameters: dict[str, Any] = {
        "session_id": event.session_id,
        "is_test": event.is_test,
        "channel": event.channel,
        "agent": event.agent,
        "phone_key": caller.phone_key,
        "external_id": caller.external_id,
        "now": event.at,
        **days_of(spans),
    }
    # What `without` uses is taken off the row of its own channel and agent.
    by_scope = without is not None or _limits_have_scopes.is_set()
    known_by = caller.identity[0] if caller.identity else ""
    has_met_changes = _has_met_changes.is_set()
    rows = fetch(_reading_sql(known_by, by_scope, has_met_changes, session_hooks()), parameters)
    if not rows:
        return None, zone
    is_known, policy, channel, agent, customer_row, tier_row, overrides, recorded, opened, top_ups, begins, *awaited = (
        rows[0]
    )
    if not has_met_changes and top_ups == _MEETS_SOME:
        _has_met_changes.set()
        return _read_begin(event, zone, without, waiting)
    customer = instance(Customer, CUSTOMER_COLUMNS, customer_row)
    tier = _tier(tier_row)
    access = Access(
        policy=_policy(policy),
        customer=customer,
        tier=tier.tier,
        limits=_overridden(tier.limits, json.loads(overrides or "[]")),
        allowed_channels=tier.allowed_channels,
    )
    if customer is not None and not by_scope and any(limit.has_scope for limit in access.limits):
        _limits_have_scopes.set()
        return _read_begin(event, zone, without, waiting)
    usage = Usage()
    # In another zone than was guessed the wrong days are added up, and `_read_in_zone` reads again.
    if customer is not None and tier.tier is not None and access.zone == zone:
        usage = usage_from(
            (dict(zip(RECORDED, entry, strict=True)) for entry in json.loads(recorded or "[]")),
            [_open_session(*row) for row in json.loads(opened or "[]")],
            event.at,
            spans,
            tier.tier.call_hold_minutes,
            top_ups=[_top_up(zone, *row) for row in json.loads(top_ups or "[]")],
            without=without_session(without, customer.pk),
            waiting=() if waiting is NOTHING else _not_stored(waiting.beside(event, customer.pk)),
        )
    elif customer is None and waiting is not NOTHING and tier.tier is not None:
        begun = _not_stored(waiting.beside(event, None))
        usage = usage_from((), (), event.at, spans, tier.tier.call_hold_minutes, waiting=begun)
    reading = Reading(
        is_known=bool(int(is_known)),
        access=access,
        channel=_channel(channel),
        agent=_agent(agent),
        usage=usage,
        begins=int(begins or 0) if customer else None,
        awaited=awaited,
    )
    return reading, access.zone if customer else zone


def _not_stored(begins: Sequence[WaitingBegin]) -> list[OpenSession]:
    # A file of the spool goes only when all of it is stored, so that some of its begins may be stored already.
    names = [begin.session_id for begin in begins]
    stored = set(Session.objects.filter(session_id__in=names).values_list("session_id", flat=True)) if names else set()
    return [
        OpenSession(
            begin.channel,
            begin.agent,
            begin.counts_toward_call_minutes,
            begin.started_at,
            begin.open_until,
            begin.minutes_top_up_id,
            begin.sessions_top_up_id,
        )
        for begin in begins
        if begin.session_id not in stored
    ]


@cache
def _reading_sql(known_by: str, by_scope: bool, has_met_changes: bool, hooks: tuple[SessionHook, ...]) -> str:
    customer_id = {
        "number": f"c.id = (SELECT customer_id FROM {table_of(PhoneNumber)} WHERE key = %(phone_key)s)",
        "id": "c.external_id = %(external_id)s",
        "": "FALSE",
    }[known_by]
    policy = "unknown_callers" if known_by else "callers_without_number"
    scope, grouped = ("channel, agent", " GROUP BY channel, agent") if by_scope else ("'' AS channel, '' AS agent", "")
    limit = json_array("metric", "period", "channel_id", "agent_id", "amount", "hard")
    of_change = f"change_id = change.id AND {table_of(TierChangeLimit)}.before = (change.in_force_at IS NOT NULL)"
    tier_limits = f"SELECT {json_list(limit)} FROM {table_of(TierLimit)} WHERE tier_id = t.id"
    tier_id, change = "c.tier_id", ""
    if has_met_changes:
        tier_limits = f"""CASE WHEN change.id IS NULL THEN ({tier_limits})
        ELSE (SELECT {json_list(limit)} FROM {table_of(TierChangeLimit)} WHERE {of_change}) END"""
        tier_id = f"{tier_id_sql('c')}, c.tier_id"
        decides = deciding_sql(table_of(TierChange), "tier_id", "t.id")
        change = f"LEFT JOIN {table_of(TierChange)} AS change ON change.id = {decides}"
    channels = f"SELECT {json_list('channel_id')} FROM {table_of(Tier.allowed_channels.through)} WHERE tier_id = t.id"
    begun = json_array(*OPEN_COLUMNS)
    columns = ("id", "metric", "amount", "valid_until", "created_at")
    drawn = ("COALESCE(drawn.sessions, 0)", "COALESCE(drawn.call_seconds, 0)")
    top_up = json_array(*(f"own.{column}" for column in columns), *drawn)
    top_ups = f"""CAST((SELECT {json_list(top_up)} FROM {table_of(TopUp)} AS own
        LEFT JOIN {table_of(TopUpUse)} AS drawn ON drawn.top_up_id = own.id
        WHERE own.customer_id = c.id AND {valid_sql("own")}) AS text)"""
    if not has_met_changes:
        there = (f"EXISTS (SELECT 1 FROM {table_of(model)})" for model in (TierChange, CustomerChange, TopUp))
        top_ups = f"CASE WHEN {' OR '.join(there)} THEN '{_MEETS_SOME}' END"
    return f"""
SELECT CAST(EXISTS (SELECT 1 FROM {table_of(Session)} WHERE session_id = %(session_id)s AND is_test = %(is_test)s)
        AS integer),
    {json_row("p", Policy, POLICY_COLUMNS)},
    {json_row("ch", Channel, CHANNEL_COLUMNS)},
    {json_row("a", Agent, AGENT_COLUMNS)},
    {json_row("c", Customer, CUSTOMER_COLUMNS)},
    {json_row("t", Tier, TIER_COLUMNS, as_json(tier_limits), as_json(channels))},
    CAST((SELECT {json_list(limit)} FROM {table_of(LimitOverride)} AS own WHERE customer_id = c.id
        AND {valid_sql("own")}) AS text),
    CAST((SELECT {json_list(json_array(*RECORDED))} FROM (
        SELECT {scope}, {RECORDED_SUMS} FROM {table_of(DailyUsage)}
        WHERE customer_id = c.id AND {WITHIN_SPANS}{grouped}) AS used) AS text),
    CAST((SELECT {json_list(begun)}
        FROM {table_of(Session)} WHERE customer_id = c.id AND allowed AND end_received_at IS NULL
        AND declared_missing_at IS NULL AND NOT is_test AND open_until > %(now)s) AS text),
    {top_ups},
    turn.begins{awaited_columns(hooks)}
FROM {table_of(Policy)} AS p
LEFT JOIN {table_of(Channel)} AS ch ON ch.slug = %(channel)s
LEFT JOIN {table_of(Agent)} AS a ON a.livetok_id = %(agent)s
LEFT JOIN {table_of(Customer)} AS c ON {customer_id}
LEFT JOIN {table_of(Tier)} AS t
    ON t.id = COALESCE({tier_id}, CASE p.{policy} WHEN 'serve' THEN p.{policy}_tier_id END)
{change}
LEFT JOIN {table_of(CustomerTurn)} AS turn ON turn.customer_id = c.id
"""


def read_end(event: SessionEnd) -> tuple[Session, Awaited] | None:
    """The one session that an end can be for: begun, not ended yet, alone with its id; and what hooks wait for.

    None where it is less plain.
    """
    rows = fetch(_ending_sql(session_hooks()), {"session_id": event.session_id, "is_test": event.is_test})
    if len(rows) != 1:
        return None
    row, *awaited = rows[0]
    session = instance(Session, END_COLUMNS, row)
    assert session is not None
    if not session.has_begin or session.has_end or session.is_erased:
        return None
    return (session, awaited) if event.caller.identity in (None, session.caller.identity) else None


@cache
def _ending_sql(hooks: tuple[SessionHook, ...]) -> str:
    return f"""SELECT {json_row("s", Session, END_COLUMNS)}{awaited_columns(hooks)} FROM {table_of(Session)} AS s
WHERE session_id = %(session_id)s AND is_test = %(is_test)s LIMIT 2"""


# The rows below are few and seldom change: what was made of one serves as long as it says the same.
@dataclass(frozen=True)
class _TierRow:
    tier: Tier | None = None
    limits: tuple[Limit, ...] = ()
    allowed_channels: frozenset[str] = frozenset()


@lru_cache(maxsize=1024)
def _tier(row: str | None) -> _TierRow:
    if row is None:
        return _TierRow()
    *columns, limits, channels = read_json(row)
    return _TierRow(
        loaded(Tier, TIER_COLUMNS, columns),
        effective_limits(_limits(limits or (), "tier"), ()),
        frozenset(channels or ()),
    )


@lru_cache(maxsize=16)
def _policy(row: str) -> Policy:
    policy = instance(Policy, POLICY_COLUMNS, row)
    assert policy is not None
    return policy


@lru_cache(maxsize=1024)
def _channel(row: str | None) -> Channel | None:
    return instance(Channel, CHANNEL_COLUMNS, row)


@lru_cache(maxsize=1024)
def _agent(row: str | None) -> Agent | None:
    return instance(Agent, AGENT_COLUMNS, row)


def _overridden(limits: tuple[Limit, ...], overrides: list[Sequence[Any]]) -> tuple[Limit, ...]:
    return effective_limits(limits, _limits(overrides, "override")) if overrides else limits


def _limits(rows: Iterable[Sequence[Any]], origin: str) -> Iterable[Limit]:
    for metric, period, channel, agent, amount, hard in rows:
        yield Limit(Metric(metric), Period(period), amount, channel, agent, bool(hard), origin)


def _open_session(
    channel: str | None, agent: str | None, counts: int, started_at: str, open_until: str, *top_up_ids: int | None
) -> OpenSession:
    return OpenSession(channel, agent, bool(counts), moment_of(started_at), moment_of(open_until), *top_up_ids)


def _top_up(
    zone: ZoneInfo, pk: int, metric: str, amount: int, until: str | None, created_at: str, *drawn: int
) -> TopUpRow:
    ends = moment_of(until) if until else None
    return TopUpRow(pk, Metric(metric), amount, ends, moment_of(created_at).astimezone(zone).date(), Draw(*drawn))
