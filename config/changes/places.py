"""Where each change stands among all, newest first: found by the histories' own indexes, never by counting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import IntegerField, Q, QuerySet, Value

from config.changes.kinds import Kind, ranks
from customers.history import records_of

BROKEN = "This link into the list is broken. Start again at the first page."
FIRST, AFTER_LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 12, 1, tzinfo=UTC)
LARGEST_ID = 2**31 - 1  # of a history's records


@dataclass(frozen=True, order=True)
class Place:
    """A record's place: its moment, the rank of its model and its own id."""

    at: datetime
    rank: int
    pk: int

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{self.rank}_{self.pk}"


class PlaceField(forms.Field):
    """Reads what `str(Place)` wrote."""

    def to_python(self, value: Any) -> Place | None:
        if not value:
            return None
        try:
            moment, rank, pk = str(value).split("_")
            at = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
            place = Place(at, int(rank), int(pk))
        except ValueError as error:
            raise ValidationError(BROKEN) from error
        if not (FIRST <= place.at < AFTER_LAST and 0 <= place.rank <= LARGEST_ID and 0 <= place.pk <= LARGEST_ID):
            raise ValidationError(BROKEN)
        return place


@dataclass(frozen=True)
class Wanted:
    """Which changes: of `kinds`, from `since` until before `until`, and by `by`, a condition on histories and one on
    the log; None: nothing of that."""

    kinds: Sequence[Kind]
    by_record: Q | None
    by_log: Q | None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class _Source:
    """A table with a row for each change."""

    rank: int
    rows: QuerySet[Any]
    at: str
    pk: str


def newest_places(wanted: Wanted, place: Place | None, count: int) -> list[tuple[int, int]]:
    """The ranks and ids of the records that follow a place, or of the newest; one statement."""
    return _places(wanted, count, lambda source: _beyond(source, place, older=True), "-")


def places_before(wanted: Wanted, place: Place, count: int) -> list[tuple[int, int]]:
    """Those that come before a place, the nearest first."""
    return _places(wanted, count, lambda source: _beyond(source, place, older=False), "")


def _places(wanted: Wanted, count: int, narrowed: Callable[[_Source], Q], sign: str) -> list[tuple[int, int]]:
    statements, values = [], []
    for source in _sources(wanted):
        # Each by its own index, and no further than is needed of it alone.
        rows = source.rows.filter(narrowed(source)).order_by(f"{sign}{source.at}", f"{sign}{source.pk}")
        ranked = rows.annotate(rank=Value(source.rank, IntegerField())).values_list("rank", source.pk, source.at)
        sql, given = ranked[:count].query.sql_with_params()
        statements.append(f"SELECT * FROM ({sql}) AS source_{source.rank}")
        values += given
    if not statements:
        return []
    way = "DESC" if sign else "ASC"
    together = f"{' UNION ALL '.join(statements)} ORDER BY 3 {way}, 1 {way}, 2 {way} LIMIT {count:d}"
    with connection.cursor() as cursor:
        cursor.execute(together, values)
        return [(rank, pk) for rank, pk, _ in cursor.fetchall()]


def _sources(wanted: Wanted) -> list[_Source]:
    sources = []
    for kind in wanted.kinds:
        if kind.parts is None or wanted.by_record is None:
            continue
        for model, _ in kind.models:
            rows = _within(records_of(model)._base_manager.filter(wanted.by_record), "history_date", wanted)
            sources.append(_Source(ranks()[model], rows, "history_date", "history_id"))
    logged = [kind.model for kind in wanted.kinds if kind.parts is None]
    if logged and wanted.by_log is not None:
        types = ContentType.objects.get_for_models(*logged).values()
        entries = LogEntry.objects.filter(wanted.by_log, content_type__in=[one.pk for one in types])
        sources.append(_Source(ranks()[LogEntry], _within(entries, "action_time", wanted), "action_time", "id"))
    return sources


def _within(rows: QuerySet[Any], at: str, wanted: Wanted) -> QuerySet[Any]:
    if wanted.since is not None:
        rows = rows.filter(**{f"{at}__gte": wanted.since})
    return rows if wanted.until is None else rows.filter(**{f"{at}__lt": wanted.until})


def _beyond(source: _Source, place: Place | None, *, older: bool) -> Q:
    if place is None:
        return Q()
    side = "lt" if older else "gt"
    further, at_once = Q(**{f"{source.at}__{side}": place.at}), Q(**{source.at: place.at})
    if source.rank == place.rank:
        at_once &= Q(**{f"{source.pk}__{side}": place.pk})
    elif (source.rank < place.rank) != older:
        return further
    # The moment's bound stands alone too, since it alone bounds an index.
    return (further | at_once) & Q(**{f"{source.at}__{side}e": place.at})
