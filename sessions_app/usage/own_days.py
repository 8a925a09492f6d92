"""Sessions by the days of the time zones that they are counted in, which need not be the company's."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Case, Count, DateTimeField, DurationField, ExpressionWrapper, F, Q, When
from django.db.models.lookups import GreaterThan

from sessions_app.models import SessionQuerySet
from sessions_app.periods import local_day, starts_at
from sessions_app.sums.counting import TIMED
from sessions_app.sums.peaks import LONGEST

# No zone is further from UTC.
FURTHEST_ZONE = timedelta(hours=16)

_DURATION = ExpressionWrapper(F("duration_seconds") * timedelta(seconds=1), output_field=DurationField())
# When a session with a duration that counts ended, by it.
ENDS = ExpressionWrapper(F("started_at") + _DURATION, output_field=DateTimeField())


def count_on_own_days(sessions: SessionQuerySet, first: date, after: date) -> int:
    """How many of the sessions start on the days [first, after) in their own time zones, in one statement."""
    start, end = (datetime.combine(day, time.min, tzinfo=UTC) for day in (first, after))
    near = sessions.filter(started_at__gte=start - FURTHEST_ZONE, started_at__lt=end + FURTHEST_ZONE)
    # Away from the edges a day is the same in every zone: NULL puts those sessions into one row a zone, and only
    # sessions at the edges get one for each start.
    certain = When(started_at__gte=start + FURTHEST_ZONE, started_at__lt=end - FURTHEST_ZONE, then=None)
    edge = Case(certain, default=F("started_at"), output_field=DateTimeField())
    rows = near.order_by().values_list("time_zone", edge).annotate(Count("pk"))
    return sum(count for name, at, count in rows if at is None or first <= local_day(at, ZoneInfo(name)) < after)


def on_own_days(
    sessions: SessionQuerySet, stretches: Sequence[tuple[date, date]], *, reaching: bool = False
) -> SessionQuerySet:
    """Those of the sessions that start on the days [first, after) of each stretch, in their own time zones.

    With `reaching`, those too whose counted time goes on into one of the stretches.
    """
    # Not `Q()`, which without a stretch would let all sessions through.
    near, certain, edges = Q(pk__in=[]), Q(pk__in=[]), Q(pk__in=[])
    for first, after in stretches:
        start, end = (datetime.combine(day, time.min, tzinfo=UTC) for day in (first, after))
        earliest = start - FURTHEST_ZONE - (LONGEST if reaching else timedelta())
        near |= Q(started_at__gte=earliest, started_at__lt=end + FURTHEST_ZONE)
        # Away from its edges, a stretch is the same in every zone.
        certain |= Q(started_at__gte=start + FURTHEST_ZONE, started_at__lt=end - FURTHEST_ZONE)
        edges |= Q(started_at__gte=earliest, started_at__lt=start + FURTHEST_ZONE)
        edges |= Q(started_at__gte=end - FURTHEST_ZONE, started_at__lt=end + FURTHEST_ZONE)
    found = sessions.filter(near)
    within = certain
    for name in sessions.filter(edges).order_by().values_list("time_zone", flat=True).distinct():
        zone = ZoneInfo(name)
        for first, after in stretches:
            start = starts_at(first, zone)
            begun = Q(started_at__gte=start)
            if reaching:
                begun |= TIMED & Q(GreaterThan(ENDS, start))
            within |= Q(begun, time_zone=name, started_at__lt=starts_at(after, zone))
    return found.filter(within)
