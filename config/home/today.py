"""What home says of today: whether LiveTok reaches us, today beside the same time last week, who is denied and why.

All of it comes from kept sums and from indexes: it takes as long with ten million sessions as with ten.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, QueryDict
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from sessions_app.database.snapshots import one_snapshot
from sessions_app.models import Session
from sessions_app.periods import ONE_WEEK, same_time_on, starts_at
from sessions_app.reports.frame.figures import NOTHING, Figure, number_words
from sessions_app.reports.frame.ranges import Stretch
from sessions_app.reports.overview.figures import (
    OpenSessions,
    allow_rate,
    allow_rate_words,
    figures_of,
    missing_ends,
    open_sessions,
)
from sessions_app.reports.overview.filters import OverviewFilters
from sessions_app.reports.overview.shares import ShareLine, denied_reasons
from sessions_app.reports.webhook.channels import NEWEST_HEARD, Heard
from sessions_app.reports.webhook.figures import other_figures
from sessions_app.reports.webhook.silence import SILENCE_DEFINITION, silence_at
from sessions_app.sums.counting import Sums
from sessions_app.sums.reading import kept, sums_between
from sessions_app.wording import duration_words

# Of many sessions it takes too long to count them, and home has no place to wait for it.
CALLERS = "Unique callers"
HEARD_DEFINITION = (
    f"By our clock, test traffic included, as far as the newest {NEWEST_HEARD} requests and sessions tell."
)


class TodayFilters(OverviewFilters):
    """Today so far, beside the same time of the same weekday a week ago."""

    @property
    def compared(self) -> Stretch:
        day = self.range.first_day - ONE_WEEK
        return Stretch(starts_at(day, self.zone), same_time_on(day, self.now, self.zone))


@dataclass(frozen=True)
class Today:
    """`missing` are the sessions of the last seven days whose end did not come."""

    figures: list[Figure]
    reasons: list[ShareLine]
    weekday: str
    missing: int
    missing_address: str


def read_today(now: datetime) -> Today:
    today, week = TodayFilters(QueryDict("period=today"), now), OverviewFilters(QueryDict("period=7d"), now)
    for filters in (today, week):
        filters.is_valid()
    with one_snapshot():
        known = kept()
        sums = sums_between(today.range.starts_at, today.range.ends_before, known)
        before = sums_between(today.compared.starts_at, today.compared.ends_before, known)
        are_open, missing = open_sessions(today), _missing_since(week.range.starts_at, now)
    shown = [figure for figure in figures_of(sums, before, None, today, are_open) if figure.label != CALLERS]
    if before.total.sessions or Session.objects.filter(started_at__lt=today.compared.ends_before).order_by().exists():
        shown = [_beside(figure, before, are_open) for figure in shown]
    else:  # nobody was there to count, so nothing is new
        shown = [replace(figure, change="", change_kind="", note="") for figure in shown]
    return Today(
        shown,
        denied_reasons(sums, today),
        f"{today.range.first_day:%A}",
        missing,
        week.address(state="missing_end"),
    )


def _missing_since(start: datetime, now: datetime) -> int:
    """The sessions that started since then and miss their end, counted among those that have none."""
    found = Session.objects.in_state(Session.State.MISSING_END, now).filter(is_test=False, started_at__gte=start)
    # A session misses its end later than it starts: so the small index of sessions without an end bounds them.
    return found.filter(missing_from__gt=start).count()


def _beside(figure: Figure, before: Sums, are_open: OpenSessions) -> Figure:
    """With what it was a week ago."""
    then = {
        "Sessions": number_words(before.total.sessions),
        "Allow rate": allow_rate_words(allow_rate(before)),
        "Minutes": number_words(before.total.seconds / 60),
        "Denied": number_words(before.denied),
        "Missing ends": number_words(missing_ends(before, are_open.before)),
    }.get(figure.label)
    return figure if then is None else replace(figure, note=f"{then} a week ago")


def reach_context(request: HttpRequest, heard: Heard, now: datetime) -> dict[str, Any]:
    """Whether LiveTok reaches us."""
    today = TodayFilters(QueryDict("period=today"), now)
    today.is_valid()
    return {
        "silence": silence_at(now),
        "silence_definition": SILENCE_DEFINITION,
        "reach": [
            _heard_figure("Last begin", heard.begin, now),
            _heard_figure("Last end", heard.end, now),
            *other_figures(today.range, request.user),
        ],
    }


def _heard_figure(label: str, at: datetime | None, now: datetime) -> Figure:
    address = reverse("reports:webhook")
    if at is None:
        return Figure(label, NOTHING, HEARD_DEFINITION, address, note="none in the newest sessions")
    ago = max(timedelta(0), now - at)
    # To the minute: seconds would be old before they are read.
    words = f"{duration_words(int(ago.total_seconds()) // 60 * 60)} ago" if ago >= timedelta(minutes=1) else "just now"
    if ago >= timedelta(days=2):
        words = f"{ago.days} day{pluralize(ago.days)} ago"
    return Figure(label, words, HEARD_DEFINITION, address, note=date_format(timezone.localtime(at), "D j M Y, H:i:s"))
