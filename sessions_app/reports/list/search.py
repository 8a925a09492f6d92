"""Searching sessions by what staff have at hand: a number's first or last digits, a name's beginning, or an id."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Func, Q
from django.db.models.functions import Coalesce
from django.db.models.sql.compiler import SQLCompiler
from django.utils.functional import SimpleLazyObject

from customers.models import Customer
from customers.phones import digits_of, key_or_none
from sessions_app.models import CallerNumber, Session, SessionQuerySet
from sessions_app.sums.counting import LENGTH
from sessions_app.sums.reading import Kept, kept

# Of more numbers or customers that match, sessions are looked through one by one: every page of them has some.
MOST_MATCHES = 1000
MOST_FOUND = 10_000
LAST_CHARACTER = "\U0010ffff"
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
    or the customer's external id, or by the beginning of the customer's name.

    Each way has its index, but a database may not see that for all together; so each is gone alone.
    """
    ways = [Q(session_id=text), Q(external_id=text) & ~Q(external_id=""), _of_customers(text), *_of_numbers(text)]
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


def _of_customers(text: str) -> Q:
    customers = Customer.objects.filter(Q(name__istartswith=text) | Q(external_id=text))
    matches = list(customers.order_by().values_list("pk", flat=True)[: MOST_MATCHES + 1])
    return Q(customer__in=matches if len(matches) <= MOST_MATCHES else customers)


def _of_numbers(text: str) -> list[Q]:
    """By the numbers known from summed hours, and where hours are not summed by looking at each session."""
    ending = digits_of(text)
    key = key_or_none(text, settings.PHONE_REGION)
    beginnings = {*(["+" + ending] if ending else []), *([key] if key else [])}
    if not beginnings:
        return []
    plain = reduce(or_, [Q(phone_key__startswith=beginning) for beginning in sorted(beginnings)])
    in_index = reduce(or_, [_begins_with("key", beginning) for beginning in sorted(beginnings)])
    if ending:
        plain |= Q(phone_key__endswith=ending)
        in_index |= _begins_with("backwards", ending[::-1])
    known = kept()
    keys = list(CallerNumber.objects.filter(in_index).values_list("key", flat=True)[: MOST_MATCHES + 1])
    if known.until is None or len(keys) > MOST_MATCHES:
        return [plain]
    # Apart, since of two earliest starts in one statement SQLite would take the days' and read on from there.
    newest = Session.objects.filter(plain, _not_summed(known)).order_by().values("pk")
    return [Q(phone_key__in=keys), Q(pk__in=newest)]


def _not_summed(known: Kept) -> Q:
    assert known.until is not None
    condition = Q(started_at__gte=known.until)
    for hour in known.changed:
        condition |= Q(started_at__gte=hour.starts_at, started_at__lt=hour.ends_before)
    return condition


def _begins_with(field: str, text: str) -> Q:
    """In a form that the database's index serves: PostgreSQL has one for patterns, SQLite's is in order of bytes."""
    if connection.vendor == "postgresql":
        return Q(**{f"{field}__startswith": text})
    return Q(**{f"{field}__gte": text, f"{field}__lt": text + LAST_CHARACTER})
