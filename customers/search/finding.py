"""Finding customers by what staff have at hand: words, a number's digits, an e-mail address or an id."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from customers.masking import may_see_numbers
from customers.models import Customer, PhoneNumber, SearchKey
from customers.phones import digits_of, key_or_none
from customers.search.folding import LONGEST_WORD, beginnings_of, folded, words_of

# Of more customers that match, a list looks through the index itself, since it has some for every page.
MOST_MATCHES = 1000
MOST_WORDS = 20
# Customers whose names are gone through for whoever may not see numbers.
MOST_LOOKED_AT = 5000
# All numbers are gone through for them. Fewer digits are in too many; more are a whole number or an id, and in none.
IN_THE_MIDDLE = range(4, 10)
# Of digits that are as many, a leading zero may be one that is dialled at home and left out abroad.
FEWEST_AFTER_ZERO = 6
OWN_ID = re.compile(r"customer (\d{1,18})")
LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True)
class Wanted:
    """What somebody searches for, read as words and, where it is one or a part of one, as a number."""

    text: str
    words: tuple[str, ...]
    key: str | None
    digits: str

    @property
    def spellings(self) -> set[str]:
        """The digits, and as they are abroad where they may be written as at home."""
        bare = self.digits.lstrip("0")
        is_international = self.digits.startswith("00")
        may_lose_zero = self.digits.startswith("0") and len(bare) >= FEWEST_AFTER_ZERO
        return {self.digits, bare} - {""} if is_international or may_lose_zero else {self.digits} - {""}

    @property
    def beginnings(self) -> list[str]:
        """What numbers' keys begin with that begin so: those of numbers, and those of other texts."""
        plain = {f"{plus}{digits}" for digits in self.spellings for plus in ("+", "")}
        return sorted(plain | ({self.key} if self.key else set()))


def wanted(text: str) -> Wanted:
    text = text.strip()
    return Wanted(text, tuple(words_of(text)[:MOST_WORDS]), key_or_none(text, settings.PHONE_REGION), digits_of(text))


def begins_with(field: str, text: str) -> Q:
    """In a form that the database's index serves: PostgreSQL has one for patterns, SQLite's is in order of bytes."""
    if connection.vendor == "postgresql":
        return Q(**{f"{field}__startswith": text})
    return Q(**{f"{field}__gte": text, f"{field}__lt": text + LAST_CHARACTER})


@dataclass(frozen=True)
class Matches:
    """Ids of customers in no order; where they are not all, there are very many."""

    ids: set[int]
    are_all: bool


def named(text: str) -> Q:
    """The customers whom a search finds. Asks the database at once, to know which way is short."""
    looked_for = wanted(text)
    found = matches(looked_for)
    if found.are_all or not may_see_numbers():
        return Q(pk__in=found.ids)
    return reduce(or_, (Q(pk__in=way) for way in _other_ways(looked_for)), _having(looked_for.words))


def called(text: str) -> set[int] | QuerySet[Customer]:
    """Customers whose words a search finds, or of whom it is a whole number: those whose sessions are meant."""
    looked_for = wanted(text)
    if not may_see_numbers():
        return matches(looked_for).ids
    by_words = _by_words(looked_for.words)
    owners = set(PhoneNumber.objects.filter(key=looked_for.key).values_list("customer_id", flat=True))
    if by_words.are_all:
        return by_words.ids | owners
    return Customer.objects.filter(_having(looked_for.words) | Q(pk__in=owners))


def matches(looked_for: Wanted) -> Matches:
    """Whom a search finds. Each way is gone alone: a database may not see the index of each for all together."""
    if not may_see_numbers():
        return _known_otherwise(looked_for)
    found = [_by_words(looked_for.words), *(_first(way) for way in _other_ways(looked_for))]
    return Matches(set().union(*(some.ids for some in found)), all(some.are_all for some in found))


def _known_otherwise(looked_for: Wanted) -> Matches:
    """For whoever may not see numbers and e-mail addresses: a part of one finds nobody, or search would spell it out.

    A whole one finds its customer, since whoever writes it knows it. Of very many, the first `MOST_LOOKED_AT` by words
    are looked at.
    """
    by_words = _by_words(looked_for.words)
    ids = by_words.ids
    if not by_words.are_all:
        having = Customer.objects.filter(_having(looked_for.words)).order_by("pk")
        ids = set(having.values_list("pk", flat=True)[:MOST_LOOKED_AT])
    text = folded(looked_for.text)
    known = Customer.objects.filter(pk__in=ids).order_by().values_list("pk", "name", "external_id", "email")
    found = {
        pk
        for pk, name, external_id, email in known
        if has_words(looked_for.words, (name, external_id)) or (email and folded(email) == text)
    }
    found |= set(exactly(looked_for).values_list("pk", flat=True))
    for way in _by_own_id(looked_for):
        found |= set(way)
    return Matches(found, by_words.are_all)


def best_first(looked_for: Wanted, ids: Iterable[int], meant: Collection[int], most: int) -> list[Customer]:
    """Of these customers those who are most likely meant: first `meant` and what was written exactly, then whole words.

    Those who are as likely come by name.
    """
    rows = Customer.objects.filter(pk__in=list(ids)).order_by()
    is_whole = may_see_numbers()  # else the order would tell of a part
    places = [
        (
            0 if pk in meant else _distance(looked_for, name, external_id or "", email if is_whole else ""),
            folded(name) or LAST_CHARACTER,
            pk,
        )
        for pk, name, external_id, email in rows.values_list("pk", "name", "external_id", "email")
    ]
    first = [pk for *_, pk in sorted(places)[:most]]
    by_pk = Customer.objects.select_related("tier").prefetch_related("numbers").in_bulk(first)
    return [by_pk[pk] for pk in first if pk in by_pk]


