"""The hand-written SQL of an ordinary begin and an ordinary end: one statement reads, one writes.

LiveTok waits for the answer, so what a decision depends on is read in one round trip, and in one snapshot: a call that
ends meanwhile is either open or recorded, never neither. What follows is written in another, which fails where another
begin of the customer came between. `statements` runs both.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from threading import Event
from typing import Any, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from django.db import connection, models

from customers.access import Access, zone_of
from customers.context import read_json, sound_context
from customers.limits import Limit, Metric, Period, effective_limits
from customers.models import Agent, Channel, Customer, LimitOverride, PhoneNumber, Policy, Tier, TierLimit
from customers.models.fields import ContextField
from sessions_app.database.prepared import IS_SQLITE, fetch
from sessions_app.database.quick_rows import stored_row
from sessions_app.database.snapshots import one_snapshot
from sessions_app.database.sqlite.steps import run_steps
from sessions_app.decision.rules import Usage
from sessions_app.livetok.events import SessionBegin, SessionEnd
from sessions_app.models import CustomerTurn, DailyUsage, Session, WebhookEvent
from sessions_app.periods import span_of
from sessions_app.spool.waiting import NOTHING, Waiting, WaitingBegin, begins_that_wait
from sessions_app.usage.used import (
    ADDING,
    PERIODS,
    RECORDED,
    RECORDED_SUMS,
    WITHIN_SPANS,
    Amount,
    OpenSession,
    UsageKey,
    contribution,
    days_of,
    usage_from,
    within,
)

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
    "flags",
)

Model = TypeVar("Model", bound=models.Model)
Field: TypeAlias = "models.Field[Any, Any]"
# Its name, the attribute whose value it has, and whether that is written as JSON.
Parameter: TypeAlias = tuple[str, str, bool]


@dataclass(frozen=True)
class Reading:
    """What a begin's decision depends on, at one moment.

    `is_known`: LiveTok's session id is stored already. `begins` is how many begins of the customer were decided before;
    None where there is no customer. `channel` and `agent` are None where this is their first sight. Where no limit in
    force is for one channel or agent, `usage` may have what was recorded as one row of neither.
    """

    is_known: bool
    access: Access
    channel: Channel | None
    agent: Agent | None
    usage: Usage
    begins: int | None


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


MOST_HINTS = 100_000
_zone_hints: dict[tuple[str, str] | None, ZoneInfo] = {}
# Whether this process has met a customer with a limit for one channel or agent. Until then usage is read as one sum,
# which for a customer who uses many of them takes half the time.
_limits_have_scopes = Event()


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
    by_scope = without is not None or _limits_have_scopes.is_set()
    rows = fetch(_reading_sql(caller.identity[0] if caller.identity else "", by_scope), parameters)
    if not rows:
        return None, zone
    is_known, policy, channel, agent, customer_row, tier_row, overrides, recorded, open_sessions, begins = rows[0]
    customer = _instance(Customer, CUSTOMER_COLUMNS, customer_row)
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
    if customer is not None and tier.tier is not None and access.zone == zone:
        usage = usage_from(
            (dict(zip(RECORDED, entry, strict=True)) for entry in json.loads(recorded or "[]")),
            [_open_session(*row) for row in json.loads(open_sessions or "[]")],
            event.at,
            spans,
            tier.tier.call_hold_minutes,
            within(contribution(without), customer.pk) if without else {},
            () if waiting is NOTHING else _not_stored(waiting.beside(event, customer.pk)),
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
    )
    return reading, access.zone if customer else zone


def _not_stored(begins: Sequence[WaitingBegin]) -> list[OpenSession]:
    names = [begin.session_id for begin in begins]
    stored = set(Session.objects.filter(session_id__in=names).values_list("session_id", flat=True)) if names else set()
    return [
        OpenSession(begin.channel, begin.agent, begin.counts_toward_call_minutes, begin.started_at, begin.open_until)
        for begin in begins
        if begin.session_id not in stored
    ]


@cache
def _reading_sql(known_by: str, by_scope: bool) -> str:
    customer_id = {
        "number": f"c.id = (SELECT customer_id FROM {_table(PhoneNumber)} WHERE key = %(phone_key)s)",
        "id": "c.external_id = %(external_id)s",
        "": "FALSE",
    }[known_by]
    policy = "unknown_callers" if known_by else "callers_without_number"
    scope, grouped = ("channel, agent", " GROUP BY channel, agent") if by_scope else ("'' AS channel, '' AS agent", "")
    limit = _array("metric", "period", "channel_id", "agent_id", "amount", "hard")
    tier_limits = f"SELECT {_all(limit)} FROM {_table(TierLimit)} WHERE tier_id = t.id"
    channels = f"SELECT {_all('channel_id')} FROM {_table(Tier.allowed_channels.through)} WHERE tier_id = t.id"
    begun = _array("channel_id", "agent_id", "counts_toward_call_minutes", "started_at", "open_until")
    return f"""
