"""Counting sessions: what those that started within some hours add up to, straight from the sessions themselves."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from django.db import connection
from django.db.models import Case, CharField, Count, F, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.expressions import RawSQL

from sessions_app.livetok.events import LONGEST_DURATION_SECONDS
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
        before = self.cells.get(cell)
        self.cells[cell] = before.plus(amounts) if before else amounts

    def add_cell(self, row: DayCell) -> None:
        cell = Cell(row.tier_id or 0, row.channel, row.agent, row.outcome, row.reason)
        self.add(cell, Amounts(row.sessions, row.timed, row.seconds))

    def add_sums(self, other: "Sums") -> None:
        for cell, amounts in other.cells.items():
            self.add(cell, amounts)
        self.durations.update(other.durations)

    def add_kept(self, cells: Iterable[Sequence[Any]], durations: Mapping[str, int]) -> None:
        """Add what `HourSums` keeps."""
        self.add_kept_cells(cells)
        self.add_durations(durations)

    def add_kept_cells(self, *some: Iterable[Sequence[Any]]) -> None:
        """The same few cells come again and again: they become cells once for all."""
        found: dict[tuple[Any, ...], list[int]] = {}
        for *shared, sessions, timed, seconds in chain.from_iterable(some):
            amounts = found.setdefault(tuple(shared), [0, 0, 0])
            amounts[0] += sessions
            amounts[1] += timed
            amounts[2] += seconds
        for cell, together in found.items():
            self.add(Cell(*cell), Amounts(*together))

    def as_kept(self) -> tuple[list[list[Any]], dict[int, int]]:
        """The cells and durations that `add_kept` adds, ready for JSON."""
        return [[*cell, *amounts] for cell, amounts in sorted(self.cells.items())], dict(self.durations)

    def add_durations(self, *durations: Mapping[str, int]) -> None:
        """JSON knows only texts as names: they become numbers once for all."""
        found: dict[str, int] = {}
        for histogram in durations:
            for bucket, count in histogram.items():
                found[bucket] = found.get(bucket, 0) + count
        self.durations.update({int(bucket): count for bucket, count in found.items()})

    @property
    def total(self) -> Amounts:
        return _together(self.cells.values())

    def of(self, wanted: Callable[[Cell], bool]) -> Amounts:
        """The amounts of those cells that `wanted` says yes to."""
        return _together([amounts for cell, amounts in self.cells.items() if wanted(cell)])

    @property
    def denied(self) -> int:
        return self.of(lambda cell: cell.outcome == DayCell.Outcome.DENIED).sessions


def _together(some: Collection[Amounts]) -> Amounts:
    return Amounts(*map(sum, zip(*some, strict=True))) if some else Amounts()


Piece: TypeAlias = tuple[datetime, datetime]  # the instants [start, end)

TIMED = ENDED & Q(duration_seconds__gte=0, duration_seconds__lte=LONGEST_DURATION_SECONDS)
# The duration, where it counts. Asked for as a condition, SQLite would go through its index of all durations.
LENGTH = Case(When(TIMED, then=F("duration_seconds")), output_field=IntegerField())
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
    for some in _some_at_once(pieces):
        sums = [Sums() for _ in some]
        _count(_placed(some, is_test), {False: sums, True: sums})
        found += sums
    return found


def count_apart(pieces: Sequence[Piece]) -> dict[bool, list[Sums]]:
    """The same of live (False) and of test traffic, in one go."""
    found: dict[bool, list[Sums]] = {False: [], True: []}
    for some in _some_at_once(pieces):
        sums = {is_test: [Sums() for _ in some] for is_test in found}
        _count(_placed(some, None), sums)
        for is_test in found:
            found[is_test] += sums[is_test]
    return found


def _count(sessions: QuerySet[Any, Any], sums: Mapping[bool, Sequence[Sums]]) -> None:
    """Add the sessions to the sums of their traffic (is it a test?) and piece."""
    scope = ("piece", "is_test", "tier_id", "channel_id", "agent_id", "outcome", "reason")
    cells = sessions.annotate(outcome=OUTCOME).values_list(*scope)
    amounts = cells.annotate(Count("pk"), Count("length"), Sum("length", default=0))
    for piece, is_test, tier, channel, agent, outcome, reason, count, timed, seconds in amounts:
        cell = Cell(tier or 0, channel or "", agent or "", outcome, reason or "")
        sums[is_test][piece].add(cell, Amounts(count, timed, seconds))
    for piece, is_test, length, count in sessions.values_list("piece", "is_test", "length").annotate(Count("pk")):
        if length is not None:
            sums[is_test][piece].durations[bucket_of(length)] += count


def callers_apart(pieces: Sequence[Piece]) -> dict[bool, list[set[int]]]:
    """The callers, by `caller_number`, of the sessions that started within each piece: of live (False) and of test
    traffic."""
    found: dict[bool, list[set[int]]] = {False: [], True: []}
    for some in _some_at_once(pieces):
        callers: dict[bool, list[set[int]]] = {is_test: [set() for _ in some] for is_test in found}
        _find_callers(_placed(some, None), callers)
        for is_test in found:
            found[is_test] += callers[is_test]
    return found


def _find_callers(sessions: QuerySet[Any, Any], callers: Mapping[bool, Sequence[set[int]]]) -> None:
    customers = sessions.exclude(customer=None).values_list("piece", "is_test", "customer_id")
    for piece, is_test, customer in customers.distinct():
        callers[is_test][piece].add(customer or 0)
    strangers = sessions.filter(customer=None).values_list("piece", "is_test", "phone_key", "external_id")
    for piece, is_test, phone_key, external_id in strangers.distinct():
        number = caller_number(None, phone_key, external_id)
        if number is not None:
            callers[is_test][piece].add(number)


def callers_within(pieces: Sequence[Piece], *, is_test: bool | None) -> set[int]:
    """The callers of the sessions that started within any of the pieces."""
    callers: set[int] = set()
    for some in _some_at_once(pieces):
        _find_callers(_placed(some, is_test), dict.fromkeys((False, True), [callers] * len(some)))
    return callers


def _some_at_once(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    for first in range(0, len(pieces), HOURS_AT_ONCE):
        yield pieces[first : first + HOURS_AT_ONCE]


def _placed(pieces: Sequence[Piece], is_test: bool | None) -> QuerySet[Any, Any]:
    """The sessions within the pieces, with the piece's number and the `length` that counts."""
    return within(pieces, is_test).annotate(piece=place_among([start for start, _ in pieces]), length=LENGTH)