def exactly(looked_for: Wanted) -> QuerySet[Customer]:
    """Customers of whom the text is a number or the external id, written in whatever form."""
    found = Q(external_id=looked_for.text)
    if looked_for.key:
        owners = PhoneNumber.objects.filter(key=looked_for.key).values_list("customer_id", flat=True)
        found |= Q(pk__in=list(owners))
    return Customer.objects.filter(found)


def is_exact(looked_for: Wanted, customer: Customer) -> bool:
    """Whether the text is one of this customer's numbers, the external id or the e-mail address. Reads the numbers."""
    text = folded(looked_for.text)
    told = (customer.external_id or "", customer.email)
    is_number = looked_for.key is not None and any(number.key == looked_for.key for number in customer.numbers.all())
    return is_number or any(text == folded(value) for value in told if value)


def _distance(looked_for: Wanted, name: str, external_id: str, email: str) -> int:
    text = folded(looked_for.text)
    if text in (folded(name), folded(external_id), folded(email)):
        return 0
    if folded(name).startswith(text):
        return 1
    return 2 if set(looked_for.words) <= {*words_of(name), *words_of(external_id), *words_of(email)} else 3


def rows_named(rows: QuerySet[Any], text: str, *fields: str) -> QuerySet[Any]:
    """Those of a few rows, such as tiers, that a search for the text finds. All of them are read."""
    words = words_of(text)
    found = [
        pk
        for pk, *values in rows.model._default_manager.order_by().values_list("pk", *fields)
        if words and has_words(words, values)
    ]
    return rows.filter(pk__in=found)


def has_words(words: Sequence[str], values: Iterable[str | None]) -> bool:
    """Whether each of the words begins one of the values' words."""
    known = [word for value in values if value for word in beginnings_of(value)]
    return all(any(one.startswith(word) for one in known) for word in words)


def _first(ids: QuerySet[Any]) -> Matches:
    some = list(ids[: MOST_MATCHES + 1])
    return Matches(set(some), len(some) <= MOST_MATCHES)


# By words


def _by_words(words: Sequence[str]) -> Matches:
    """Those who have all words. Goes by one that few have, since the words of the others may be everybody's."""
    if not words:
        return Matches(set(), are_all=True)
    for word in sorted(words, key=len, reverse=True):
        some = _first(_keys(SearchKey.Kind.WORD, word))
        if len(words) == 1:
            # Of very many, those that have the word whole are among those that are read.
            whole = set() if some.are_all else _first(_keys(SearchKey.Kind.WORD, word, is_whole=True)).ids
            return Matches(some.ids | whole, some.are_all)
        if some.are_all:
            return Matches(_with_all(words, some.ids), are_all=True)
    return _first(Customer.objects.filter(_having(words)).order_by().values_list("pk", flat=True))


def _with_all(words: Sequence[str], ids: set[int]) -> set[int]:
    known: dict[int, list[str]] = defaultdict(list)
    # Asked for their kind as well, SQLite would go through all of that kind.
    for pk, kind, text in SearchKey.objects.filter(customer__in=ids).values_list("customer_id", "kind", "text"):
        if kind == SearchKey.Kind.WORD:
            known[pk].append(text)
    return {pk for pk, texts in known.items() if all(any(text.startswith(word) for text in texts) for word in words)}


def _having(words: Sequence[str]) -> Q:
    return reduce(and_, (Q(pk__in=_keys(SearchKey.Kind.WORD, word)) for word in words)) if words else Q(pk__in=[])


def _keys(kind: SearchKey.Kind, text: str, *, is_whole: bool = False) -> QuerySet[Any]:
    """The ids of customers, one for each key that begins so, or that is just that."""
    found = Q(text=text) if is_whole else begins_with("text", text)
    return SearchKey.objects.filter(found, kind=kind).order_by().values_list("customer_id", flat=True)


# By number, and by what pages call somebody whom nothing else names


def _other_ways(looked_for: Wanted) -> list[QuerySet[Any]]:
    return [*_ways_by_number(looked_for), *_by_own_id(looked_for)]


def _by_own_id(looked_for: Wanted) -> list[QuerySet[Any]]:
    if (own_id := OWN_ID.fullmatch(folded(looked_for.text))) is None:
        return []
    nameless = Customer.objects.filter(pk=int(own_id[1]), name="", external_id=None)
    return [nameless.order_by().values_list("pk", flat=True)]


def _ways_by_number(looked_for: Wanted) -> list[QuerySet[Any]]:
    """Numbers that begin or end with the digits; where there are none, those that have them in the middle."""
    starting = [begins_with("key", beginning) for beginning in looked_for.beginnings]
    if not starting:
        return []
    spellings = sorted(looked_for.spellings)
    ways = [_owners(starting), *(_keys(SearchKey.Kind.BACKWARDS, digits[::-1][:LONGEST_WORD]) for digits in spellings)]
    inside = [Q(key__contains=digits) for digits in spellings if len(digits) in IN_THE_MIDDLE]
    return ways if not inside or any(way.exists() for way in ways) else [_owners(inside)]


def _owners(conditions: Sequence[Q]) -> QuerySet[Any]:
    return PhoneNumber.objects.filter(reduce(or_, conditions)).order_by().values_list("customer_id", flat=True)
