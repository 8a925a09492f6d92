"""A month's customers by a column of their statements, or those alone who are over."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField, Exists, Func, Max, OuterRef, Q, QuerySet, Sum

from customers.models import Customer
from sessions_app.billing.corrections import changed_since, corrections_of
from sessions_app.billing.statements import Statement, roundings_now, statements
from sessions_app.database.replica import steadily
from sessions_app.models import DailyUsage, StatementLine
from sessions_app.reports.frame.sorting import ordered
from sessions_app.reports.statement_rows import EXPORTED_AT_ONCE, MonthlyStatements, StatementRow, called_today

# What is counted for a page in well under a second.
MOST_CUSTOMERS, MOST_SESSIONS = 1_000, 100_000
CHANNEL = "channel:"
# What of a month that is not closed is known without counting its sessions.
ALWAYS_SORTED = ("customer", "sessions")

STORED: dict[str, str] = {
    "customer": "customer_name",
    "tier": "tier",
    "sessions": "sessions",
    "calls": "billed_call_seconds",
    "included": "included_minutes",
    "over": "over_seconds",
    "sum": "sum",
}
COUNTED: dict[str, Callable[[Statement], Any]] = {
    "tier": lambda statement: statement.tier,
    "calls": lambda statement: statement.counted.billed_call_seconds,
    "included": lambda statement: statement.included_minutes,
    "over": lambda statement: statement.over_seconds,
    "sum": lambda statement: None if statement.sum is None else (statement.currency, statement.sum),
}


class _BilledOn(Func):
    """Billed seconds of a line on one channel.

    Not by Django's JSON lookups: they take a channel "1" for a place. Nor by a path on SQLite: it finds no name
    that is stored with escapes, as Django does in any script but ASCII.
    """

    output_field = BigIntegerField()

    def __init__(self, channel: str) -> None:
        super().__init__("channels")
        self.channel = channel

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        column, values = compiler.compile(self.source_expressions[0])
        found = f"(SELECT JSON_EXTRACT(value, '$[2]') FROM JSON_EACH({column}) WHERE key = %s)"
        return found, (*values, self.channel)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        column, values = compiler.compile(self.source_expressions[0])
        return f"(({column} -> %s::text ->> 2)::bigint)", (*values, self.channel)


@dataclass(frozen=True)
class SortedStatements:
    """A month's statements by a column, ties by the customers' ids; what has no value comes last.

    `sort` is a name of `STORED`, or `CHANNEL` with a channel's slug, after a minus where it goes down; blank: by the
    ids. A closed month goes by the statement's own line, not by the corrections below it; who is over, by both.
    """

    monthly: MonthlyStatements
    sort: str
    only_over: bool

    @property
    def column(self) -> str:
        return self.sort.removeprefix("-")

    @property
    def is_down(self) -> bool:
        return self.sort.startswith("-")

    def check(self) -> None:
        """Raises `ValidationError` where too many sessions would have to be counted for what is asked."""
        if not self.monthly.is_closed:
            if self._is_counted and not self.may_be_counted:
                raise ValidationError(TOO_MANY)
        elif self.only_over and not self._are_few(self._changed()):
            raise ValidationError(TOO_MANY_CHANGED)

    @cached_property
    def may_be_counted(self) -> bool:
        """Whether every column of the month can be sorted."""
        return self.monthly.is_closed or self._are_few(self.monthly.customers.order_by().values_list("pk", flat=True))

    def _are_few(self, customers: QuerySet[Any, int]) -> bool:
        numbers, month = list(customers[: MOST_CUSTOMERS + 1]), self.monthly.month
        if len(numbers) > MOST_CUSTOMERS:
            return False
        days = DailyUsage.objects.filter(customer__in=numbers, day__gte=month.first_day, day__lt=month.after)
        return days.aggregate(total=Sum("sessions", default=0))["total"] <= MOST_SESSIONS

    def numbers(self, start: int, most: int | None) -> list[int]:
        """Of so many customers from a place on, counted from 0."""
        end = None if most is None else start + most
        if not self.monthly.is_closed:
            return self._counted[start:end] if self._is_counted else list(self._by_known()[start:end])
        head = self._stored()
        found = list(head[start:end])
        if len(found) == most:
            return found
        before = start + len(found) if found or not start else head.count()
        place = max(0, start - before)
        return found + list(self._newcomers()[place : None if most is None else place + most - len(found)])

    def every_row(self) -> Iterator[StatementRow]:
        """For a file: the order is read at once, so that no row is left out or comes twice while others change."""
        numbers = steadily(partial(self.numbers, 0, None))
        for start in range(0, len(numbers), EXPORTED_AT_ONCE):
            yield from steadily(partial(self.monthly.rows, numbers[start : start + EXPORTED_AT_ONCE]))

    @property
    def _is_counted(self) -> bool:
        return self.only_over or self.column not in ("", *ALWAYS_SORTED)

    @cached_property
    def _counted(self) -> list[int]:
        numbers = list(self._by_known())
        customers = Customer.objects.in_bulk(numbers)
        found = statements([customers[pk] for pk in numbers if pk in customers], self.monthly.month, roundings_now())
        if self.only_over:
            found = [statement for statement in found if statement.over_seconds]
        if self.column and self.column not in ALWAYS_SORTED:
            value = self._value
            filled = sorted((one for one in found if value(one) is not None), key=value, reverse=self.is_down)
            found = filled + [one for one in found if value(one) is None]
        return [statement.customer_number for statement in found]

    def _value(self, statement: Statement) -> Any:
        if not self.column.startswith(CHANNEL):
            return COUNTED[self.column](statement)
        use = statement.counted.channels.get(self.column.removeprefix(CHANNEL))
        return None if use is None else use.billed_seconds

    def _by_known(self) -> QuerySet[Any, int]:
        """As far as it is known without counting: by their ids otherwise."""
        customers, month = self.monthly.customers, self.monthly.month
        if self.column == "customer":
            return customers.order_by(ordered(called_today(), down=self.is_down), "pk").values_list("pk", flat=True)
        if self.column != "sessions":
            return customers.order_by("pk").values_list("pk", flat=True)
        # Added up in one pass, which also finds whose month it is: asked customer by customer it takes twice as long.
        days = {"daily_usage__day__gte": month.first_day, "daily_usage__day__lt": month.after}
        sums = self.monthly.searched.filter(**days).order_by().values("pk").annotate(total=Sum("daily_usage__sessions"))
        in_order = sums.filter(total__gt=0).order_by(ordered("total", down=self.is_down), "pk")
        return in_order.values_list("pk", flat=True)

    def _stored(self) -> QuerySet[Any, int]:
        """Of all customers who have a line."""
        closed = self.monthly.closed
        assert closed is not None
        of_it = Q(of_month=closed.first_day)
        own = of_it & Q(month=closed)
        lines: QuerySet[Any] = self.monthly.lines.order_by()
        if self.only_over:
            recounted = self._over_now
            lines = lines.exclude(customer_number__in=[number for number, over in recounted.items() if not over])
            lines = lines.values("customer_number").annotate(all_over=Sum("over_seconds", filter=of_it))
            is_over = [number for number, over in recounted.items() if over]
            lines = lines.filter(Q(all_over__gt=0) | Q(customer_number__in=is_over))
        lines = lines.values("customer_number")
        order: list[Any] = []
        if self.column == "sum":
            # Amounts of two currencies cannot be compared.
            lines = lines.annotate(in_currency=Max("currency", filter=own & Q(sum__isnull=False)))
            order.append(ordered("in_currency", down=self.is_down))
        if self.column:
            is_channel = self.column.startswith(CHANNEL)
            value = _BilledOn(self.column.removeprefix(CHANNEL)) if is_channel else STORED[self.column]
            lines = lines.annotate(sorted_by=Max(value, filter=own))
            order.append(ordered("sorted_by", down=self.is_down))
        return lines.order_by(*order, "customer_number").values_list("customer_number", flat=True)

    @cached_property
    def _over_now(self) -> dict[int, int]:
        """Of customers with a correction of a closed month that is not billed yet: the seconds over, counted anew."""
        closed = self.monthly.closed
        assert closed is not None
        numbers = list(self._changed())
        corrected = {number: found.over_seconds for number, found in corrections_of(closed, numbers).items()}
        lines = StatementLine.objects.filter(of_month=closed.first_day, customer_number__in=corrected)
        billed = dict(lines.values_list("customer_number").annotate(Sum("over_seconds", default=0)).order_by())
        return {number: billed.get(number, 0) + (over or 0) for number, over in corrected.items()}

    def _changed(self) -> QuerySet[Any, int]:
        """Of customers whose statement of a closed month may have a correction that is not billed yet."""
        assert self.monthly.closed is not None
        changed = changed_since(self.monthly.closed)
        listed = Q(customer_number__in=self.monthly.lines.values("customer_number"))
        listed |= Q(customer_number__in=self.monthly.customers.values("pk"))
        return changed.filter(listed).order_by().values_list("customer_number", flat=True).distinct()

    def _newcomers(self) -> QuerySet[Any, int]:
        """Customers with a session in a closed month and no line so far: all that they have is a correction."""
        closed = self.monthly.closed
        assert closed is not None
        billed = StatementLine.objects.filter(of_month=closed.first_day, customer_number=OuterRef("pk"))
        corrected = StatementLine.objects.filter(month=closed).exclude(of_month=closed.first_day)
        # Whoever has a line is dropped before its usage is looked for: nearly everybody has one.
        found = (Customer.objects.filter(~Exists(billed)) & self.monthly.customers).exclude(
            pk__in=corrected.values("customer_number")
        )
        if self.only_over:
            found = found.filter(pk__in=[number for number, over in self._over_now.items() if over])
        return found.order_by("pk").values_list("pk", flat=True)


TOO_MANY = (
    f"A month of more than {MOST_CUSTOMERS:,} customers or {MOST_SESSIONS:,} sessions is sorted by customer and "
    "sessions alone until it is closed: the other columns, and “Only over”, take a count of all its sessions. Close "
    "the month, or search for fewer customers."
)
TOO_MANY_CHANGED = (
    f"Too much was written since the month was closed: who is over now takes a count of the sessions of more than "
    f"{MOST_CUSTOMERS:,} customers, or of more than {MOST_SESSIONS:,} sessions. Close the next month, which bills the "
    "corrections, or search for fewer customers."
)
