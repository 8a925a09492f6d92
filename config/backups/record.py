"""What a backup says of itself: how many rows each table had at the moment that it holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime


class BackupFailed(Exception):
    """A backup could not be made, checked or restored; says why, and what to do."""


class Stopped(Exception):
    """Whoever makes a backup was asked to stop."""


@dataclass(frozen=True)
class Record:
    """Counted in the snapshot that was copied, and kept inside the backup's own file, so that both stay together."""

    rows: Mapping[str, int]
    made_at: datetime

    @staticmethod
    def of(rows: Mapping[str, int]) -> "Record":
        """As of now. Raises BackupFailed where there is nothing: a backup is no use that is of the wrong database."""
        if not rows.get("django_migrations"):
            raise BackupFailed(
                "There is nothing to back up: Frontdesk's tables are not in this database. Is it the right one? Look "
                "at DATA_DIR and DATABASE_URL."
            )
        return Record(rows, datetime.now(UTC).replace(microsecond=0))

    def as_text(self) -> str:
        return json.dumps({"made_at": self.made_at.isoformat(), "rows": dict(self.rows)}, sort_keys=True)

    @staticmethod
    def from_text(text: str) -> "Record | None":
        """None for what `as_text` did not write: it is cut short, say."""
        try:
            values = json.loads(text)
            rows = {str(name): int(count) for name, count in values["rows"].items()}
            return Record(rows, datetime.fromisoformat(values["made_at"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def differences(self, rows: Mapping[str, int]) -> list[str]:
        """How the tables that were restored differ, each in words. Tables beyond the record do not count."""
        return [
            f"{name} has {rows[name]:,} rows instead of {wanted:,}" if name in rows else f"{name} is missing"
            for name, wanted in self.rows.items()
            if rows.get(name) != wanted
        ]

    def __str__(self) -> str:
        return f"{sum(self.rows.values()):,} rows in {len(self.rows)} tables, as of {self.made_at:%Y-%m-%d %H:%M:%S %Z}"