SELECT CAST(EXISTS (SELECT 1 FROM {_table(Session)} WHERE session_id = %(session_id)s AND is_test = %(is_test)s)
        AS integer),
    {_row("p", Policy, POLICY_COLUMNS)},
    {_row("ch", Channel, CHANNEL_COLUMNS)},
    {_row("a", Agent, AGENT_COLUMNS)},
    {_row("c", Customer, CUSTOMER_COLUMNS)},
    {_row("t", Tier, TIER_COLUMNS, _json(tier_limits), _json(channels))},
    CAST((SELECT {_all(limit)} FROM {_table(LimitOverride)} WHERE customer_id = c.id
        AND (valid_from IS NULL OR valid_from <= %(now)s) AND (valid_until IS NULL OR valid_until > %(now)s)) AS text),
    CAST((SELECT {_all(_array(*RECORDED))} FROM (
        SELECT {scope}, {RECORDED_SUMS} FROM {_table(DailyUsage)}
        WHERE customer_id = c.id AND {WITHIN_SPANS}{grouped}) AS used) AS text),
    CAST((SELECT {_all(begun)}
        FROM {_table(Session)} WHERE customer_id = c.id AND allowed AND end_received_at IS NULL
        AND declared_missing_at IS NULL AND NOT is_test AND open_until > %(now)s) AS text),
    turn.begins
FROM {_table(Policy)} AS p
LEFT JOIN {_table(Channel)} AS ch ON ch.slug = %(channel)s
LEFT JOIN {_table(Agent)} AS a ON a.livetok_id = %(agent)s
LEFT JOIN {_table(Customer)} AS c ON {customer_id}
LEFT JOIN {_table(Tier)} AS t ON t.id = COALESCE(c.tier_id, CASE p.{policy} WHEN 'serve' THEN p.{policy}_tier_id END)
LEFT JOIN {_table(CustomerTurn)} AS turn ON turn.customer_id = c.id
"""


def _array(*values: str) -> str:
    return f"{'json_array' if IS_SQLITE else 'json_build_array'}({', '.join(values)})"


def _all(value: str) -> str:
    """A JSON list of a value of every row; on PostgreSQL NULL where there is none."""
    return f"{'json_group_array' if IS_SQLITE else 'json_agg'}({value})"


def _json(value: str) -> str:
    """What is JSON already, a column or a query, as such: SQLite would take it for a text."""
    return f"json(({value}))" if IS_SQLITE else f"({value})"


def _row(alias: str, model: type[models.Model], names: Sequence[str], *more: str) -> str:
    """A row of a table, and what else belongs to it, as a JSON list; NULL where an outer join found none."""
    values = [
        _json(f"{alias}.{field.column}") if isinstance(field, models.JSONField) else f"{alias}.{field.column}"
        for field in _fields(model, *names)
    ]
    return f"CASE WHEN {alias}.{names[0]} IS NOT NULL THEN CAST({_array(*values, *more)} AS text) END"


def take_turn(customer_id: int) -> None:
    """Keep every other begin of the customer from being stored until the transaction ends, whatever it has read."""
    table = _table(CustomerTurn)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {table} (customer_id, begins) VALUES (%s, 1)
ON CONFLICT (customer_id) DO UPDATE SET begins = {table}.begins + 1""",
            [customer_id],
        )


def line_up(session_id: str) -> None:
    """Wait for every other transaction that has lined up for LiveTok's session id. On SQLite each waits for all others.

    To be called before any row is locked.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [session_id])


def read_end(event: SessionEnd) -> Session | None:
    """The one session that an end can be for: begun, not ended yet, alone with its id. None where it is less plain."""
    rows = fetch(_ending_sql(), {"session_id": event.session_id, "is_test": event.is_test})
    if len(rows) != 1:
        return None
    session = _instance(Session, END_COLUMNS, rows[0][0])
    assert session is not None
    if not session.has_begin or session.has_end:
        return None
    return session if event.caller.identity in (None, session.caller.identity) else None


@cache
def _ending_sql() -> str:
    return f"""SELECT {_row("s", Session, END_COLUMNS)} FROM {_table(Session)} AS s
