"""A month's statements and corrections as rows: what the page and its file show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.db.models import Case, CharField, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Coalesce, Concat

from customers.currencies import money_words, price_words
from customers.masking import may_see_numbers
from customers.models import Customer
from customers.moved_numbers import TakenOver, taken_over
from customers.search.finding import has_words, named
from customers.search.folding import words_of
from sessions_app.billing.corrections import Correction, corrections_of, roundings_of
from sessions_app.billing.statements import (
    Month,
    Statement,
    Use,
    customers_of,
    roundings_now,
    statements,
    stored_statement,
)
from sessions_app.database.replica import steadily
from sessions_app.models import StatementLine, StatementMonth
from sessions_app.reports.frame.figures import NOTHING, number_words, signed, used_address
from sessions_app.reports.frame.range_filters import WITHOUT

EXPORTED_AT_ONCE = 200


@dataclass(frozen=True)
class StatementRow:
    """A line of the page: a customer's statement, or a correction.

    `billed` is what it comes to, `of_month` the month of its sessions; `billed_with` is None until it is billed.
    A customer who is gone was `taken_over` by another.
    """

    statement: Statement
    kind: str
    billed: Statement | Correction
    of_month: Month
    billed_with: Month | None
    of_month_closed_at: datetime | None = None
    taken_over: TakenOver | None = None

    @property
    def number(self) -> int:
        return self.statement.customer_number

    @property
    def name(self) -> str:
        return self.statement.customer_name

    @property
    def use(self) -> Use:
        return self.billed.counted.total

    @property
    def channels(self) -> Mapping[str, Use]:
        return self.billed.counted.channels

    @property
    def billed_call_seconds(self) -> int:
        return self.billed.counted.billed_call_seconds

    @property
    def over_seconds(self) -> int | None:
        return self.billed.over_seconds

    @property
    def sum(self) -> Decimal | None:
        return self.billed.sum

    @property
    def currency(self) -> str:
        return self.statement.currency

    @property
    def sum_words(self) -> str:
        return NOTHING if self.sum is None else money_words(self.sum, self.currency)

    @property
    def price_words(self) -> str:
        price = self.statement.price
        return "" if price is None else price_words(price, self.currency)

    @property
    def included_minutes(self) -> int | None:
        return self.statement.included_minutes

    @property
    def changes_address(self) -> str:
        """The sessions of which something came after the closing, or that came by merging."""
        closed_at = self.of_month_closed_at
        return self._address(changed_after=closed_at.isoformat() if closed_at else "")

    @property
    def minutes(self) -> str:
        return minutes_words(self.use.billed_seconds)

    @property
    def cells(self) -> list[str]:
        """Minutes on each of the page's channels come from `minutes_on`."""
        return [self.call_minutes, self.included_words, self.over_words]

    @property
    def call_minutes(self) -> str:
        return minutes_words(self.billed_call_seconds)

    @property
    def from_top_ups(self) -> str:
        """Of the call minutes; blank where there are none."""
        seconds = self.billed.counted.drawn_call_seconds
        return minutes_words(seconds) if seconds else ""

    @property
    def is_linked(self) -> bool:
        """Whether sessions can be shown to whoever asks: those of a customer who is gone are told by the number."""
        return self.kind == "statement" and (self.taken_over is None or may_see_numbers())

    @property
    def address(self) -> str:
        return self._address()

    @property
    def calls_address(self) -> str:
        return self._address(calls=True)

    def channel_address(self, channel: str) -> str:
        return self._address(channel=channel or WITHOUT)

    def _address(self, **narrowed: object) -> str:
        """The sessions as they are now; those of a customer who is gone are another's."""
        month, taken = self.of_month, self.taken_over
        customer, phone = (taken.customer.pk, taken.key) if taken else (self.number, "")
        filters = {"customer": customer, "phone": phone, **narrowed}
        return used_address(month.first_day, month.last_day, minutes=False, **filters)

    @property
    def included_words(self) -> str:
        if self.kind == "correction":
            return ""
        return "no limit" if self.included_minutes is None else number_words(self.included_minutes)

    @property
    def over_words(self) -> str:
        return NOTHING if self.over_seconds is None else minutes_words(self.over_seconds)

    @property
    def sessions_words(self) -> str:
        return signed(number_words(self.use.sessions)) if self.kind == "correction" else number_words(self.use.sessions)

    def minutes_on(self, channel: str) -> str:
        use = self.channels.get(channel)
        return minutes_words(use.billed_seconds) if use else NOTHING


def minutes_words(seconds: int) -> str:
    return signed(number_words(seconds / 60, 2))


