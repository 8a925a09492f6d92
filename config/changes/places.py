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
from django.utils.timezone import is_aware

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
class Key:
    """What is known of a record by its place: `family` says of which kind it is, `owner` of which object, as a text."""

    place: Place
    family: int
    by: int | None
    reason: str
    owner: str

    @property
    def run(self) -> tuple[int, int | None, str | datetime]:
        """Alike for what one author does to many with the same reason; without a reason, in one save."""
        return self.family, self.by, self.reason or self.place.at


@dataclass(frozen=True)
class Wanted:
    """Which changes: of `kinds`, by whom (a key of `BY`, or an account's id), from `since` until before `until`.

    Where `run` is given: those alone that are alike it.
    """

    kinds: Sequence[Kind]
    by: str = ""
    since: datetime | None = None
    until: datetime | None = None
    run: Key | None = None


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
    """A table with a row for each change: what makes its columns of a `Key`, and the condition on whose they are."""

    rank: int
    table: str
    at: str
    pk: str
    family: str
    user: str
    reason: str
    owner: str
    condition: str

    def is_alike(self, run: Key) -> str:
        """The condition on a row of the same run."""
        user = f"COALESCE({self.user}, 0) = {run.by or 0:d}"
        moment = "" if run.reason else f" AND {self.at} = %(moment)s"
        return f"({self.family} = {run.family:d} AND {user} AND {self.reason} = %(reason)s{moment})"


def newest_places(wanted: Wanted, place: Place | None, count: int) -> list[Key]:
    """Of the records that follow a place, or of the newest; one statement."""
    return _places(wanted, place, count, older=True)


def places_before(wanted: Wanted, place: Place | None, count: int) -> list[Key]:
    """Those that come before a place, or the oldest, the nearest first."""
    return _places(wanted, place, count, older=False)


def end_of_run(wanted: Wanted, first: Key, *, older: bool) -> Place:
    """The place of the last record that is alike `first`, with nothing else in between, on the older side or newer."""
    other = _places(wanted, first.place, 1, older=older, unlike=first)
    return _places(wanted, other[0].place if other else None, 1, older=not older)[0].place


def objects_of_run(wanted: Wanted, run: Key, newest: Place, oldest: Place) -> int:
    """How many objects the records of a run between two places, both included, are of."""
    parts = [
        f"SELECT {source.owner} FROM {source.table} WHERE {source.condition} AND {source.is_alike(run)} "
        f"AND {source.at} >= %(since)s AND {source.at} <= %(until)s"
        for source in _sources(wanted)
    ]
    values = _values(wanted, None, run) | {"since": _adapted(oldest.at), "until": _adapted(newest.at)}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM ({' UNION '.join(parts)}) AS objects", values)
        return int(cursor.fetchone()[0])


def _adapted(moment: datetime | None) -> Any:
    return moment and connection.ops.adapt_datetimefield_value(moment)


def _values(wanted: Wanted, place: Place | None, run: Key | None) -> dict[str, Any]:
    return {
        "by": wanted.by,
        "since": _adapted(wanted.since),
        "until": _adapted(wanted.until),
        "place": place and _adapted(place.at),
        "pk": place and place.pk,
        "moment": run and _adapted(run.place.at),
        "reason": run and run.reason,
    }


def _places(wanted: Wanted, place: Place | None, count: int, *, older: bool, unlike: Key | None = None) -> list[Key]:
    """Hand-written, since the ORM puts a dozen tables together in more time than the database needs to read them."""
    way = "DESC" if older else "ASC"
    # Each by its own index, and no further than is needed of it alone.
    parts = [
        f"SELECT * FROM (SELECT {source.rank} AS rank, {source.pk} AS pk, {source.at} AS at, {source.family} AS kind, "
        f"{source.user} AS by_user, {source.reason} AS reason, {source.owner} AS owner FROM {source.table} WHERE "
        f"{' AND '.join(_conditions(source, wanted, place, unlike, older=older))} "
        f"ORDER BY {source.at} {way}, {source.pk} {way} LIMIT {count:d}) AS of_{source.rank}"
        for source in _sources(wanted)
    ]
    if not parts:
        return []
    values = _values(wanted, place, unlike or wanted.run)
    with connection.cursor() as cursor:
        cursor.execute(f"{' UNION ALL '.join(parts)} ORDER BY 3 {way}, 1 {way}, 2 {way} LIMIT {count:d}", values)
        return [
            Key(Place(_read_moment(at), rank, pk), family, by, reason, owner)
            for rank, pk, at, family, by, reason, owner in cursor.fetchall()
        ]


def _read_moment(value: Any) -> datetime:
    """SQLite gives a text, or a moment without a zone; both are in UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment if is_aware(moment) else moment.replace(tzinfo=UTC)


def _sources(wanted: Wanted) -> Iterator[_Source]:
    by_person = wanted.by not in BY
    by = "history_user_id = CAST(%(by)s AS integer)" if by_person else BY[wanted.by]
    for kind in wanted.kinds:
        for model, owner in kind.models if kind.parts is not None else ():
            # Beside the numbers of the log's content types.
            family = str(-1 - ranks()[kind.model])
            yield _Source(
                ranks()[model],
                records_of(model)._meta.db_table,
                "history_date",
                "history_id",
                family,
                "history_user_id",
                "COALESCE(history_change_reason, '')",
                f"CAST({owner} AS varchar(255))",
                by,
            )
    logged = [kind.model for kind in wanted.kinds if kind.parts is None]
    # The log has people alone.
    if logged and wanted.by not in (KEYS, FRONTDESK):
        types = ", ".join(str(one.pk) for one in ContentType.objects.get_for_models(*logged).values())
        by = f"content_type_id IN ({types})" + (" AND user_id = CAST(%(by)s AS integer)" if by_person else "")
        table = LogEntry._meta.db_table
        yield _Source(
            ranks()[LogEntry],
            table,
            "action_time",
            "id",
            "content_type_id",
            "user_id",
            "change_message",
            "CAST(object_id AS varchar(255))",
            by,
        )


def _conditions(
    source: _Source, wanted: Wanted, place: Place | None, unlike: Key | None, *, older: bool
) -> Iterator[str]:
    yield source.condition
    if wanted.run is not None:
        yield source.is_alike(wanted.run)
    if unlike is not None:
        yield f"NOT {source.is_alike(unlike)}"
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
