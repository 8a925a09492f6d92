"""Which columns a month's list of statements has: those of the whole list, whichever page of it is shown."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

from django.db.models import QuerySet

from customers.past_limits import any_price_at
from customers.zones import zone_named
from sessions_app.billing.closing import zones_in_use
from sessions_app.billing.corrections import changed_since
from sessions_app.billing.statements import Month
from sessions_app.database.replica import read_connection
from sessions_app.models import DailyUsage, DayCell, StatementLine
from sessions_app.reports.frame.sorting import Column
from sessions_app.reports.statement_order import ALWAYS_SORTED, CHANNEL
from sessions_app.reports.statement_rows import MonthlyStatements
from sessions_app.sums.reading import cells_between, kept
from sessions_app.usage.own_days import FURTHEST_ZONE


def columns_of(channels: Mapping[str, str], *, is_counted: bool, has_sums: bool) -> list[Column]:
    """As the page has them. `channels` are labels by slug; `is_counted`: whether all of them can be sorted."""
    columns = [
        Column("customer", "Customer"),
        Column("tier", "Tier"),
        Column("sessions", "Sessions", is_number=True),
        *(Column(f"{CHANNEL}{slug}", label, is_number=True) for slug, label in channels.items()),
        Column("calls", "Call minutes", is_number=True),
        Column("included", "Included", is_number=True),
        Column("over", "Over", is_number=True),
        *([Column("sum", "Sum", is_number=True)] if has_sums else []),
    ]
    return [column if is_counted or column.name in ALWAYS_SORTED else replace(column, name="") for column in columns]


def channels_of(monthly: MonthlyStatements, *, is_counted: bool) -> set[str]:
    """The slugs of all channels with a use in the month; blank: sessions without one.

    Of a month with more customers than can be counted also those of callers who are no customers.
    """
    if monthly.closed and monthly.is_closed:
        changed = changed_since(monthly.closed).values("customer_number")
        return _channels_billed(monthly.lines) | _channels_used(changed, monthly.month)
    if is_counted:
        return _channels_used(monthly.customers.order_by().values("pk"), monthly.month)
    start, end = (datetime.combine(day, time.min, tzinfo=UTC) for day in (monthly.month.first_day, monthly.month.after))
    cells = cells_between(start - FURTHEST_ZONE, end + FURTHEST_ZONE, kept()).cells
    return {cell.channel for cell in cells if cell.outcome != DayCell.Outcome.DENIED}


def has_sums(monthly: MonthlyStatements) -> bool:
    """Whether a line has a sum, or a tier had a price when the month ended somewhere among the customers."""
    if monthly.lines.filter(sum__isnull=False).exists():
        return True
    return any_price_at({monthly.month.last_instant(zone_named(name)) for name in zones_in_use()})


def _channels_used(customers: QuerySet[Any, Any], month: Month) -> set[str]:
    days = DailyUsage.objects.filter(
        customer__in=customers, day__gte=month.first_day, day__lt=month.after, sessions__gt=0
    )
    return set(days.order_by().values_list("channel", flat=True).distinct())


def _channels_billed(lines: QuerySet[StatementLine]) -> set[str]:
    connection = read_connection()
    sql, values = lines.order_by().values("channels").query.sql_with_params()
    keys = "jsonb_object_keys(channels) FROM ({}) AS lines"
    if connection.vendor == "sqlite":
        keys = "key FROM ({}) AS lines, json_each(lines.channels)"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT {keys.format(sql)}", values)
        return {key for (key,) in cursor.fetchall()}
