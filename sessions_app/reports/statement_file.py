"""A month's statements as a file, and one customer's with its days."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from django.http.response import HttpResponseBase

from customers.currencies import in_minor_units
from customers.models import Channel
from sessions_app.billing.statements import Counted, Month, Use
from sessions_app.reports.frame.export import Row, export
from sessions_app.reports.statement_rows import StatementRow


def statements_file(month: Month, rows: Iterable[StatementRow], file_format: str) -> HttpResponseBase:
    """Rows of a month, in their order, with a column for each channel."""
    slugs = _slugs()
    return export(f"statements-{month}", file_format, _columns(slugs), (_as_row(row, slugs) for row in rows))


def statement_file(
    rows: Sequence[StatementRow], days: Mapping[date, Counted], month: Month, name: str, file_format: str
) -> HttpResponseBase:
    """One customer's rows of a month as `statements_file` has them, then its days. A column more says which day.

    Corrections of earlier months may be among the rows, but the days are of this one.
    """
    slugs, own = _slugs(), next((row for row in rows if row.of_month == month), None)
    whose = _customer(own) if own else (*_customer(rows[0])[:3], "")
    lines = [_with_day(None, _as_row(row, slugs)) for row in rows]
    lines += [_with_day(day, _day_row(whose, month, counted, slugs)) for day, counted in days.items()]
    return export(name, file_format, _with_day("Day", _columns(slugs)), lines)


def _slugs() -> list[str]:
    return [*Channel.objects.values_list("pk", flat=True), ""]


def _with_day(day: Any, row: Sequence[Any]) -> list[Any]:
    return [*row[:3], day, *row[3:]]


def _columns(slugs: Sequence[str]) -> list[str]:
    return [
        "Month", "Billed with", "Line", "Customer id", "Customer", "External id", "Tier", "Sessions", "Exact seconds",
        *(f"Minutes {slug or 'without channel'}" for slug in slugs),
        "Minutes", "Call minutes", "From top-ups", "Included minutes", "Minutes over", "Price per minute over",
        "Currency", "Sum",
    ]  # fmt: skip


def _as_row(row: StatementRow, slugs: Sequence[str]) -> Row:
    return (
        str(row.of_month), str(row.billed_with or ""), row.kind, *_customer(row), *_counted(row.billed.counted, slugs),
        row.included_minutes if row.kind == "statement" else None,
        _minutes(row.over_seconds),
        row.statement.price,
        row.currency,
        None if row.sum is None else in_minor_units(row.sum, row.currency),
    )  # fmt: skip


def _day_row(whose: Row, month: Month, counted: Counted, slugs: Sequence[str]) -> Row:
    return str(month), "", "day", *whose, *_counted(counted, slugs), None, None, None, "", None


def _customer(row: StatementRow) -> Row:
    return row.number, row.name, row.statement.external_id, row.statement.tier


def _counted(counted: Counted, slugs: Sequence[str]) -> Row:
    return (
        counted.total.sessions, counted.total.seconds,
        *(_minutes(counted.channels.get(slug, Use()).billed_seconds) for slug in slugs),
        _minutes(counted.total.billed_seconds), _minutes(counted.billed_call_seconds),
        _minutes(counted.drawn_call_seconds),
    )  # fmt: skip


def _minutes(seconds: int | None) -> float | None:
    return None if seconds is None else round(seconds / 60, 4)
