"""Writes to sessions of an earlier hour, which the sums hold already or may be about to hold.

A write to a session that starts in the hour that is running, or later, needs no word: the worker sums an hour only
once every transaction that may have taken it for the running one has ended (`sums.keeping`).
"""

from collections.abc import Iterable
from datetime import datetime

from django.utils import timezone

from customers.zones import company_zone
from sessions_app.models import LateWrite
from sessions_app.periods import hour_of


def is_late(started_at: datetime, our_now: datetime) -> bool:
    """Whether a session that starts then is of an earlier hour. `our_now` must be read just before it is written."""
    return started_at < hour_of(our_now, company_zone()).starts_at


def note_late_write(started_at: datetime) -> None:
    """Put an hour on the worker's list, in the transaction that writes a session of it."""
    LateWrite(started_at=started_at).save(force_insert=True)


def note_late_writes(started_at: Iterable[datetime | None]) -> None:
    """The same for the starts of several sessions, as they were before and are now, where they are late."""
    now, zone = timezone.now(), company_zone()
    hours = {hour_of(moment, zone).starts_at for moment in started_at if moment is not None and is_late(moment, now)}
    for hour in sorted(hours):
        note_late_write(hour)
