"""The figures at the top of the overview, each beside what it was in the days before."""

from dataclasses import dataclass

from django.db.models import Count, Q

from sessions_app.models import STATE_CONDITIONS, DayCell, Session
from sessions_app.reports.frame.figures import (
    NOTHING,
    Figure,
    change_percent,
    change_words,
    kind_of_change,
    number_words,
    points_words,
    sessions_address,
    share_words,
)
from sessions_app.reports.frame.ranges import Stretch
from sessions_app.reports.list.conditions import ADMITTING
from sessions_app.reports.overview.filters import OverviewFilters
from sessions_app.sums.counting import Sums
from sessions_app.sums.narrowed import Scope, narrowed_callers
from sessions_app.sums.reading import Kept, callers_between

DEFINITIONS = {
    "sessions": "All that began in these days, denied ones among them. A session belongs to the hour and day in which "
    "it starts, in the company's time zone; one that was delivered again counts once.",
    "allow_rate": "Sessions let in, of those let in and those denied. Sessions of which only the end came were never "
    "decided and count on neither side, nor do those that were denied and took place all the same.",
    "minutes": "The durations of sessions that have ended, as LiveTok states them, added up and not rounded. Missing, "
    "negative ones and those over 24 hours are not counted. A session over midnight counts whole where it starts.",
    "callers": "Different callers with a session in these days: customers, and callers who are none by their number or "
    "LiveTok's customer id. Sessions that name nobody are left out. Counted exactly, not estimated.",
    "open": "Sessions that were let in, whose end has not come, and that are within their channel's longest session. "
    "As of now, whatever the days above; so there is nothing to compare it with.",
    "denied": "Sessions that were not let in. One that LiveTok reports a duration of all the same did take place and "
    "is not among them.",
    "missing": "Sessions that were let in and whose end did not come within their channel's longest session, or that "
    "staff declared so. A true end that comes later still counts, and takes them off this figure.",
}


@dataclass(frozen=True)
class OpenSessions:
    """How many are open now: all of them, those that began in these days, and those of the days compared with."""

    everywhere: int
    within: int
    before: int


def open_sessions(filters: OverviewFilters) -> OpenSessions:
    found = Session.objects.filter(STATE_CONDITIONS[Session.State.OPEN.value](filters.now))
    if filters.is_test is not None:
        found = found.filter(is_test=filters.is_test)
    if filters.scope is not None:
        found = found.filter(filters.scope.of_sessions)
    counts = found.aggregate(
        everywhere=Count("pk"),
        within=Count("pk", filter=_started_in(filters.range.stretch)),
        before=Count("pk", filter=_started_in(filters.compared)),
    )
    return OpenSessions(**counts)


def _started_in(stretch: Stretch) -> Q:
    return Q(started_at__gte=stretch.starts_at, started_at__lt=stretch.ends_before)


def figures_of(
    sums: Sums, before: Sums, callers: Figure | None, filters: OverviewFilters, are_open: OpenSessions
) -> list[Figure]:
    """Of these days and those before. `callers` None: too many to count them at once, the page asks for them later."""
    total, total_before = sums.total, before.total
    missing, missing_before = missing_ends(sums, are_open.within), missing_ends(before, are_open.before)
    return [
        _amount("Sessions", "sessions", total.sessions, total_before.sessions, filters.address()),
        _allow_rate_figure(allow_rate(sums), allow_rate(before), filters),
        _amount("Minutes", "minutes", total.seconds / 60, total_before.seconds / 60, filters.address(counted=True)),
        callers or Figure("Unique callers", "", DEFINITIONS["callers"], filters.address()),
        Figure(
            "Open now",
            number_words(are_open.everywhere),
            DEFINITIONS["open"],
            sessions_address(**filters.narrowed_to, open_now=True, test=filters.cleaned_data["test"]),
            numbers=(("Value", are_open.everywhere),),
        ),
        _amount("Denied", "denied", sums.denied, before.denied, filters.address(state="denied"), more_is_good=False),
        _amount(
            "Missing ends",
            "missing",
            missing,
            missing_before,
            filters.address(state="missing_end"),
            more_is_good=False,
        ),
    ]


def callers_figure(filters: OverviewFilters, known: Kept) -> Figure:
    current, before = (
        callers_between(stretch.starts_at, stretch.ends_before, known, is_test=filters.is_test)
        for stretch in (filters.range.stretch, filters.compared)
    )
    return _amount("Unique callers", "callers", current, before, filters.address(named=True))


def narrowed_callers_figure(filters: OverviewFilters, scope: Scope) -> Figure:
    """Of few sessions: it looks at each."""
    current, before = (
        narrowed_callers(stretch.starts_at, stretch.ends_before, scope, is_test=filters.is_test)
        for stretch in (filters.range.stretch, filters.compared)
    )
    return _amount("Unique callers", "callers", current, before, filters.address(named=True))


def allow_rate(sums: Sums) -> float | None:
    """From 0 to 1; None where nothing was decided."""
    allowed = sums.of(lambda cell: cell.reason in ADMITTING).sessions
    decided = allowed + sums.denied
    return allowed / decided if decided else None


def allow_rate_words(rate: float | None) -> str:
    return NOTHING if rate is None else share_words(rate, 1)


def _allow_rate_figure(rate: float | None, before: float | None, filters: OverviewFilters) -> Figure:
    return Figure(
        "Allow rate",
        allow_rate_words(rate),
        DEFINITIONS["allow_rate"],
        filters.address(decision="allowed"),
        change=points_words(rate, before),
        change_kind=kind_of_change(rate, before, more_is_good=True),
        numbers=(
            ("Value (%)", percent_of_rate(rate)),
            ("Change (percentage points)", None if rate is None or before is None else round(100 * (rate - before), 1)),
        ),
    )


def percent_of_rate(rate: float | None) -> float | None:
    return None if rate is None else round(100 * rate, 1)


def _amount(
    label: str, name: str, current: float, before: float, address: str, *, more_is_good: bool | None = None
) -> Figure:
    return Figure(
        label,
        number_words(current),
        DEFINITIONS[name],
        address,
        change=change_words(current, before),
        change_kind=kind_of_change(current, before, more_is_good=more_is_good),
        numbers=(("Value", round(current, 2)), ("Change (%)", change_percent(current, before))),
    )


def missing_ends(sums: Sums, are_open: int) -> int:
    """Sums know no clock: what has no end in them is open still, as `are_open` of them are, or missing its end."""
    return sums.of(lambda cell: cell.outcome == DayCell.Outcome.NO_END).sessions - are_open
