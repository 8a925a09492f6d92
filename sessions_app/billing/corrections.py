"""What has changed in a closed month since it was billed: a recount against its lines."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db.models import QuerySet

from customers.models import Customer
from sessions_app.billing.statements import (
    Counted,
    Month,
    Statement,
    count,
    customers_of,
    statements,
    stored_statement,
    sum_over,
)
from sessions_app.models import PastMonthWrite, StatementLine, StatementMonth
from sessions_app.sums.pruned import is_month_whole, sessions_since

# Zones are up to sixteen hours from UTC. The rest is for whoever takes a session's hour for the running one, and does
# not list its write, but stands still before it sends it.
LISTED_AFTER = timedelta(days=2)


@dataclass(frozen=True)
class Correction:
    """What is to be billed of a closed month beyond its lines: late or corrected ends, late begins, customers merged.

    `statement` names the customer as it was closed, and what was included. `sum` is the difference in its currency.
    """

    statement: Statement
    counted: Counted
    over_seconds: int | None
    sum: Decimal | None


def roundings_of(closed: StatementMonth) -> dict[int | None, int]:
    return {int(pk): step for pk, step in closed.roundings.items()}


def corrections_of(closed: StatementMonth, numbers: Sequence[int]) -> dict[int, Correction]:
    """By customer, the difference of a recount to the lines of a closed month, corrections billed since among them.

    Customers without a difference are left out. What is included stays as it was first billed. Of a month whose
    sessions are partly deleted by age nobody has one: a recount would take back what was billed.
    """
    if not is_month_whole(closed.first_day, sessions_since()):
        return {}
    month, roundings = Month(closed.first_day), roundings_of(closed)
    counted = count(numbers, month, roundings)
    lines: dict[int, list[StatementLine]] = defaultdict(list)
    for line in StatementLine.objects.filter(of_month=month.first_day, customer_number__in=numbers).order_by("pk"):
        lines[line.customer_number].append(line)
    newcomers = list(Customer.objects.filter(pk__in=[number for number in counted if number not in lines]))
    told = {}
    if newcomers:
        told = {statement.customer_number: statement for statement in statements(newcomers, month, roundings)}
    told |= {number: stored_statement(of_customer[0]) for number, of_customer in lines.items()}
    found = {}
    for number, statement in sorted(told.items()):
        correction = _correction(statement, counted.get(number, Counted()), lines[number])
        if correction.counted != Counted():
            found[number] = correction
    return found


def _correction(statement: Statement, counted: Counted, lines: Sequence[StatementLine]) -> Correction:
    billed = sum((stored_statement(line).counted for line in lines), Counted())
    over = money = None
    if statement.included_minutes is not None:
        over_now = counted.seconds_over(statement.included_minutes)
        over = over_now - sum(line.over_seconds or 0 for line in lines)
        sum_now = sum_over(over_now, statement.price, statement.currency)
        # The difference of rounded sums: all lines together come to what one statement of the whole would.
        money = None if sum_now is None else sum_now - sum(line.sum or 0 for line in lines)
    return Correction(statement, counted + -billed, over, money)


def changed_since(closed: StatementMonth) -> QuerySet[PastMonthWrite]:
    """What was written of a closed month and is not looked at by a closing yet.

    What was noted so long before the closing was stored when it counted.
    """
    noted_from = closed.closed_at - LISTED_AFTER
    return PastMonthWrite.objects.filter(month=closed.first_day, is_recounted=False, noted_at__gte=noted_from)


def customers_after(closed: StatementMonth, after: int, most: int) -> list[int]:
    """Of a closed month, the next customers with a line or a session, by their ids; those who are gone included."""
    month = Month(closed.first_day)
    lines = StatementLine.objects.filter(of_month=month.first_day, customer_number__gt=after)
    billed = lines.order_by("customer_number").values_list("customer_number", flat=True).distinct()
    now = customers_of(month, after).order_by("pk").values_list("pk", flat=True)
    return sorted({*billed[:most], *now[:most]})[:most]
