"""An ordinary begin or end, stored with what it counts and its event: one statement, all or nothing.

It fails where another begin of the customer came between reading and writing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any, Literal, TypeAlias

from django.db import connection, models

from customers.models import Customer
from sessions_app.billing.past_months import note_past_months
from sessions_app.database.prepared import IS_SQLITE, djangos_transaction, execute, fetch
from sessions_app.database.sqlite.steps import run_steps
from sessions_app.models import CustomerTurn, DailyUsage, Session, TopUpUse, WebhookEvent
from sessions_app.models.packed import PackedField
from sessions_app.recording.columns import Field, all_but_id, fields_of, table_of
from sessions_app.recording.hooks import Happening, awaited_now, hooked_rows
from sessions_app.recording.log import Outcome
from sessions_app.recording.rows import Rows
from sessions_app.sums.late import note_late_write
from sessions_app.usage import drawn
from sessions_app.usage.used import ADDING

# Its name, the attribute whose value it has, and what makes of that what is stored; None where it is stored as it is.
Parameter: TypeAlias = tuple[str, str, Callable[[Any], Any] | None]


def take_turn(customer_id: int) -> None:
    """Keep every other begin of the customer from being stored until the transaction ends, whatever it has read."""
    table = table_of(CustomerTurn)
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


def write_begin(rows: Rows) -> Outcome | None:
    """Store a session that has begun with what it counts and its event. Sets the session's `pk`.

    None, with nothing stored, where another begin of the customer was decided since `rows.begins` was read, or
    LiveTok's session id was stored meanwhile.
    """
    parameters = _values(SESSION_PARAMETERS, rows.session)
    if rows.begins is not None:
        parameters |= {"turn_customer_id": rows.session.customer_id, "turn_begins": rows.begins}
    return _write("begin", parameters, rows)


def write_end(rows: Rows) -> Outcome | None:
    """Store an end with what it adds to the sums and its event.

    None, with nothing stored, where the session was ended, flagged or given to another customer since it was read.
    """
    parameters = _values(END_PARAMETERS, rows.session) | {
        "session_id": rows.session.pk,
        "session_customer_id": rows.session.customer_id,
        "session_flags_before": rows.flags_before,
    }
    return _write("end", parameters, rows)


def write_hooked(happening: Happening) -> None:
    """Store the rows that SESSION_EVENT_HOOKS have for an event, in the transaction of what it did."""
    for model, values in hooked_rows(happening, awaited_now()):
        execute(_insert_sql("hook", model, all_but_id(model), ""), _prefixed("hook", values))


def _write(kind: Literal["begin", "end"], parameters: dict[str, Any], rows: Rows) -> Outcome | None:
    with djangos_transaction() if rows.is_late else nullcontext():
        pk = _run(kind, parameters, rows)
        if pk is None:
            return None
        rows.session.pk = pk
        if rows.is_late:
            note_late_write(rows.session.started_at)
            note_past_months(rows.counts_in, pk)
    return Outcome(rows.session, rows.event)


def _run(kind: Literal["begin", "end"], parameters: dict[str, Any], rows: Rows) -> int | None:
    """Run the steps that store a begin or an end; `parameters` are those of the first ones. Returns the session's id.

    None, with nothing stored, where one of them found what it depends on changed.
    """
    for number, (key, amount) in enumerate(rows.change.items()):
        parameters |= _prefixed(f"used{number}", vars(key) | vars(amount))
    for number, (pk, draw) in enumerate(rows.drawn.items()):
        parameters |= _prefixed(f"drawn{number}", {"top_up_id": pk, **vars(draw), **NONE_DELETED})
    parameters |= _values(EVENT_PARAMETERS, rows.event)
    hooked = hooked_rows(Happening(kind, rows.session, rows.event.received_at), rows.awaited)
    for number, (_, values) in enumerate(hooked):
        parameters |= _prefixed(f"hook{number}", values)
    sums = len(rows.change), len(rows.drawn)
    steps = kind, "turn_begins" in parameters, sums, tuple(model for model, _ in hooked)
    if not IS_SQLITE:
        found = fetch(_chained(*steps), parameters)
        return int(found[0][0]) if found else None
    if not run_steps(_one_by_one(*steps), parameters):
        return None
    # An end has its row's id as `session_id`; of a begin, LiveTok's own id is `session_session_id`.
    return parameters.get("session_id") or _id_of(parameters)


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """By the names that `_insert_sql` gives them."""
    return {f"{prefix}_{name}": value for name, value in values.items()}


def _steps(
    kind: str, takes_turn: bool, sums: tuple[int, int], hooked: tuple[type[models.Model], ...]
) -> Iterator[tuple[str, str]]:
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
    used, draws = sums
    for name in (f"used{number}" for number in range(used)):
        yield name, f"{_insert_sql(name, DailyUsage, USED_FIELDS, 'session')} {ADDING}"
    for name in (f"drawn{number}" for number in range(draws)):
        yield name, f"{_insert_sql(name, TopUpUse, DRAWN_FIELDS, 'session')} {drawn.ADDING}"
    yield "event", _insert_sql("event", WebhookEvent, EVENT_FIELDS, "session")
    for name, model in ((f"hook{number}", model) for number, model in enumerate(hooked)):
        yield name, _insert_sql(name, model, all_but_id(model), "session")


@cache
def _chained(kind: str, takes_turn: bool, sums: tuple[int, int], hooked: tuple[type[models.Model], ...]) -> str:
    """One statement for PostgreSQL: atomic by itself, without a round trip to begin and one to commit."""
    returned = {"customer": "", "session": " RETURNING id"}
    steps = _steps(kind, takes_turn, sums, hooked)
    parts = [f"{name} AS ({sql}{returned.get(name, ' RETURNING 1')})" for name, sql in steps]
    return f"WITH {', '.join(parts)} SELECT id FROM session"


@cache
def _one_by_one(
    kind: str, takes_turn: bool, sums: tuple[int, int], hooked: tuple[type[models.Model], ...]
) -> tuple[str, ...]:
    """For SQLite, which takes no data-changing parts in one statement."""
    return tuple(sql for _, sql in _steps(kind, takes_turn, sums, hooked))


def _id_of(parameters: Mapping[str, Any]) -> int:
    key = [f"session_{column}" for column in ("session_id", "is_test", "number")]
    ((pk,),) = fetch(_id_sql(), {name: parameters[name] for name in key})
    return int(pk)


@cache
def _id_sql() -> str:
    return f"""SELECT id FROM {table_of(Session)} WHERE session_id = %(session_session_id)s