class MonthlyStatements:
    """The statements of a month, customer by customer in the order of their ids."""

    def __init__(self, month: Month, q: str) -> None:
        self.month = month
        self.closed = StatementMonth.objects.select_related("closed_by").filter(pk=month.first_day).first()
        self.is_closed = self.closed is not None and self.closed.finished_at is not None
        # Whoever the search finds, with a session in the month or without one.
        self.searched: QuerySet[Customer] = Customer.objects.all()
        self.customers: QuerySet[Customer] = customers_of(month)
        self.lines: QuerySet[StatementLine] = StatementLine.objects.none()
        if q:
            found = named(q)
            self.searched, self.customers = self.searched.filter(found), self.customers.filter(found)
        if self.is_closed:
            assert self.closed is not None
            self.lines = _lines_about(self.closed)
            if q:
                # By what the customer was called when the month was closed, and by what it is called now.
                today = Customer.objects.filter(named(q)).values("pk")
                told = Q(customer_number__in=_told_otherwise(self.lines, q))
                self.lines = self.lines.filter(told | Q(customer_number__in=today))

    def numbers(self, after: int, most: int) -> list[int]:
        """Of the next customers after an id, those who are gone since included."""
        stored = self.lines.filter(customer_number__gt=after).order_by("customer_number").distinct()
        now = self.customers.filter(pk__gt=after).order_by("pk")
        found = {*stored.values_list("customer_number", flat=True)[:most], *now.values_list("pk", flat=True)[:most]}
        return sorted(found)[:most]

    def numbers_before(self, before: int, most: int) -> list[int]:
        """The same of those before an id, the nearest first."""
        stored = self.lines.filter(customer_number__lt=before).order_by("-customer_number").distinct()
        now = self.customers.filter(pk__lt=before).order_by("-pk")
        found = {*stored.values_list("customer_number", flat=True)[:most], *now.values_list("pk", flat=True)[:most]}
        return sorted(found, reverse=True)[:most]

    def rows(self, numbers: Sequence[int]) -> list[StatementRow]:
        if not self.is_closed:
            customers = Customer.objects.in_bulk(numbers)
            found = statements([customers[pk] for pk in numbers if pk in customers], self.month, roundings_now())
            return [StatementRow(statement, "statement", statement, self.month, None) for statement in found]
        assert self.closed is not None
        rows: dict[int, list[StatementRow]] = {number: [] for number in numbers}
        here = set(Customer.objects.filter(pk__in=numbers).values_list("pk", flat=True))
        gone = [number for number in numbers if number not in here]
        taken = taken_over(gone) if gone else {}
        lines = _lines_about(self.closed).filter(customer_number__in=numbers)
        closed_at = dict(StatementMonth.objects.values_list("pk", "closed_at"))
        for line in lines.order_by("month", "of_month"):
            number = line.customer_number
            rows[number].append(_stored_row(line, closed_at[line.of_month], taken.get(number)))
        for number, correction in corrections_of(self.closed, numbers).items():
            told, since = correction.statement, closed_at[self.month.first_day]
            rows[number].append(
                StatementRow(told, "correction", correction, self.month, None, since, taken.get(number))
            )
        # The statement first, then what is billed with it, then what was billed later.
        return [row for number in numbers for row in sorted(rows[number], key=self._place)]

    def roundings(self) -> dict[int | None, int]:
        """Those that the month is counted with: a closed one goes by its own."""
        return roundings_of(self.closed) if self.closed and self.is_closed else roundings_now()

    def _place(self, row: StatementRow) -> tuple[bool, bool]:
        return row.kind == "correction", row.billed_with != self.month

    def every_row(self) -> Iterator[StatementRow]:
        last = 0
        while numbers := steadily(partial(self.numbers, last, EXPORTED_AT_ONCE)):
            yield from steadily(partial(self.rows, numbers))
            last = numbers[-1]


def _lines_about(closed: StatementMonth) -> QuerySet[StatementLine]:
    """What was billed with a month, and what was billed later of its sessions."""
    return StatementLine.objects.filter(Q(month=closed) | Q(of_month=closed.first_day))


def called_today() -> Case:
    """What a statement calls a customer now."""
    return Case(
        When(~Q(name=""), then="name"),
        When(external_id__isnull=False, then="external_id"),
        default=Concat(Value("Customer "), Cast("pk", CharField())),
    )


def _told_otherwise(lines: QuerySet[StatementLine], q: str) -> list[int]:
    """Customers whom a search finds by what lines call them, of those who are called otherwise by now, or are gone."""
    today = Customer.objects.annotate(called=called_today(), known_by=Coalesce("external_id", Value("")))
    same = today.filter(pk=OuterRef("customer_number"), called=OuterRef("customer_name"))
    changed = lines.filter(~Exists(same.filter(known_by=OuterRef("external_id")))).order_by()
    words = words_of(q)
    rows = changed.values_list("customer_number", "customer_name", "external_id").distinct()
    return [number for number, *told in rows if words and has_words(words, told)]


def _stored_row(line: StatementLine, closed_at: datetime, taken: TakenOver | None) -> StatementRow:
    told, of_month, billed_with = stored_statement(line), Month(line.of_month), Month(line.month_id)
    if of_month == billed_with:
        return StatementRow(told, "statement", told, of_month, billed_with, None, taken)
    correction = Correction(told, told.counted, line.over_seconds, line.sum)
    return StatementRow(told, "correction", correction, of_month, billed_with, closed_at, taken)
