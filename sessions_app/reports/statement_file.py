"""A month's statements as a file."""

from collections.abc import Sequence

from sessions_app.billing.statements import Use
from sessions_app.reports.frame.export import Row
from sessions_app.reports.statement_rows import StatementRow


def columns(slugs: Sequence[str]) -> list[str]:
    return [
        "Month", "Billed with", "Line", "Customer id", "Customer", "External id", "Tier", "Sessions", "Exact seconds",
        *(f"Minutes {slug or 'without channel'}" for slug in slugs),
        "Minutes", "Call minutes", "Included", "Over",
    ]  # fmt: skip


def as_row(row: StatementRow, slugs: Sequence[str]) -> Row:
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
    )  # fmt: skip
