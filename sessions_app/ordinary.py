"""The hand-written SQL of an ordinary begin and an ordinary end: one statement reads, one writes.

LiveTok waits for the answer, so what a decision depends on is read in one round trip, and in one snapshot: a call that
ends meanwhile is either open or recorded, never neither. What follows is written in another, which fails where another
begin of the customer came between. On PostgreSQL both are prepared, which Django's cursors are not.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

import psycopg
from django.db import connection, models, transaction

from customers.access import Access, zone_of
from customers.limits import Limit, Metric, Period, effective_limits
from customers.models import Agent, Channel, Customer, LimitOverride, PhoneNumber, Policy, Tier, TierLimit
from sessions_app.decision import Usage
from sessions_app.events import SessionBegin, SessionEnd
from sessions_app.models import CustomerTurn, DailyUsage, Session, WebhookEvent
from sessions_app.periods import span_of
from sessions_app.usage import PERIODS, Amount, OpenSession, UsageKey, contribution, usage_from, within

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
SUMMED = ("sessions", "call_seconds")
RECORDED = ("channel", "agent", *(f"{column}_{period}" for column in SUMMED for period in PERIODS))

Model = TypeVar("Model", bound=models.Model)
Field: TypeAlias = "models.Field[Any, Any]"


@dataclass(frozen=True)
class Reading:
    """What a begin's decision depends on, at one moment.

    `is_known`: LiveTok's session id is stored already. `begins` is how many begins of the customer were decided before;
    None where there is no customer. `channel` and `agent` are None where this is their first sight.
    """

    is_known: bool
    access: Access
    channel: Channel | None
    agent: Agent | None
    usage: Usage
    begins: int | None


def read_begin(event: SessionBegin, *, without: Session | None = None) -> Reading | None:
    """Read all that decides a begin, in one statement. None before first-run set-up.

    `without` is a stored session, ended already, whose own use does not count.
    """
    caller = event.caller.identity
    zone = _zone_hints.get(caller) or zone_of(None)
    reading, true_zone = _read_begin(event, zone, without)
    # The days to add up depend on the customer's zone, which only the statement tells: it was another one last time.
    while true_zone != zone:
        if len(_zone_hints) >= MOST_HINTS:
            _zone_hints.clear()
        _zone_hints[caller] = zone = true_zone
        reading, true_zone = _read_begin(event, zone, without)
    return reading


MOST_HINTS = 100_000
_zone_hints: dict[tuple[str, str] | None, ZoneInfo] = {}


def _read_begin(event: SessionBegin, zone: ZoneInfo, without: Session | None) -> tuple[Reading | None, ZoneInfo]:
    caller = event.caller
    spans = {period: span_of(period, event.at, zone) for period in PERIODS}
    parameters: dict[str, Any] = {
        "session_id": event.session_id,
        "is_test": event.is_test,
        "channel": event.channel,
        "agent": event.agent,
        "phone_key": caller.phone_key,
        "external_id": caller.external_id,
        "now": _moment_in(event.at),
        "first_day": _day_in(min(span.first_day for span in spans.values())),
        "after_last_day": _day_in(max(span.after_last_day for span in spans.values())),
    }
    for period, span in spans.items():
        parameters[f"{period}_from"] = _day_in(span.first_day)
        parameters[f"{period}_until"] = _day_in(span.after_last_day)
    rows = _fetch(_reading_sql(connection.vendor, caller.identity[0] if caller.identity else ""), parameters)
    if not rows:
        return None, zone
    columns = iter(rows[0])
    is_known = bool(next(columns))
    policy = _instance(Policy, POLICY_COLUMNS, columns)
    channel = _instance(Channel, CHANNEL_COLUMNS, columns)
    agent = _instance(Agent, AGENT_COLUMNS, columns)
    customer = _instance(Customer, CUSTOMER_COLUMNS, columns)
    tier = _instance(Tier, TIER_COLUMNS, columns)
    limits, overrides, channels, recorded, open_sessions = (_document(next(columns)) or [] for _ in range(5))
    begins = next(columns)
    assert policy is not None
    access = Access(
        policy=policy,
        customer=customer,
        tier=tier,
        limits=effective_limits(_limits(limits, "tier"), _limits(overrides, "override")),
        allowed_channels=frozenset(channels),
    )
    usage = Usage()
    if customer is not None and tier is not None and access.zone == zone:
        usage = usage_from(
            (dict(zip(RECORDED, entry, strict=True)) for entry in recorded),
            _open_sessions(open_sessions),
            event.at,
            spans,
            tier.call_hold_minutes,
            within(contribution(without), customer.pk) if without else {},
        )
    reading = Reading(is_known, access, channel, agent, usage, (begins or 0) if customer else None)
    return reading, access.zone if customer else zone


@cache
def _reading_sql(vendor: str, known_by: str) -> str:
    aggregate, array = {
        "postgresql": ("json_agg", "json_build_array"),
        "sqlite": ("json_group_array", "json_array"),
    }[vendor]
    customer_id = {
        "number": f"c.id = (SELECT customer_id FROM {_table(PhoneNumber)} WHERE key = %(phone_key)s)",
        "id": "c.external_id = %(external_id)s",
        "": "FALSE",
    }[known_by]
    policy = "unknown_callers" if known_by else "callers_without_number"
    within = "FILTER (WHERE day >= %({period}_from)s AND day < %({period}_until)s)"
    sums = ", ".join(
        f"COALESCE(SUM({column}) {within.format(period=period)}, 0) AS {column}_{period}"
        for column in SUMMED
        for period in PERIODS
    )
    limit = "metric, period, channel_id, agent_id, amount, hard"
    return f"""
