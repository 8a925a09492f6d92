"""Counting requests without a valid key: per hour, with the last address."""

from datetime import datetime

from django.db.models import F

from sessions_app.models import RefusedRequests
from sessions_app.webhook.hourly import HourlyCounter


def write_refused(hour: datetime, count: int, address: str, last_at: datetime) -> None:
    row, is_new = RefusedRequests.objects.get_or_create(
        hour=hour, defaults={"count": count, "last_address": address, "last_at": last_at}
    )
    if not is_new:
        stored = RefusedRequests.objects.filter(pk=row.pk)
        stored.update(count=F("count") + count, last_address=address, last_at=last_at)


refused_requests = HourlyCounter(write_refused)


def count_refused(address: str) -> None:
    """For requests to the API, which cannot import this."""
    refused_requests.count(address)
