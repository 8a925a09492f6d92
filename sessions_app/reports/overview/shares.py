"""Shares: what each channel, tier and agent has of the sessions, and each reason of the denied ones."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from customers.models import Agent, Channel, Tier
from sessions_app.models import DayCell
from sessions_app.reports.frame.export import Row
from sessions_app.reports.frame.figures import number_words, share_words
from sessions_app.reports.frame.range_filters import WITHOUT
from sessions_app.reports.overview.figures import allow_rate, allow_rate_words, percent_of_rate
from sessions_app.reports.overview.filters import OverviewFilters
from sessions_app.sums.counting import Sums
from sessions_app.wording import reason_words


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
    """One line of a table of shares: the sessions of a channel, tier or agent, and what became of them."""

    name: str
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
    title: str
    head: str
    lines: list[Line]

    def rows(self) -> Iterator[Row]:
        for line in self.lines:
            yield from line.rows(self.title)


@dataclass(frozen=True)
class Shares:
    tables: list[Table]
    reasons: list[ShareLine]

    def rows(self) -> Iterator[Row]:
        """As lines of the file."""
        for table in self.tables:
            yield from table.rows()
        for reason in self.reasons:
            yield "Denied by reason", reason.name, "Sessions", reason.sessions


def shares_of(sums: Sums, filters: OverviewFilters) -> Shares:
    channels = {channel.pk: (str(channel), channel.pk) for channel in Channel.objects.all()}
    tiers = {tier.pk: (tier.name, tier.slug) for tier in Tier.objects.all()}
    agents = {agent.pk: (str(agent), agent.pk) for agent in Agent.objects.all()}
    tables = [
        Table("By channel", "Channel", _lines(sums, "channel", channels, filters)),
        Table("By tier", "Tier then", _lines(sums, "tier", tiers, filters)),
        Table("By agent", "Agent", _lines(sums, "agent", agents, filters)),
    ]
    return Shares(tables, denied_reasons(sums, filters))


def share_line(name: str, sessions: int, whole: int, address: str) -> ShareLine:
    return ShareLine(name, sessions, share_words(sessions, whole), percent_of(sessions, whole), address)


def percent_of(part: int, whole: int) -> float:
    """For a bar; 0 where there is nothing to divide by."""
    return round(100 * part / whole, 1) if whole else 0.0


def _lines(sums: Sums, by: str, known: Mapping[Any, tuple[str, str]], filters: OverviewFilters) -> list[Line]:
    """By what cells and filters both call `by`, the largest first; `known` has its name and the filter's value."""
    groups: dict[object, Sums] = {}
    for cell, amounts in sums.cells.items():
        groups.setdefault(getattr(cell, by), Sums()).add(cell, amounts)
    whole = sums.total.sessions
    lines = []
    for key, of_key in sorted(groups.items(), key=lambda item: -item[1].total.sessions):
        # A sum may name a channel or an agent that is deleted by now.
        name, value = known.get(key, (str(key), str(key))) if key else (f"No {by}", WITHOUT)
        lines.append(_line(name, of_key, whole, filters, {by: value}))
    return lines


def _line(name: str, sums: Sums, whole: int, filters: OverviewFilters, narrowed: Mapping[str, str]) -> Line:
    total = sums.total
    return Line(
        name,
        total.sessions,
        share_words(total.sessions, whole),
        percent_of(total.sessions, whole),
        sums.denied,
        allow_rate_words(allow_rate(sums)),
        number_words(total.seconds / 60, 1),
        filters.address(**narrowed),
        filters.address(**narrowed, state="denied"),
        filters.address(**narrowed, decision="allowed"),
        filters.address(**narrowed, counted=True),
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
