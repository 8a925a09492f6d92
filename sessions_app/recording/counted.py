"""What is made of a session: its use, sums and statements, brought in line with what was written."""

from datetime import datetime

from sessions_app.billing.past_months import note_past_months
from sessions_app.models import Session
from sessions_app.sums.late import note_late_writes
from sessions_app.usage.counting import Counts
from sessions_app.usage.drawn import record_drawn
from sessions_app.usage.used import record_change


def count_change(session: Session, before: Counts, started_before: datetime | None) -> None:
    """Bring all that is made of sessions in line with one that counted `before`, or say that it is not any more."""
    after = Counts.of(session)
    record_change(before.sums, after.sums)
    record_drawn(before.drawn, after.drawn)
    note_late_writes({started_before, session.started_at})
    note_past_months({**before.sums, **after.sums}, session.pk)