SELECT EXISTS (SELECT 1 FROM {_table(Session)} WHERE session_id = %(session_id)s AND is_test = %(is_test)s),
    {_columns("p", POLICY_COLUMNS)}, {_columns("ch", CHANNEL_COLUMNS)}, {_columns("a", AGENT_COLUMNS)},
    {_columns("c", CUSTOMER_COLUMNS)}, {_columns("t", TIER_COLUMNS)},
    (SELECT {aggregate}({array}({limit})) FROM {_table(TierLimit)} WHERE tier_id = t.id),
    (SELECT {aggregate}({array}({limit})) FROM {_table(LimitOverride)} WHERE customer_id = c.id
        AND (valid_from IS NULL OR valid_from <= %(now)s) AND (valid_until IS NULL OR valid_until > %(now)s)),
    (SELECT {aggregate}(channel_id) FROM {_table(Tier.allowed_channels.through)} WHERE tier_id = t.id),
    (SELECT {aggregate}({array}({", ".join(RECORDED)})) FROM (
        SELECT channel, agent, {sums} FROM {_table(DailyUsage)}
        WHERE customer_id = c.id AND day >= %(first_day)s AND day < %(after_last_day)s
        GROUP BY channel, agent) AS used),
    (SELECT {aggregate}({array}(channel_id, agent_id, counts_toward_call_minutes, started_at, open_until))
        FROM {_table(Session)} WHERE customer_id = c.id AND allowed AND end_received_at IS NULL
        AND declared_missing_at IS NULL AND NOT is_test AND open_until > %(now)s),
    turn.begins
FROM {_table(Policy)} AS p
LEFT JOIN {_table(Channel)} AS ch ON ch.slug = %(channel)s
LEFT JOIN {_table(Agent)} AS a ON a.livetok_id = %(agent)s
LEFT JOIN {_table(Customer)} AS c ON {customer_id}
LEFT JOIN {_table(Tier)} AS t ON t.id = COALESCE(c.tier_id, CASE p.{policy} WHEN 'serve' THEN p.{policy}_tier_id END)
LEFT JOIN {_table(CustomerTurn)} AS turn ON turn.customer_id = c.id
"""


def take_turn(customer_id: int) -> None:
    """Keep every other begin of the customer from being stored until the transaction ends, whatever it has read."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {_table(CustomerTurn)} AS kept (customer_id, begins) VALUES (%s, 1)
ON CONFLICT (customer_id) DO UPDATE SET begins = kept.begins + 1""",
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
    rows = _fetch(_ending_sql(), {"session_id": event.session_id, "is_test": event.is_test})
    if len(rows) != 1:
        return None
    session = _instance(Session, END_COLUMNS, iter(rows[0]))
    assert session is not None
    if not session.has_begin or session.has_end:
        return None
    return session if event.caller.identity in (None, session.caller.identity) else None


@cache
def _ending_sql() -> str:
    return f"""SELECT {_columns("s", END_COLUMNS)} FROM {_table(Session)} AS s