WHERE session_id = %(session_id)s AND is_test = %(is_test)s LIMIT 2"""


def write_begin(session: Session, used: Mapping[UsageKey, Amount], event: WebhookEvent, begins: int | None) -> bool:
    """Store a begun session with what it counts and its event, all or nothing. Sets `session.pk`.

    False where another begin of the customer was decided since `begins` was read, or LiveTok's session id was stored
    meanwhile.
    """
    parameters = _values(SESSION_PARAMETERS, session)
    if begins is not None:
        parameters |= {"turn_customer_id": session.customer_id, "turn_begins": begins}
    session.pk = _write("begin", parameters, used, event)
    return session.pk is not None


def write_end(session: Session, used: Mapping[UsageKey, Amount], event: WebhookEvent, *, flags_before: str) -> bool:
    """Store an end with what it adds to the sums and its event, all or nothing.

    False where the session was ended, flagged or given to another customer since it was read.
    """
    parameters = _values(END_PARAMETERS, session) | {
        "session_id": session.pk,
        "session_customer_id": session.customer_id,
        "session_flags_before": flags_before,
    }
    return _write("end", parameters, used, event) is not None


def _write(kind: str, parameters: dict[str, Any], used: Mapping[UsageKey, Amount], event: WebhookEvent) -> int | None:
    """Run the steps that store a begin or an end; `parameters` are those of the first ones. Returns the session's id.

    None, with nothing stored, where one of them found what it depends on changed.
    """
    for number, (key, amount) in enumerate(used.items()):
        parameters |= {f"used{number}_{name}": value for name, value in (vars(key) | vars(amount)).items()}
    parameters |= _values(EVENT_PARAMETERS, event)
    steps = kind, "turn_begins" in parameters, len(used)
    if not IS_SQLITE:
        rows = fetch(_chained(*steps), parameters)
        return int(rows[0][0]) if rows else None
    if not run_steps(_one_by_one(*steps), parameters):
        return None
    return parameters.get("session_id") or _id_of(parameters)


def _steps(kind: str, takes_turn: bool, used: int) -> Iterator[tuple[str, str]]:
    """The statements by name; each happens only where the one before it that it depends on did."""
    if takes_turn:
        if not IS_SQLITE:
            yield "customer", _customer_sql()
        yield "turn", _turn_sql()
    if kind == "begin":
        inserting = _insert_sql("session", Session, SESSION_FIELDS, "turn" if takes_turn else "")
        yield "session", f"{inserting} ON CONFLICT (session_id, is_test, number) DO NOTHING"
    else:
        yield "session", _end_sql()
    for name in (f"used{number}" for number in range(used)):
        yield name, f"{_insert_sql(name, DailyUsage, USED_FIELDS, 'session')} {ADDING}"
    yield "event", _insert_sql("event", WebhookEvent, EVENT_FIELDS, "session")


@cache
def _chained(kind: str, takes_turn: bool, used: int) -> str:
    """One statement for PostgreSQL: atomic by itself, without a round trip to begin and one to commit."""
    returned = {"customer": "", "session": " RETURNING id"}
    parts = [f"{name} AS ({sql}{returned.get(name, ' RETURNING 1')})" for name, sql in _steps(kind, takes_turn, used)]
    return f"WITH {', '.join(parts)} SELECT id FROM session"


@cache
def _one_by_one(kind: str, takes_turn: bool, used: int) -> tuple[str, ...]:
    """For SQLite, which takes no data-changing parts in one statement."""
    return tuple(sql for _, sql in _steps(kind, takes_turn, used))


def _id_of(parameters: Mapping[str, Any]) -> int:
    key = [f"session_{column}" for column in ("session_id", "is_test", "number")]
    ((pk,),) = fetch(_id_sql(), {name: parameters[name] for name in key})
    return int(pk)


@cache
def _id_sql() -> str:
    return f"""SELECT id FROM {_table(Session)} WHERE session_id = %(session_session_id)s
AND is_test = %(session_is_test)s AND number = %(session_number)s"""


def _customer_sql() -> str:
    """The lock that foreign keys ask for in the end, taken first: a merge locks the customer before the sessions."""
    return f"SELECT id FROM {_table(Customer)} WHERE id = %(turn_customer_id)s FOR KEY SHARE"


def _turn_sql() -> str:
    table = _table(CustomerTurn)
    first = "VALUES (%(turn_customer_id)s, 1)" if IS_SQLITE else "SELECT id, 1 FROM customer"
    return f"""INSERT INTO {table} (customer_id, begins) {first}
ON CONFLICT (customer_id) DO UPDATE SET begins = {table}.begins + 1 WHERE {table}.begins = %(turn_begins)s"""


def _end_sql() -> str:
    changes = ", ".join(f"{field.column} = %(session_{field.column})s" for field in END_FIELDS)
    return f"""UPDATE {_table(Session)} SET {changes} WHERE id = %(session_id)s AND end_received_at IS NULL
