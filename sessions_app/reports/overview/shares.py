"""Shares: what each channel, tier and agent has of the sessions, and each reason of the denied ones."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sessions_app.models import DayCell
from sessions_app.reports.frame.export import Row
from sessions_app.reports.frame.figures import number_words, share_words
from sessions_app.reports.frame.range_filters import WITHOUT
from sessions_app.reports.overview.figures import allow_rate, allow_rate_words, percent_of_rate
from sessions_app.reports.overview.filters import NarrowedFilters, OverviewFilters
from sessions_app.sums.counting import Sums
from sessions_app.wording import reason_words

# By what: the table's title, and the head of its first column.
TABLES = {"channel": ("By channel", "Channel"), "tier": ("By tier", "Tier then"), "agent": ("By agent", "Agent")}


@dataclass(frozen=True)
class ShareLine:
    """A part of some sessions. `percent` is the share as a number, 0 to 100."""

    name: str
    sessions: int
    share: str
    percent: float
    address: str


@dataclass(frozen=True)
class Line:
    """One line of a table of shares: the sessions of a channel, tier or agent, and what became of them.

    The addresses of one that is deleted by now are blank: no page can be asked for it.
    """

    name: str
    page_address: str
    sessions: int
    share: str
    percent: float
    denied: int
    allow_rate: str
    minutes: str
    address: str
    denied_address: str
    allowed_address: str
    minutes_address: str
    seconds: int
    allow_percent: float | None

    def rows(self, table: str) -> Iterator[Row]:
        yield table, self.name, "Sessions", self.sessions
        yield table, self.name, "Share (%)", self.percent
        yield table, self.name, "Denied", self.denied
        yield table, self.name, "Allow rate (%)", self.allow_percent
        yield table, self.name, "Minutes", round(self.seconds / 60, 2)


@dataclass(frozen=True)
class Table:
    """`total` is how many lines there are, of which these are the largest."""

    by: str
    title: str
    head: str
    lines: list[Line]
    total: int

    def rows(self) -> Iterator[Row]:
        for line in self.lines:
            yield from line.rows(self.title)


@dataclass(frozen=True)
class Shares:
    """`reasons_total` is how many reasons there are, of which `reasons` are the most frequent."""

    tables: list[Table]
    reasons: list[ShareLine]
    reasons_total: int

    def rows(self) -> Iterator[Row]:
        """As lines of the file."""
        for table in self.tables:
            yield from table.rows()
        for reason in self.reasons:
            yield "Denied by reason", reason.name, "Sessions", reason.sessions


def shares_of(sums: Sums, filters: NarrowedFilters, wanted: slice) -> Shares:
    """Of each table the `wanted` lines of all, the largest first."""
    reasons = denied_reasons(sums, filters)
    return Shares([_table(sums, by, filters, wanted) for by in TABLES], reasons[wanted], len(reasons))


def _table(sums: Sums, by: str, filters: NarrowedFilters, wanted: slice) -> Table:
    title, head = TABLES[by]
    known: dict[Any, tuple[str, str]]
    if by == "channel":
        known = {channel.pk: (str(channel), channel.pk) for channel in filters.channels}
    elif by == "tier":
        known = {tier.pk: (tier.name, tier.slug) for tier in filters.tiers}
    else:
        known = {agent.pk: (str(agent), agent.pk) for agent in filters.agents}
    groups = _groups(sums, by)
    return Table(by, title, head, list(_lines(groups[wanted], by, known, filters, sums.total.sessions)), len(groups))


def share_line(name: str, sessions: int, whole: int, address: str) -> ShareLine:
    return ShareLine(name, sessions, share_words(sessions, whole), percent_of(sessions, whole), address)


def percent_of(part: int, whole: int) -> float:
    """For a bar; 0 where there is nothing to divide by."""
    return round(100 * part / whole, 1) if whole else 0.0


def _groups(sums: Sums, by: str) -> list[tuple[object, Sums]]:
    """By what cells and filters both call `by`, the largest first."""
    groups: dict[object, Sums] = {}
    for cell, amounts in sums.cells.items():
        groups.setdefault(getattr(cell, by), Sums()).add(cell, amounts)
    return sorted(groups.items(), key=lambda item: -item[1].total.sessions)


def _lines(
    groups: Iterable[tuple[object, Sums]],
    by: str,
    known: Mapping[Any, tuple[str, str]],
    filters: NarrowedFilters,
    whole: int,
) -> Iterator[Line]:
    """`known` has a group's name and the filter's value."""
    for key, of_key in groups:
        # A sum may name a channel or an agent that is deleted by now.
        name, value = known.get(key, (str(key), "")) if key else (f"No {by}", WITHOUT)
        yield _line(name, of_key, whole, filters, {by: value} if value else None)


def _line(name: str, sums: Sums, whole: int, filters: NarrowedFilters, narrowed: Mapping[str, str] | None) -> Line:
    total = sums.total

    def address(**further: object) -> str:
        return "" if narrowed is None else filters.address(**narrowed, **further)

    return Line(
        name,
        "" if narrowed is None else filters.page_address(**narrowed),
        total.sessions,
        share_words(total.sessions, whole),
        percent_of(total.sessions, whole),
        sums.denied,
        allow_rate_words(allow_rate(sums)),
        number_words(total.seconds / 60, 1),
        address(),
        address(state="denied"),
        address(decision="allowed"),
        address(counted=True),
        total.seconds,
        percent_of_rate(allow_rate(sums)),
    )


def denied_reasons(sums: Sums, filters: OverviewFilters) -> list[ShareLine]:
    """Each reason of the denied sessions, the most frequent first."""
    counts: Counter[str] = Counter()
    for cell, amounts in sums.cells.items():
        if cell.outcome == DayCell.Outcome.DENIED:
            counts[cell.reason] += amounts.sessions
    return [
        share_line(reason_words(reason), count, sums.denied, filters.address(state="denied", reason=reason))
        for reason, count in counts.most_common()
    ]
