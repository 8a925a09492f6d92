"""The statement of one customer and month: a page to print, from the same rows as the list of statements."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from customers.access import zone_of
from customers.currencies import money_words
from customers.models import Customer
from customers.past_limits import limits_at
from sessions_app.billing.closing import closable_from
from sessions_app.billing.statements import Counted, Month, count_by_day
from sessions_app.database.snapshots import one_snapshot
from sessions_app.reports.frame.export import FORMATS
from sessions_app.reports.frame.figures import NOTHING, used_address
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.statement_file import statement_file
from sessions_app.reports.statement_rows import MonthlyStatements, StatementRow, minutes_words
from sessions_app.reports.statements import CLOSED_DEFINITION, DEFINITION, month_of

DAYS_DEFINITION = (
    "Sessions on the day on which they started in the customer's time zone, each rounded as its tier says. Days are "
    "counted from the sessions as they are now: together they are the statement and its corrections."
)


class _Told:
    """What was counted, in words."""

    counted: Counted

    @property
    def minutes(self) -> str:
        return minutes_words(self.counted.total.billed_seconds)

    @property
    def call_minutes(self) -> str:
        return minutes_words(self.counted.billed_call_seconds)


@dataclass(frozen=True)
class DayRow(_Told):
    day: date
    counted: Counted
    customer_id: int

    @property
    def sessions(self) -> int:
        return self.counted.total.sessions

    @property
    def address(self) -> str:
        return used_address(self.day, self.day, customer=self.customer_id)

    @property
    def calls_address(self) -> str:
        return used_address(self.day, self.day, customer=self.customer_id, calls=True)


@dataclass(frozen=True)
class Total(_Told):
    """Of what is billed with one month: the statement, and corrections of months closed before."""

    counted: Counted
    over: str
    sums: str


@report
def statement_page(request: HttpRequest, pk: int, month: str) -> HttpResponseBase:
    """One customer's statement of a month; one who is gone since has it too, if the month was closed before."""
    of_month = month_of(month)
    if of_month is None or not of_month.has_begun(timezone.now()):
        raise Http404("No such month so far.")
    with one_snapshot():  # so that the days add up to the rows
        monthly = MonthlyStatements(of_month, "")
        rows = monthly.rows([pk])
        customer = Customer.objects.filter(pk=pk).first()
        days = count_by_day(pk, of_month, monthly.roundings())
    if customer is None and not rows:
        raise Http404("Nobody with this number has a statement of the month.")
    file_format = request.GET.get("format")
    if file_format in FORMATS and rows:
        return statement_file(rows, days, of_month, f"statement-{pk}-{of_month}", file_format)
    # A closed month keeps the name of then; who had none is called as on every page.
    name = rows[0].name if rows and not (customer and rows[0].name == f"Customer {pk}") else str(customer)
    context: dict[str, Any] = {
        "title": f"Statement of {name}, {of_month.first_day:%B %Y}",
        "name": name,
        "number": pk,
        "customer": customer,
        "month": of_month,
        "next": of_month.next if of_month.next.has_begun(timezone.now()) else None,
        "zone": zone_of(customer).key if customer else "",
        "closed": monthly.closed,
        "is_closed": monthly.is_closed,
        "is_over": timezone.now() >= closable_from(of_month),
        "rows": rows,
        # Beside it may stand a correction of an earlier month, of another tier and price.
        "told": next((row for row in rows if row.of_month == of_month), None),
        "has_sums": any(row.sum is not None for row in rows),
        "total": _total_of(rows, of_month) if monthly.is_closed else None,
        "limits": limits_at(customer, of_month.last_instant(zone_of(customer))) if customer else (),
        "days": [DayRow(day, counted, pk) for day, counted in days.items()],
        "definition": DEFINITION,
        "closed_definition": CLOSED_DEFINITION,
        "days_definition": DAYS_DEFINITION,
    }
    return page(request, "reports/statement.html", context)


def _total_of(rows: Sequence[StatementRow], month: Month) -> Total | None:
    """Of what is billed with the month; None where that is one row, which says it itself."""
    billed = [row for row in rows if row.billed_with == month]
    if len(billed) < 2:
        return None
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in billed:
        if row.sum is not None:
            sums[row.currency] += row.sum
    over = [row.over_seconds for row in billed if row.over_seconds is not None]
    return Total(
        sum((row.billed.counted for row in billed), Counted()),
        minutes_words(sum(over)) if over else NOTHING,
        " + ".join(money_words(money, currency) for currency, money in sums.items()) or NOTHING,
    )
