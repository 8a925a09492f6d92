"""From when on sessions can be recounted: those of before may have been deleted by age (`recording.pruning`)."""

from datetime import date, datetime, timedelta

from customers.zones import company_zone
from sessions_app.models import SumsMark
from sessions_app.periods import local_day

# Zones are up to sixteen hours apart, and a session takes a day at most: so much later, no sum has a part in it that
# is gone.
REACH = timedelta(days=3)


def sessions_since() -> datetime | None:
    """All that started from then on is there; None where nothing was ever deleted."""
    return SumsMark.objects.values_list("sessions_since", flat=True).first()


def first_whole_day(since: datetime) -> date:
    """The first day of any time zone all of whose use can be recounted."""
    return local_day(since + REACH, company_zone())


def is_month_whole(first_day: date, since: datetime | None) -> bool:
    """Whether all sessions of a month that starts then are there, whatever zone they are counted in."""
    return since is None or first_day >= local_day(since + timedelta(days=1), company_zone())
