"""How long LiveTok's requests are kept, and what billing does not need. Sessions and usage are kept for good."""

from collections.abc import Callable
from datetime import datetime

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Length

from sessions_app.database.pieces import delete_in_pieces
from sessions_app.models import OF_NO_SESSION, PastMonthWrite, StatementMonth, WebhookEvent

ShouldStop = Callable[[], bool]

MOST_OF_NO_SESSION = 1_000_000
MEASURED_AT_ONCE = 5000


def delete_events(received_before: datetime, should_stop: ShouldStop = lambda: False) -> int:
    """Delete events by age, oldest first. Returns how many."""
    return delete_in_pieces(
        WebhookEvent.objects.filter(received_at__lt=received_before).order_by("received_at"), should_stop
    )


def delete_events_of_no_session(
    most_bytes: int, should_stop: ShouldStop = lambda: False, *, most: int = MOST_OF_NO_SESSION
) -> int:
    """Delete ignored and rejected events, oldest first, until `most` are left, with bodies of `most_bytes` together.

    Whoever has a key can bring any number of them; others belong to sessions, which are kept anyway. Returns how many.
    """
    # By id rather than time: the order of storing is right whatever the clock says.
    events = WebhookEvent.objects.filter(_of_no_session())
    newest_too_many = _newest_too_many(most_bytes, most, should_stop)
    if newest_too_many is None:
        return 0
    return delete_in_pieces(events.filter(pk__lte=newest_too_many).order_by("pk"), should_stop)


def _newest_too_many(most_bytes: int, most: int, should_stop: ShouldStop) -> int | None:
    """The event from which on older ones are too much, counted from the newest; None where all may stay.

    The length of a body is known without reading it. Some at a time: nothing of the database is held between.
    """
    measured = WebhookEvent.objects.filter(_of_no_session()).order_by("-pk")
    older, events, size = measured, 0, 0
    while not should_stop():
        rows = list(older.values_list("pk", Coalesce(Length("body"), 0))[:MEASURED_AT_ONCE])
        for pk, body_bytes in rows:
            events, size = events + 1, size + body_bytes
            if events > most or size > most_bytes:
                return pk
        if len(rows) < MEASURED_AT_ONCE:
            break
        older = measured.filter(pk__lt=rows[-1][0])
    return None


def _of_no_session() -> RawSQL:
    """Those of the partial index: SQLite uses it only where the statement spells the verdicts out as it does."""
    verdicts = ", ".join(f"'{verdict}'" for verdict in OF_NO_SESSION)
    column = f"{WebhookEvent._meta.db_table}.verdict"
    return RawSQL(f"{column} IN ({verdicts})", (), BooleanField())  # noqa: S611 - nothing of it comes from outside


def delete_writes_nobody_billed(should_stop: ShouldStop = lambda: False) -> int:
    """Take the months that were not closed off the list of past months' writes. Returns how many rows.

    Whoever closes one of them counts its sessions later than this, with all that the list says.
    """
    billed = StatementMonth.objects.values("pk")
    return delete_in_pieces(PastMonthWrite.objects.exclude(month__in=billed).order_by("pk"), should_stop)
