"""How long nothing has come, and whether that is unusual."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.template.defaultfilters import pluralize

from customers.zones import company_zone
from sessions_app.models import WebhookEvent
from sessions_app.reports.frame.figures import NOTHING, number_words
from sessions_app.webhook.playing import of_livetok
from sessions_app.wording import duration_words

WEEKS_COMPARED = 4
# With so many expected and none come, chance explains one silence in a thousand.
EXPECTED_FOR_ALARM = 7
SILENCE_DEFINITION = (
    "How long ago the last authenticated request came, test traffic included, but not what staff play on the page Try, "
    f"against the mean of this weekday and hour in up to {WEEKS_COMPARED} past weeks, as far as requests are kept. "
    f"Unusual: at that rate more than {EXPECTED_FOR_ALARM} should have come meanwhile, which by chance happens once in "
    "a thousand times."
)


@dataclass(frozen=True)
class Silence:
    """`usual_per_hour` is None where no past week can tell."""

    last: datetime | None
    minutes: float
    usual_per_hour: float | None
    weeks: int

    @property
    def is_unusual(self) -> bool:
        return self.usual_per_hour is not None and self.usual_per_hour * self.minutes / 60 > EXPECTED_FOR_ALARM

    @property
    def words(self) -> str:
        return NOTHING if self.last is None else duration_words(int(self.minutes) * 60) if self.minutes >= 1 else "now"

    @property
    def usual_words(self) -> str:
        if self.usual_per_hour is None:
            return "no past week to compare with yet"
        weeks = f"{self.weeks} week{pluralize(self.weeks)}"
        return f"usually {number_words(self.usual_per_hour, 1)} an hour now ({weeks})"


def silence_at(now: datetime) -> Silence:
    """How long nothing has come, and what this weekday and hour usually brings."""
    # One by one, since for both at once SQLite goes through all of them.
    first, last = (
        of_livetok(WebhookEvent.objects.order_by(order)).values_list("received_at", flat=True).first()
        for order in ("received_at", "-received_at")
    )
    if first is None or last is None:
        return Silence(None, 0, None, 0)
    zone = company_zone()
    hour = now.astimezone(zone).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    kept_from = max(first, now - timedelta(days=settings.EVENT_RETENTION_DAYS))
    counts = []
    for weeks in range(1, WEEKS_COMPARED + 1):
        # Weeks back by the clock on the wall: across daylight saving it is the same hour of the day.
        starts = (hour - timedelta(weeks=weeks)).replace(tzinfo=zone)
        if starts >= kept_from:
            within = WebhookEvent.objects.filter(received_at__gte=starts, received_at__lt=starts + timedelta(hours=1))
            counts.append(within.count())
    usual = sum(counts) / len(counts) if counts else None
    return Silence(last, max(0.0, (now - last).total_seconds() / 60), usual, len(counts))