AND COALESCE(customer_id, 0) = COALESCE(%(session_customer_id)s, 0) AND flags = %(session_flags_before)s"""


def _insert_sql(prefix: str, model: type[models.Model], fields: Sequence[Field], source: str) -> str:
    """An insert of one row; on PostgreSQL only where the step named `source` has made one."""
    columns = ", ".join(str(field.column) for field in fields)
    into = f"INSERT INTO {_table(model)} ({columns})"
    if IS_SQLITE:
        return f"{into} VALUES ({', '.join(f'%({prefix}_{field.column})s' for field in fields)})"
    # Outside VALUES, PostgreSQL does not take a parameter's type from the column.
    typed = ", ".join(f"%({prefix}_{field.column})s::{field.db_type(connection)}" for field in fields)
    return f"{into} SELECT {typed}" + (f" FROM {source}" if source else "")


def _values(parameters: Iterable[Parameter], row: models.Model) -> dict[str, Any]:
    values = row.__dict__
    return {
        name: json.dumps(values[attribute]) if is_json else values[attribute] for name, attribute, is_json in parameters
    }


def _parameters(prefix: str, fields: Iterable[Field]) -> list[Parameter]:
    return [(f"{prefix}_{field.column}", field.attname, isinstance(field, models.JSONField)) for field in fields]


def _instance(model: type[Model], names: tuple[str, ...], row: str | None) -> Model | None:
    """A row of `model` from a JSON list of its columns, its other fields deferred."""
    return None if row is None else _loaded(model, names, read_json(row))


def _loaded(model: type[Model], names: tuple[str, ...], values: Iterable[Any]) -> Model:
    attributes, readers = _readers(model, names)
    return stored_row(model, attributes, [read(value) for read, value in zip(readers, values, strict=True)])


@cache
def _readers(model: type[models.Model], names: tuple[str, ...]) -> tuple[list[str], list[Callable[[Any], Any]]]:
    fields = _fields(model, *names)
    return [field.attname for field in fields], [_reader(field) for field in fields]


def _reader(field: Field) -> Callable[[Any], Any]:
    if isinstance(field, models.DateTimeField):
        return lambda value: value and _moment(value)
    if isinstance(field, models.BooleanField):
        return lambda value: None if value is None else bool(value)
    if isinstance(field, ContextField):
        return sound_context
    return lambda value: value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
        _loaded(Tier, TIER_COLUMNS, columns),
        effective_limits(_limits(limits or (), "tier"), ()),
        frozenset(channels or ()),
    )


@lru_cache(maxsize=16)
def _policy(row: str) -> Policy:
    policy = _instance(Policy, POLICY_COLUMNS, row)
    assert policy is not None
    return policy


@lru_cache(maxsize=1024)
def _channel(row: str | None) -> Channel | None:
    return _instance(Channel, CHANNEL_COLUMNS, row)


@lru_cache(maxsize=1024)
def _agent(row: str | None) -> Agent | None:
    return _instance(Agent, AGENT_COLUMNS, row)


def _overridden(limits: tuple[Limit, ...], overrides: list[Sequence[Any]]) -> tuple[Limit, ...]:
    return effective_limits(limits, _limits(overrides, "override")) if overrides else limits


def _limits(rows: Iterable[Sequence[Any]], origin: str) -> Iterable[Limit]:
    for metric, period, channel, agent, amount, hard in rows:
        yield Limit(Metric(metric), Period(period), amount, channel, agent, bool(hard), origin)


def _open_session(channel: str | None, agent: str | None, counts: int, started_at: str, open_until: str) -> OpenSession:
    return OpenSession(channel, agent, bool(counts), _moment(started_at), _moment(open_until))


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table


@cache
def _fields(model: type[models.Model], *names: str) -> tuple[Field, ...]:
    by_column = {field.column: field for field in model._meta.concrete_fields}
    return tuple(by_column[name] for name in names)


def _all_but_id(model: type[models.Model]) -> tuple[Field, ...]:
    return tuple(field for field in model._meta.concrete_fields if field.name != "id")


SESSION_FIELDS = _all_but_id(Session)
EVENT_FIELDS = _all_but_id(WebhookEvent)
USED_FIELDS = _all_but_id(DailyUsage)
END_FIELDS = _fields(
    Session,
    "end_received_at",
    "end_stated_at",
    "end_body",
    "end_route",
    "stated_seconds",
    "ended_at",
    "duration_seconds",
    "flags",
)
SESSION_PARAMETERS = _parameters("session", SESSION_FIELDS)
END_PARAMETERS = _parameters("session", END_FIELDS)
EVENT_PARAMETERS = _parameters("event", EVENT_FIELDS)
