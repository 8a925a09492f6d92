"""How many customers are at their limit, for home: of very many, counted at most every five minutes in a process."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from customers.models import Customer
from sessions_app.reports.customers import MOST_SUMMED_AT_ONCE, customer_figures
from sessions_app.reports.frame.figures import Figure
from sessions_app.reports.frame.pages import report
from sessions_app.usage.shares import group_sizes

# Home is opened all day by everybody, and of 100,000 customers it takes seconds of the database's time.
KEPT_FOR = timedelta(minutes=5)


@dataclass
class _Kept:
    at: datetime
    figures: list[Figure]


_lock = threading.Lock()
_kept: _Kept | None = None


@report
def limit_figures(request: HttpRequest) -> HttpResponseBase:
    """A part of a page, which says when it was counted, where that may not be just now."""
    now = timezone.now()
    if Customer.objects.count() <= MOST_SUMMED_AT_ONCE:
        return render(request, "reports/_figures.html", {"figures": _count(now)})
    kept = _kept_at()
    return render(request, "reports/_figures.html", {"figures": kept.figures, "counted_at": kept.at})


def _kept_at() -> _Kept:
    global _kept
    old = _kept
    # While one counts, others get what was counted last: waiting, they would take places that pages need.
    if not _lock.acquire(blocking=old is None):
        assert old is not None
        return old
    try:
        now = timezone.now()
        if _kept is None or not timedelta(0) <= now - _kept.at < KEPT_FOR:
            _kept = _Kept(now, _count(now))
        return _kept
    finally:
        _lock.release()


def _count(now: datetime) -> list[Figure]:
    return customer_figures(group_sizes(now), now)
