"""What sessions draw on top-ups: a sum for each, and reading it back."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import F
from django.db.models.functions import Coalesce

from customers.limits import Metric
from customers.models import TopUp
from sessions_app.models import Session, TopUpUse
from sessions_app.usage.counting import Draw, TopUpRow, drawn_between, drawn_by

_TABLE = TopUpUse._meta.db_table
# What follows an insert on both databases.
ADDING = f"""ON CONFLICT (top_up_id) DO UPDATE SET sessions = {_TABLE}.sessions + excluded.sessions,
    call_seconds = {_TABLE}.call_seconds + excluded.call_seconds"""
_ADD = f"""INSERT INTO {_TABLE} (top_up_id, sessions, call_seconds, deleted_sessions, deleted_call_seconds)
VALUES (%s, %s, %s, 0, 0) {ADDING}"""


def record_drawn(before: Mapping[int, Draw], after: Mapping[int, Draw]) -> None:
    """Bring the sums from what a session drew `before` to what it draws `after`, in the caller's transaction."""
    with connection.cursor() as cursor:
        for pk, change in drawn_between(before, after).items():
            cursor.execute(_ADD, [pk, change.sessions, change.call_seconds])


def keep_drawn_by_deleted(sessions: Iterable[Session]) -> None:
    """Of sessions that are about to be deleted by age, what they drew stays drawn. In the caller's transaction."""
    drawn: dict[int, Draw] = defaultdict(Draw)
    for session in sessions:
        for pk, draw in drawn_by(session).items():
            drawn[pk] += draw
    for pk, draw in sorted(drawn.items()):
        TopUpUse.objects.filter(pk=pk).update(
            deleted_sessions=F("deleted_sessions") + draw.sessions,
            deleted_call_seconds=F("deleted_call_seconds") + draw.call_seconds,
        )


def valid_top_ups(zones: Mapping[int, ZoneInfo], now: datetime) -> dict[int, list[TopUpRow]]:
    """Those of each customer, given with their zones, that are valid at `now` (LiveTok's clock)."""
    found: dict[int, list[TopUpRow]] = defaultdict(list)
    rows = TopUp.objects.valid_at(now).filter(customer__in=list(zones)).order_by()
    columns = ("customer_id", "pk", "metric", "amount", "valid_until", "created_at")
    drawn = (Coalesce("use__sessions", 0), Coalesce("use__call_seconds", 0))
    for customer_id, pk, metric, amount, valid_until, created_at, *recorded in rows.values_list(*columns, *drawn):
        made_on = created_at.astimezone(zones[customer_id]).date()
        found[customer_id].append(TopUpRow(pk, Metric(metric), amount, valid_until, made_on, Draw(*recorded)))
    return found
