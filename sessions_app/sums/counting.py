"""Counting sessions: what those that started within some hours add up to, straight from the sessions themselves."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from django.db.models import Case, CharField, Count, IntegerField, Q, Sum, Value, When

from sessions_app.events import LONGEST_DURATION_SECONDS
from sessions_app.models import DENIED, ENDED, DayCell, Session, SessionQuerySet
from sessions_app.sums.callers import caller_number
from sessions_app.sums.histogram import bucket_of

# Sessions of so many hours are counted in one statement.
HOURS_AT_ONCE = 60


class Cell(NamedTuple):
    """What the sessions of one sum share. Blank: without one; `tier` 0: on no tier."""

    tier: int = 0
    channel: str = ""
    agent: str = ""
    outcome: str = ""
    reason: str = ""


class Amounts(NamedTuple):
    """`timed` are the ended sessions whose duration counts, `seconds` the sum of theirs."""

    sessions: int = 0
    timed: int = 0
    seconds: int = 0

    def plus(self, other: "Amounts") -> "Amounts":
        return Amounts(self.sessions + other.sessions, self.timed + other.timed, self.seconds + other.seconds)


@dataclass
class Sums:
    """What some sessions add up to. `durations` is a histogram (`sums.histogram`)."""

    cells: defaultdict[Cell, Amounts] = field(default_factory=lambda: defaultdict(Amounts))
    durations: Counter[int] = field(default_factory=Counter)

    def add(self, cell: Cell, amounts: Amounts) -> None:
        self.cells[cell] = self.cells[cell].plus(amounts)

    def add_cell(self, row: DayCell) -> None:
        cell = Cell(row.tier_id or 0, row.channel, row.agent, row.outcome, row.reason)
        self.add(cell, Amounts(row.sessions, row.timed, row.seconds))

    def add_sums(self, other: "Sums") -> None:
        for cell, amounts in other.cells.items():
            self.add(cell, amounts)
        self.durations.update(other.durations)

    def add_kept(self, cells: Iterable[Sequence[Any]], durations: Mapping[str, int]) -> None:
        """Add what `HourSums` keeps."""
        for *cell, sessions, timed, seconds in cells:
            self.add(Cell(*cell), Amounts(sessions, timed, seconds))
        self.add_durations(durations)

    def add_durations(self, durations: Mapping[str, int]) -> None:
        """JSON knows only texts as names."""
        for bucket, count in durations.items():
            self.durations[int(bucket)] += count

    @property
    def total(self) -> Amounts:
        return self.of(lambda cell: True)

    def of(self, wanted: Callable[[Cell], bool]) -> Amounts:
        """The amounts of those cells that `wanted` says yes to."""
        total = Amounts()
        for cell, amounts in self.cells.items():
            if wanted(cell):
                total = total.plus(amounts)
        return total

    @property
    def denied(self) -> int:
        return self.of(lambda cell: cell.outcome == DayCell.Outcome.DENIED).sessions


Piece: TypeAlias = tuple[datetime, datetime]  # the instants [start, end)

TIMED = ENDED & Q(duration_seconds__gte=0, duration_seconds__lte=LONGEST_DURATION_SECONDS)
OUTCOME = Case(
    When(DENIED, then=Value(DayCell.Outcome.DENIED.value)),
    When(end_received_at__isnull=False, then=Value(DayCell.Outcome.ENDED.value)),
    default=Value(DayCell.Outcome.NO_END.value),
    output_field=CharField(),
)


def count_pieces(pieces: Sequence[Piece], *, is_test: bool | None) -> list[Sums]:
    """What the sessions that started within each piece add up to; the pieces are in order and do not overlap.

    `is_test` None counts live and test traffic together.
    """
    found: list[Sums] = []
    for first in range(0, len(pieces), HOURS_AT_ONCE):
        found += _count(pieces[first : first + HOURS_AT_ONCE], is_test)
    return found


def _count(pieces: Sequence[Piece], is_test: bool | None) -> list[Sums]:
    sums = [Sums() for _ in pieces]
    sessions = within(pieces, is_test).annotate(piece=place_among([start for start, _ in pieces]))
    shared = sessions.annotate(outcome=OUTCOME).values(
        "piece", "tier_id", "channel_id", "agent_id", "outcome", "reason"
    )
    for row in shared.annotate(
        count=Count("pk"), timed=Count("pk", filter=TIMED), seconds=Sum("duration_seconds", filter=TIMED, default=0)
    ):
        cell = Cell(
            row["tier_id"] or 0, row["channel_id"] or "", row["agent_id"] or "", row["outcome"], row["reason"] or ""
        )
        sums[row["piece"]].add(cell, Amounts(row["count"], row["timed"], row["seconds"]))
    durations = sessions.filter(TIMED).values_list("piece", "duration_seconds").annotate(count=Count("pk"))
    for piece, seconds, count in durations:
        sums[piece].durations[bucket_of(seconds)] += count
    return sums


def callers_of_pieces(pieces: Sequence[Piece], *, is_test: bool | None) -> list[set[int]]:
    """The callers of the sessions that started within each piece, by `caller_number`."""
    found: list[set[int]] = []
    for first in range(0, len(pieces), HOURS_AT_ONCE):
        some = pieces[first : first + HOURS_AT_ONCE]
        callers: list[set[int]] = [set() for _ in some]
        sessions = within(some, is_test).annotate(piece=place_among([start for start, _ in some]))
        for piece, customer in sessions.exclude(customer=None).values_list("piece", "customer_id").distinct():
            callers[piece].add(customer or 0)
        strangers = sessions.filter(customer=None).values_list("piece", "phone_key", "external_id").distinct()
        for piece, phone_key, external_id in strangers:
            number = caller_number(None, phone_key, external_id)
            callers[piece] |= {number} if number is not None else set()
        found += callers
    return found


def callers_within(pieces: Sequence[Piece], *, is_test: bool | None) -> set[int]:
    """The same for all pieces together."""
    return set().union(*callers_of_pieces(pieces, is_test=is_test))


def within(pieces: Iterable[Piece], is_test: bool | None) -> SessionQuerySet:
    """The sessions that started within one of the pieces, in no order."""
    condition = Q(pk__in=[])
    for start, end in joined(pieces):
        condition |= Q(started_at__gte=start, started_at__lt=end)
    sessions = Session.objects.filter(condition).order_by()
    return sessions if is_test is None else sessions.filter(is_test=is_test)


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The same instants in as few pieces as will do."""
    found: list[Piece] = []
    for start, end in pieces:
        if found and found[-1][1] == start:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return found


def place_among(starts: Sequence[datetime]) -> Case | Value:
    """The number of the last of `starts` that a session does not start before, found by halves.

    A database's own days and hours differ where the clock goes back over midnight.
    """
    return _place(starts, 0, len(starts))


def _place(starts: Sequence[datetime], low: int, high: int) -> Case | Value:
    if high - low == 1:
        return Value(low, output_field=IntegerField())
    middle = (low + high) // 2
    return Case(
        When(started_at__lt=starts[middle], then=_place(starts, low, middle)), default=_place(starts, middle, high)
    )
