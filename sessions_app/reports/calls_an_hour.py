"""How many calls come in an hour, for whoever is about to turn all of them away."""

from datetime import datetime, timedelta

from customers.zones import company_zone
from sessions_app.models import Session

WEEKS_COMPARED = 4
HOUR = timedelta(hours=1)


def calls_an_hour(now: datetime) -> tuple[int, float | None]:
    """Sessions that began in the hour until `now`, and the mean of this hour in past weeks.

    A week without a call in it counts, one that was over before the first call of all does not; None without a week.
    """
    local = now.astimezone(company_zone()).replace(tzinfo=None)
    # Weeks back by the clock on the wall: across daylight saving it is the same hour of the day.
    ends = [(local - timedelta(weeks=weeks)).replace(tzinfo=company_zone()) for weeks in range(1, WEEKS_COMPARED + 1)]
    first = (
        Session.objects.filter(is_test=False).order_by("started_at", "pk").values_list("started_at", flat=True).first()
    )
    counts = [_begun_in_hour(end) for end in ends if first is not None and first < end]
    return _begun_in_hour(now), sum(counts) / len(counts) if counts else None


def _begun_in_hour(end: datetime) -> int:
    return Session.objects.filter(started_at__gte=end - HOUR, started_at__lt=end, is_test=False).count()