WHERE session_id = %(session_id)s AND is_test = %(is_test)s LIMIT 2"""


def write_begin(session: Session, used: Mapping[UsageKey, Amount], event: WebhookEvent, begins: int | None) -> bool:
    """Store a begun session with what it counts and its event, all or nothing. Sets `session.pk`.

    False where another begin of the customer was decided since `begins` was read, or LiveTok's session id was stored
    meanwhile.
    """
    parameters = {"session": _values("session", SESSION_FIELDS, session)}
    if begins is not None:
        parameters["turn"] = {"turn_customer_id": session.customer_id, "turn_begins": begins}
    session.pk = _write("begin", parameters, used, event)
    return session.pk is not None


def write_end(session: Session, used: Mapping[UsageKey, Amount], event: WebhookEvent, *, flags_before: str) -> bool:
    """Store an end with what it adds to the sums and its event, all or nothing.

    False where the session was ended, flagged or given to another customer since it was read.
    """
    parameters = _values("session", END_FIELDS, session) | {
        "session_id": session.pk,
        "session_customer_id": session.customer_id,
        "session_flags_before": flags_before,
    }
    return _write("end", {"session": parameters}, used, event) is not None


def _write(
    kind: str, parameters: dict[str, dict[str, Any]], used: Mapping[UsageKey, Amount], event: WebhookEvent
) -> int | None:
    """Run the steps that store a begin or an end; `parameters` are those of the first ones, by step."""
    takes_turn = "turn" in parameters
    for number, (key, amount) in enumerate(used.items()):
        values = {**vars(key), **vars(amount), "day": _day_in(key.day)}
        parameters[f"used{number}"] = {f"used{number}_{name}": value for name, value in values.items()}
    parameters["event"] = _values("event", EVENT_FIELDS, event)
    steps = _writing_sql(connection.vendor, kind, takes_turn, len(used))
    if connection.vendor == "postgresql":
        rows = _fetch(_chained(steps), {name: value for step in parameters.values() for name, value in step.items()})
        return int(rows[0][0]) if rows else None
    return _run_in_turn(steps, parameters)


@cache
def _writing_sql(vendor: str, kind: str, takes_turn: bool, used: int) -> tuple[tuple[str, str], ...]:
    """The steps by name; each happens only where the one before it that it depends on did."""
    steps = []
    if takes_turn:
        if vendor == "postgresql":
            steps.append(("customer", _customer_sql()))
        steps.append(("turn", _turn_sql("customer" if steps else "")))
    if kind == "begin":
        source = "turn" if takes_turn else ""
        inserting = _insert_sql(vendor, "session", Session, SESSION_FIELDS, source)
        steps.append(("session", f"{inserting} ON CONFLICT (session_id, is_test, number) DO NOTHING"))
    else:
        steps.append(("session", _end_sql()))
    names = [f"used{number}" for number in range(used)]
    steps += [(name, _insert_sql(vendor, name, DailyUsage, USED_FIELDS, "session") + _ADDING) for name in names]
    steps.append(("event", _insert_sql(vendor, "event", WebhookEvent, EVENT_FIELDS, "session")))
    return tuple(steps)


@cache
def _chained(steps: tuple[tuple[str, str], ...]) -> str:
    """One statement for PostgreSQL: atomic by itself, without a round trip to begin and one to commit."""
    returned = {"customer": "", "session": " RETURNING id"}
    parts = [f"{name} AS ({sql}{returned.get(name, ' RETURNING 1')})" for name, sql in steps]
    return f"WITH {', '.join(parts)} SELECT id FROM session"


def _run_in_turn(steps: Iterable[tuple[str, str]], parameters: dict[str, dict[str, Any]]) -> int | None:
    """One by one for SQLite, which takes no data-changing parts in one statement."""
    written: int | None = None
    with transaction.atomic(), connection.cursor() as cursor:
        for name, sql in steps:
            cursor.execute(sql, parameters[name])
            if cursor.rowcount == 0:
                return None  # at most a turn was taken for nothing, which does no harm
            if name == "session":
                written = parameters[name].get("session_id", cursor.lastrowid)
    return written


def _customer_sql() -> str:
    """The lock that foreign keys ask for in the end, taken first: a merge locks the customer before the sessions."""
    return f"SELECT id FROM {_table(Customer)} WHERE id = %(turn_customer_id)s FOR KEY SHARE"


def _turn_sql(source: str) -> str:
    first = f"SELECT id, 1 FROM {source}" if source else "VALUES (%(turn_customer_id)s, 1)"
    return f"""INSERT INTO {_table(CustomerTurn)} AS kept (customer_id, begins) {first}
