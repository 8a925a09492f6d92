"""What a list of sessions comes to, so that it can be told whether it is what a figure said."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, Sum
from django.template.defaultfilters import pluralize

from sessions_app.models import SessionQuerySet
from sessions_app.periods import seconds_by_day
from sessions_app.reports.frame.figures import number_words
from sessions_app.reports.list.filters import SessionFilters
from sessions_app.reports.list.search import MOST_FOUND
from sessions_app.sums.callers import caller_number
from sessions_app.sums.counting import TIMED

# Beyond this many, a list says that there are more.
MOST_COUNTED = MOST_FOUND


@dataclass(frozen=True)
class Total:
    """`sessions` is one more than `MOST_COUNTED` where there are more; then nothing else is counted."""

    sessions: int
    seconds: int = 0
    callers: int | None = None
    is_exact: bool = True

    @property
    def sessions_words(self) -> str:
        if not self.is_exact:
            return f"More than {MOST_COUNTED:,} sessions"
        return f"{self.sessions:,} session{pluralize(self.sessions)}"

    @property
    def more_words(self) -> str:
        """Minutes and callers, where they are counted."""
        if not self.is_exact:
            return ""
        callers = "" if self.callers is None else f", {self.callers:,} caller{pluralize(self.callers)}"
        return f"{number_words(self.seconds / 60, 1)} minutes{callers}"


def total_of(filters: SessionFilters, found: SessionQuerySet) -> Total:
    """Exactly where sums or a short count tell, else that there are many."""
    amounts = filters.amounts_from_sums()
    if amounts is not None:
        return Total(amounts.sessions, amounts.seconds)
    sessions, seconds = _counted(filters, found)
    if sessions > MOST_COUNTED:
        return Total(sessions, is_exact=False)
    if filters.cleaned_data["reaching"]:
        seconds = _seconds_within(filters, found)
    callers = _callers(found) if filters.cleaned_data["named"] else None
    return Total(sessions, seconds, callers)


def _counted(filters: SessionFilters, found: SessionQuerySet) -> tuple[int, int]:
    """How many sessions, up to one more than `MOST_COUNTED`, and their seconds."""
    if filters.search is not None:  # it has counted them
        rows = filters.search.rows
        return (MOST_COUNTED + 1, 0) if rows is None else (len(rows), sum(seconds for _, seconds in rows.values()))
    # Without an order PostgreSQL may read the table from its beginning, all that is older than the days first; SQLite
    # goes by the best index, which an order would keep it from.
    order = ("-started_at", "-pk") if connection.vendor == "postgresql" else ()
    some = found.order_by(*order)[: MOST_COUNTED + 1]
    counted = some.aggregate(sessions=Count("pk"), seconds=Sum("duration_seconds", filter=TIMED, default=0))
    return counted["sessions"], counted["seconds"]


def _seconds_within(filters: SessionFilters, found: SessionQuerySet) -> int:
    """Of the days alone, as limits count them."""
    first, after = filters.own_stretch
    seconds = 0
    for session in found.order_by().filter(TIMED).only("started_at", "duration_seconds", "time_zone"):
        seconds += sum(
            of_day
            for day, of_day in seconds_by_day(session.started_at, session.duration_seconds or 0, session.zone).items()
            if first <= day < after
        )
    return seconds


def _callers(found: SessionQuerySet) -> int:
    rows = found.order_by().values_list("customer_id", "phone_key", "external_id").distinct()
    return len({caller_number(*row) for row in rows})
