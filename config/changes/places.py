"""Where each change stands among all, newest first: found by the histories' own indexes, never by counting."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import connection

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
    """Which changes: of `kinds`, by whom (a key of `BY`, or an account's id), from `since` until before `until`."""

    kinds: Sequence[Kind]
    by: str = ""
    since: datetime | None = None
    until: datetime | None = None


# Whom a record without a person is of, its reason says: Frontdesk itself gives none.
PEOPLE, KEYS, FRONTDESK, EVERYBODY = "people", "keys", "frontdesk", "everybody"
# The first three are in the words of the index of `MostlyOwnRecords`, without which it is of no use to them.
BY = {
    "": "(history_user_id IS NOT NULL OR history_change_reason > '')",
    PEOPLE: "history_user_id IS NOT NULL",
    KEYS: "history_user_id IS NULL AND history_change_reason > ''",
    FRONTDESK: "history_user_id IS NULL AND COALESCE(history_change_reason, '') = ''",
    EVERYBODY: "1 = 1",
}


@dataclass(frozen=True)
class _Source:
    """A table with a row for each change: its columns of place, and the condition on whose they are."""

    rank: int
    table: str
    at: str
    pk: str
    by: str


def newest_places(wanted: Wanted, place: Place | None, count: int) -> list[tuple[int, int]]:
    """The ranks and ids of the records that follow a place, or of the newest; one statement."""
    return _places(wanted, place, count, older=True)


def places_before(wanted: Wanted, place: Place, count: int) -> list[tuple[int, int]]:
    """Those that come before a place, the nearest first."""
    return _places(wanted, place, count, older=False)


def _places(wanted: Wanted, place: Place | None, count: int, *, older: bool) -> list[tuple[int, int]]:
    """Hand-written, since the ORM puts a dozen tables together in more time than the database needs to read them."""
    way = "DESC" if older else "ASC"
    # Each by its own index, and no further than is needed of it alone.
    parts = [
        f"SELECT * FROM (SELECT {source.rank} AS rank, {source.pk} AS pk, {source.at} AS at FROM {source.table} WHERE "
        f"{' AND '.join(_conditions(source, wanted, place, older=older))} "
        f"ORDER BY {source.at} {way}, {source.pk} {way} LIMIT {count:d}) AS of_{source.rank}"
        for source in _sources(wanted)
    ]
    if not parts:
        return []
    adapted = connection.ops.adapt_datetimefield_value
    values: dict[str, Any] = {
        "by": wanted.by,
        "since": wanted.since and adapted(wanted.since),
        "until": wanted.until and adapted(wanted.until),
        "place": place and adapted(place.at),
        "pk": place and place.pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(f"{' UNION ALL '.join(parts)} ORDER BY 3 {way}, 1 {way}, 2 {way} LIMIT {count:d}", values)
        return [(rank, pk) for rank, pk, _ in cursor.fetchall()]


def _sources(wanted: Wanted) -> Iterator[_Source]:
    by_person = wanted.by not in BY
    by = "history_user_id = CAST(%(by)s AS integer)" if by_person else BY[wanted.by]
    for kind in wanted.kinds:
        for model, _ in kind.models if kind.parts is not None else ():
            yield _Source(ranks()[model], records_of(model)._meta.db_table, "history_date", "history_id", by)
    logged = [kind.model for kind in wanted.kinds if kind.parts is None]
    # The log has people alone.
    if logged and wanted.by not in (KEYS, FRONTDESK):
        types = ", ".join(str(one.pk) for one in ContentType.objects.get_for_models(*logged).values())
        by = f"content_type_id IN ({types})" + (" AND user_id = CAST(%(by)s AS integer)" if by_person else "")
        yield _Source(ranks()[LogEntry], LogEntry._meta.db_table, "action_time", "id", by)


def _conditions(source: _Source, wanted: Wanted, place: Place | None, *, older: bool) -> Iterator[str]:
    yield source.by
    if wanted.since is not None:
        yield f"{source.at} >= %(since)s"
    if wanted.until is not None:
        yield f"{source.at} < %(until)s"
    if place is None:
        return
    side = "<" if older else ">"
    if source.rank == place.rank:
        # The moment's bound stands alone too, since it alone bounds an index.
        yield f"{source.at} {side}= %(place)s"
        yield f"({source.at} {side} %(place)s OR {source.pk} {side} %(pk)s)"
    else:
        yield f"{source.at} {side}{'=' if (source.rank < place.rank) == older else ''} %(place)s"
