"""Searching sessions by what staff have at hand: a number's first or last digits, words of a name, or an id."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Func, Q, QuerySet
from django.db.models.functions import Coalesce
from django.db.models.sql.compiler import SQLCompiler
from django.utils.functional import SimpleLazyObject

from customers.masking import may_see_numbers
from customers.search.finding import MOST_MATCHES, Wanted, begins_with, called, wanted
from sessions_app.models import CallerNumber, Session, SessionQuerySet
from sessions_app.sums.counting import LENGTH
from sessions_app.sums.reading import Kept, kept

MOST_FOUND = 10_000
# An hour is summed minutes after it ended.
NEWEST = timedelta(hours=3)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Place(Func):
    """Where a moment stands among others, as what a database driver has not to make a moment of: that would take longer
    than all else of reading it. On SQLite that is its text, on PostgreSQL its microseconds."""

    template = "CAST(EXTRACT(EPOCH FROM %(expressions)s) * 1000000 AS bigint)"
    output_field = Field()

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="%(expressions)s || ''", **context)


def _place_of(moment: datetime) -> Any:
    if connection.vendor == "sqlite":
        return connection.ops.adapt_datetimefield_value(moment)
    return (moment - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Found:
    """What a search found among some sessions: where each one's start stands, and its seconds that count, by its id.

    `rows` is None where more than `MOST_FOUND` match.
    """

    among: SessionQuerySet
    condition: Q
    rows: dict[int, tuple[Any, int]] | None

    @property
    def sessions(self) -> SessionQuerySet:
        """Put together when it is asked for: Django looks at each of thousands of ids, and most pages do without."""
        sessions: Any = SimpleLazyObject(lambda: self.among.filter(self.condition))
        return sessions

    def near(self, place: tuple[datetime, int] | None, size: int) -> SessionQuerySet:
        """By start, the first of them and those on either side of a start and id, `size` each, without reading all."""
        if self.rows is None:
            return self.sessions
        places = sorted((start, pk) for pk, (start, _) in self.rows.items())
        number = len(places) if place is None else bisect_left(places, (_place_of(place[0]), place[1]))
        beside = places[max(0, number - size) : number + size + 1]
        return self.among.filter(pk__in={pk for _, pk in [*beside, *places[-size:]]})


def search(text: str, sessions: SessionQuerySet) -> Found:
    """Those of the sessions that a search finds: by their id, by the first or last digits of the number, by LiveTok's
    customer id, or by the customer (`customers.search`).

    Each way has its index, but a database may not see that for all together; so each is gone alone.
    """
    ways = [
        Q(session_id=text),
        Q(external_id=text) & ~Q(external_id=""),
        Q(customer__in=called(text)),
        *_of_numbers(text),
    ]
    rows: dict[int, tuple[Any, int]] = {}
    # Of a whole number that is one already, Django would make sure for each row.
    length: Coalesce = Coalesce(LENGTH, 0, output_field=Field())
    counted = sessions.annotate(start=_Place("started_at"), length=length).order_by()
    wanted = counted.values_list("pk", "start", "length")
    for way in ways:
        rows |= {pk: (start, length) for pk, start, length in wanted.filter(way)[: MOST_FOUND + 1]}
        if len(rows) > MOST_FOUND:  # then there are some on every page, gone through in order
            return Found(sessions, reduce(or_, ways), None)
    return Found(sessions, Q(pk__in=list(rows)), rows)


def _of_numbers(text: str) -> list[Q]:
    """By the numbers known from summed hours, and where hours are not summed by looking at each session."""
    looked_for = wanted(text)
    if not may_see_numbers():  # as in `customers.search`: by a whole one alone
        return [Q(phone_key=looked_for.key)] if looked_for.key else []
    plain = _begins_or_ends(looked_for)
    if plain is None:
        return []
    known = kept()
    # Of numbers that match in great number, sessions are looked through one by one: every page of them has some.
    keys = list(numbers_of_callers(looked_for).values_list("key", flat=True)[: MOST_MATCHES + 1])
    if known.until is None or len(keys) > MOST_MATCHES:
        return [plain]
    # Apart, since of two earliest starts in one statement SQLite would take the days' and read on from there.
    newest = Session.objects.filter(plain, _not_summed(known)).order_by().values("pk")
    return [Q(phone_key__in=keys), Q(pk__in=newest)]


def _begins_or_ends(looked_for: Wanted) -> Q | None:
    """Sessions of numbers that begin or end so, looked at one by one; None where the text is no part of a number."""
    ways = [Q(phone_key__startswith=beginning) for beginning in looked_for.beginnings]
    ways += [Q(phone_key__endswith=ending) for ending in sorted(looked_for.spellings)]
    return reduce(or_, ways) if looked_for.beginnings else None


def _not_summed(known: Kept) -> Q:
    assert known.until is not None
    condition = Q(started_at__gte=known.until)
    for hour in known.changed:
        condition |= Q(started_at__gte=hour.starts_at, started_at__lt=hour.ends_before)
    return condition


def numbers_of_newest(looked_for: Wanted, now: datetime, most: int) -> set[str]:
    """The numbers of sessions that are summed later, which begin or end so: of the last hours, found at once."""
    if not may_see_numbers():
        return set()
    plain, known = _begins_or_ends(looked_for), kept()
    if plain is None:
        return set()
    newest = Session.objects.filter(started_at__gte=max(known.until or now - NEWEST, now - NEWEST), is_test=False)
    # By start: asked for distinct numbers, SQLite would go through all numbers there are.
    return set(newest.filter(plain).order_by("-started_at").values_list("phone_key", flat=True)[:most])


def numbers_of_callers(looked_for: Wanted) -> QuerySet[CallerNumber]:
    """The numbers of summed hours' sessions that begin or end so; the number itself for whoever may not see numbers."""
    if not may_see_numbers():
        return CallerNumber.objects.filter(key=looked_for.key or "")
    ways = [begins_with("key", beginning) for beginning in looked_for.beginnings]
    ways += [begins_with("backwards", ending[::-1]) for ending in looked_for.spellings]
    return CallerNumber.objects.filter(reduce(or_, ways)) if ways else CallerNumber.objects.none()
