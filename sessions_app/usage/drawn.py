"""What sessions draw on top-ups: from a session's row, as a sum for each top-up, and what is left of those."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import F
from django.db.models.functions import Coalesce

from customers.limits import Metric
from customers.models import TopUp
from sessions_app.decision.rules import Balance
from sessions_app.models import Session, TopUpUse


@dataclass(frozen=True)
class Draw:
    sessions: int = 0
    call_seconds: int = 0

    def __add__(self, other: "Draw") -> "Draw":
        return Draw(self.sessions + other.sessions, self.call_seconds + other.call_seconds)

    def __neg__(self) -> "Draw":
        return Draw(-self.sessions, -self.call_seconds)


def drawn_by(session: Session) -> dict[int, Draw]:
    """What a session draws on each top-up, from its row alone; nothing while it is open, but a session of one of these.

    Its decision says on which. Whatever counts nothing draws nothing.
    """
    if session.is_test or session.customer_id is None or session.is_denied:
        return {}
    drawn: dict[int, Draw] = {}
    if session.sessions_top_up_id is not None:
        drawn[session.sessions_top_up_id] = Draw(sessions=1)
    if session.minutes_top_up_id is not None:
        seconds = session.counted_seconds if session.counts_toward_call_minutes else 0
        drawn[session.minutes_top_up_id] = Draw(call_seconds=seconds)
    return drawn


def drawn_between(before: Mapping[int, Draw], after: Mapping[int, Draw]) -> dict[int, Draw]:
    """What has to be added to the sums, in one order, so that two at once do not wait for each other.

    Nothing, too, for a top-up that is drawn on from now on, so that it has a sum.
    """
    changes = {pk: after.get(pk, Draw()) + -before.get(pk, Draw()) for pk in sorted({**before, **after})}
    return {pk: change for pk, change in changes.items() if change != Draw() or pk not in before}


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


@dataclass(frozen=True)
class TopUpRow:
    """A top-up with what was recorded of it. `made_on` is a day of the customer's."""

    pk: int
    metric: Metric
    amount: int
    valid_until: datetime | None
    made_on: date
    recorded: Draw


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


class Draws:
    """What is drawn on top-ups, being put together from what was recorded and what is open."""

    def __init__(self, left_out: Mapping[int, Draw]) -> None:
        self.sessions: dict[int, int] = defaultdict(int)
        self.seconds: dict[int, float] = defaultdict(float)
        for pk, draw in left_out.items():
            self.sessions[pk] -= draw.sessions
            self.seconds[pk] -= draw.call_seconds

    def count(self, top_up_id: int | None) -> None:
        """A session that is in no sum yet."""
        if top_up_id is not None:
            self.sessions[top_up_id] += 1

    def hold(self, top_up_id: int | None, elapsed_seconds: float, hold_seconds: int) -> None:
        """An open session holds all of its time, on whichever days it is."""
        if top_up_id is not None:
            self.seconds[top_up_id] += max(elapsed_seconds, hold_seconds)

    def balances(self, top_ups: Iterable[TopUpRow]) -> tuple[Balance, ...]:
        """In the order in which sessions draw on them: the one that ends soonest first, then the one added first."""
        return tuple(
            Balance(row.pk, row.metric, row.amount, self._drawn(row), row.made_on)
            for row in sorted(top_ups, key=lambda row: (*_ends(row.valid_until), row.pk))
        )

    def _drawn(self, row: TopUpRow) -> float:
        if row.metric is Metric.SESSIONS:
            return row.recorded.sessions + self.sessions[row.pk]
        return row.recorded.call_seconds + self.seconds[row.pk]


def _ends(valid_until: datetime | None) -> tuple[bool, float]:
    return valid_until is None, valid_until.timestamp() if valid_until else 0