AND is_test = %(session_is_test)s AND number = %(session_number)s"""


def _customer_sql() -> str:
    """The lock that foreign keys ask for in the end, taken first: a merge locks the customer before the sessions."""
    return f"SELECT id FROM {table_of(Customer)} WHERE id = %(turn_customer_id)s FOR KEY SHARE"


def _turn_sql() -> str:
    table = table_of(CustomerTurn)
    first = "VALUES (%(turn_customer_id)s, 1)" if IS_SQLITE else "SELECT id, 1 FROM customer"
    return f"""INSERT INTO {table} (customer_id, begins) {first}
ON CONFLICT (customer_id) DO UPDATE SET begins = {table}.begins + 1 WHERE {table}.begins = %(turn_begins)s"""


def _end_sql() -> str:
    # COALESCE, since NULL equals nothing; no customer has the id 0.
    changes = ", ".join(f"{field.column} = %(session_{field.column})s" for field in END_FIELDS)
    return f"""UPDATE {table_of(Session)} SET {changes} WHERE id = %(session_id)s AND end_received_at IS NULL
AND COALESCE(customer_id, 0) = COALESCE(%(session_customer_id)s, 0) AND flags = %(session_flags_before)s"""


def _insert_sql(prefix: str, model: type[models.Model], fields: Sequence[Field], source: str) -> str:
    """An insert of one row; on PostgreSQL only where the step named `source` has made one."""
    columns = ", ".join(str(field.column) for field in fields)
    into = f"INSERT INTO {table_of(model)} ({columns})"
    if IS_SQLITE:
        return f"{into} VALUES ({', '.join(f'%({prefix}_{field.column})s' for field in fields)})"
    # Outside VALUES, PostgreSQL does not take a parameter's type from the column.
    typed = ", ".join(f"%({prefix}_{field.column})s::{field.db_type(connection)}" for field in fields)
    return f"{into} SELECT {typed}" + (f" FROM {source}" if source else "")


def _values(parameters: Iterable[Parameter], row: models.Model) -> dict[str, Any]:
    values = row.__dict__
    return {
        name: values[attribute] if made is None else made(values[attribute]) for name, attribute, made in parameters
    }


def _parameters(prefix: str, fields: Iterable[Field]) -> list[Parameter]:
    return [(f"{prefix}_{field.column}", field.attname, _made_by(field)) for field in fields]


def _made_by(field: Field) -> Callable[[Any], Any] | None:
    if isinstance(field, PackedField):
        return field.get_prep_value
    return json.dumps if isinstance(field, models.JSONField) else None


SESSION_FIELDS = all_but_id(Session)
EVENT_FIELDS = all_but_id(WebhookEvent)
USED_FIELDS = all_but_id(DailyUsage)
DRAWN_FIELDS = all_but_id(TopUpUse)
NONE_DELETED = {"deleted_sessions": 0, "deleted_call_seconds": 0}
END_FIELDS = fields_of(
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
