"""The requests that the page looks at, and where the admin's log has them."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse

from sessions_app.models import WebhookEvent
from sessions_app.reports.frame.ranges import DayRange


@dataclass(frozen=True)
class Requests:
    """The requests that the page looks at: since `since`, which is later than asked for where there are too many."""

    found: QuerySet[WebhookEvent]
    since: datetime
    is_cut: bool


def requests_within(days: DayRange, *, with_test: bool, most: int) -> Requests:
    """At most so many, the newest."""
    found = WebhookEvent.objects.filter(received_at__gte=days.starts_at, received_at__lt=days.ends_before)
    if not with_test:
        found = found.filter(is_test=False)
    newest = found.order_by("-received_at").values_list("received_at", flat=True)
    too_old = next(iter(newest[most : most + 1]), None)
    if too_old is None:
        return Requests(found, days.starts_at, is_cut=False)
    return Requests(found.filter(received_at__gt=too_old), too_old, is_cut=True)


@dataclass(frozen=True)
class Events:
    """The admin's log of the requests that the page looks at."""

    within: Requests
    days: DayRange
    with_test: bool

    def address(self, verdict: str = "") -> str:
        return self.between(self.within.since, self.days.ends_before, verdict)

    def between(self, start: datetime, end: datetime, verdict: str = "") -> str:
        # Where the page had to cut, `since` itself is left out.
        after = "received_at__gt" if self.within.is_cut and start <= self.within.since else "received_at__gte"
        query = {after: max(start, self.within.since).isoformat(), "received_at__lt": end.isoformat()}
        if verdict:
            query["verdict__exact"] = verdict
        if not self.with_test:
            query["is_test__exact"] = "0"
        return f"{reverse('admin:sessions_app_webhookevent_changelist')}?{urlencode(query)}"
