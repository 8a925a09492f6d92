"""A month's statements as a file."""

from collections.abc import Sequence

from django.http.response import HttpResponseBase

from customers.currencies import in_minor_units
from customers.models import Channel
from sessions_app.billing.statements import Use
from sessions_app.reports.frame.export import Row, export
from sessions_app.reports.statement_rows import MonthlyStatements, StatementRow


def statements_file(monthly: MonthlyStatements, file_format: str) -> HttpResponseBase:
    """All rows of a month, with a column for each channel."""
    slugs = [*Channel.objects.values_list("pk", flat=True), ""]
    rows = (_as_row(row, slugs) for row in monthly.every_row())
    return export(f"statements-{monthly.month}", file_format, _columns(slugs), rows)


def _columns(slugs: Sequence[str]) -> list[str]:
    return [
        "Month", "Billed with", "Line", "Customer id", "Customer", "External id", "Tier", "Sessions", "Exact seconds",
        *(f"Minutes {slug or 'without channel'}" for slug in slugs),
        "Minutes", "Call minutes", "Included minutes", "Minutes over", "Price per minute over", "Currency", "Sum",
    ]  # fmt: skip


def _as_row(row: StatementRow, slugs: Sequence[str]) -> Row:
    def minutes(seconds: int | None) -> float | None:
        return None if seconds is None else round(seconds / 60, 4)

    return (
        str(row.of_month), str(row.billed_with or ""), row.kind, row.number, row.name, row.statement.external_id,
        row.statement.tier, row.use.sessions, row.use.seconds,
        *(minutes(row.channels.get(slug, Use()).billed_seconds) for slug in slugs),
        minutes(row.use.billed_seconds),
        minutes(row.billed_call_seconds),
        row.included_minutes if row.kind == "statement" else None,
        minutes(row.over_seconds),
        row.statement.price,
        row.currency,
        None if row.sum is None else in_minor_units(row.sum, row.currency),
    )  # fmt: skip
