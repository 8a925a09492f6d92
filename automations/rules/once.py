"""Of firings, the new ones are stored: a unique row decides, whoever else fires the same at once."""

from collections.abc import Sequence

from django.db import connection

from automations.models import Firing

AT_ONCE = 100

_COLUMNS = [field for field in Firing._meta.concrete_fields if not field.primary_key]


def insert_new(firings: Sequence[Firing]) -> int:
    """Store those that are not there yet, and give them alone their ids. Returns how many.

    The ORM can leave out what is there, but not say then what it stored. Always in one order: of two transactions
    that insert the same, one waits for the other, and never both.
    """
    ordered = sorted(firings, key=_identity)
    ids: dict[tuple[int, str, int], int] = {}
    for start in range(0, len(ordered), AT_ONCE):
        ids |= _inserted(ordered[start : start + AT_ONCE])
    for firing in firings:
        firing.pk = ids.get(_identity(firing))
    return len(ids)


def _identity(firing: Firing) -> tuple[int, str, int]:
    return firing.rule_id, firing.subject, firing.threshold


def _inserted(firings: Sequence[Firing]) -> dict[tuple[int, str, int], int]:
    places = f"({', '.join(['%s'] * len(_COLUMNS))})"
    statement = (
        f"INSERT INTO {Firing._meta.db_table} ({', '.join(str(column.column) for column in _COLUMNS)}) "
        f"VALUES {', '.join([places] * len(firings))} "
        "ON CONFLICT (rule_id, subject, threshold) DO NOTHING RETURNING id, rule_id, subject, threshold"
    )
    values = [
        column.get_db_prep_save(getattr(firing, column.attname), connection)
        for firing in firings
        for column in _COLUMNS
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return {(rule, subject, threshold): pk for pk, rule, subject, threshold in cursor.fetchall()}