ON CONFLICT (customer_id) DO UPDATE SET begins = kept.begins + 1 WHERE kept.begins = %(turn_begins)s"""


def _end_sql() -> str:
    changes = ", ".join(f"{field.column} = %(session_{field.column})s" for field in END_FIELDS)
    return f"""UPDATE {_table(Session)} SET {changes} WHERE id = %(session_id)s AND end_received_at IS NULL
AND COALESCE(customer_id, 0) = COALESCE(%(session_customer_id)s, 0) AND flags = %(session_flags_before)s"""


_ADDING = """ ON CONFLICT (customer_id, day, channel, agent) DO UPDATE SET sessions = kept.sessions + excluded.sessions,
seconds = kept.seconds + excluded.seconds, call_seconds = kept.call_seconds + excluded.call_seconds"""


def _insert_sql(vendor: str, prefix: str, model: type[models.Model], fields: Sequence[Field], source: str) -> str:
    """An insert of one row; on PostgreSQL only where the step named `source` has made one."""
    columns = ", ".join(str(field.column) for field in fields)
    into = f"INSERT INTO {_table(model)} AS kept ({columns})"
    if vendor == "sqlite":
        return f"{into} VALUES ({', '.join(f'%({prefix}_{field.column})s' for field in fields)})"
    # Outside VALUES, PostgreSQL does not take a parameter's type from the column.
    typed = ", ".join(f"%({prefix}_{field.column})s::{field.db_type(connection)}" for field in fields)
    return f"{into} SELECT {typed}" + (f" FROM {source}" if source else "")


def _fetch(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement, prepared where the database prepares."""
    if connection.vendor != "postgresql" or connection.queries_logged:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(sql, parameters, prepare=True).fetchall()


def _values(prefix: str, fields: Iterable[Field], row: models.Model) -> dict[str, Any]:
    return {f"{prefix}_{field.column}": _stored(field, getattr(row, field.attname)) for field in fields}


def _stored(field: Field, value: Any) -> Any:
    if isinstance(field, models.JSONField):
        return json.dumps(value)
    if isinstance(field, models.DateTimeField):
        return _moment_in(value)
    return value


def _moment_in(value: datetime | None) -> Any:
    return (
        value if value is None or connection.vendor == "postgresql" else connection.ops.adapt_datetimefield_value(value)
    )


def _day_in(value: date) -> Any:
    return value if connection.vendor == "postgresql" else value.isoformat()


def _instance(model: type[Model], names: Sequence[str], columns: Iterator[Any]) -> Model | None:
    """A row of `model` from the next columns, its other fields deferred; None where an outer join found none."""
    values = [next(columns) for _ in names]
    if values[0] is None:
        return None
    fields = _fields(model, *names)
    return model.from_db(
        connection.alias,
        [field.attname for field in fields],
        [_loaded(*pair) for pair in zip(fields, values, strict=True)],
    )


def _loaded(field: Field, value: Any) -> Any:
    if isinstance(field, models.JSONField):
        return _document(value)
    if isinstance(field, models.DateTimeField) and value is not None:
        return _moment_out(value)
    return value


def _moment_out(value: str | datetime) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _document(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _limits(rows: Iterable[Sequence[Any]], origin: str) -> Iterator[Limit]:
    for metric, period, channel, agent, amount, hard in rows:
        yield Limit(Metric(metric), Period(period), amount, channel, agent, bool(hard), origin)


def _open_sessions(rows: Iterable[Sequence[Any]]) -> Iterator[OpenSession]:
    for channel, agent, counts, started_at, open_until in rows:
        yield OpenSession(channel, agent, bool(counts), _moment_out(started_at), _moment_out(open_until))


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table


def _columns(alias: str, names: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


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