def within(pieces: Iterable[Piece], is_test: bool | None) -> SessionQuerySet:
    """The sessions that started within one of the pieces, in no order."""
    # Not `Q()`, which without a piece would let all sessions through.
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


_STARTED_AT = f'"{Session._meta.db_table}"."started_at"'


def place_among(starts: Sequence[datetime], column: str = _STARTED_AT) -> RawSQL | Value:
    """The number of the last of `starts` that a moment, the session's start, does not come before, found by halves.

    A database's own days and hours differ where the clock goes back over midnight. Written by hand: putting Django's
    own expressions together took longer than the database with the sessions of an hour.
    """
    if len(starts) == 1:
        return Value(0, output_field=IntegerField())
    moments = [connection.ops.adapt_datetimefield_value(start) for start in starts]
    values: list[Any] = []
    return RawSQL(_place(column, moments, 0, len(starts), values), values, IntegerField())  # noqa: S611 - its values are sent apart


def _place(column: str, moments: Sequence[Any], low: int, high: int, values: list[Any]) -> str:
    """SQL, and its values in order."""
    if high - low == 1:
        return str(low)
    middle = (low + high) // 2
    values.append(moments[middle])
    before, after = (_place(column, moments, *half, values) for half in ((low, middle), (middle, high)))
    return f"CASE WHEN {column} < %s THEN {before} ELSE {after} END"
