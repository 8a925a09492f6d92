"""Copies of the SQLite database, whole also while others write: for a backup, and before migrations."""

import sqlite3
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils import timezone


def copy_before_migrations() -> Path:
    """A copy of the SQLite database beside it, named by the time."""
    original = Path(settings.DATABASES["default"]["NAME"])
    copy = original.with_name(f"{original.stem}-before-{timezone.now():%Y%m%dT%H%M%S.%fZ}{original.suffix}")
    copy_sqlite_file(copy)
    return copy


def copy_sqlite_file(copy: Path) -> None:
    """A complete copy of the SQLite database as it is at one moment, also while others write."""
    draft = copy.with_name(copy.name + ".part")  # a copy that was cut short must not look like one
    draft.touch(mode=0o600)
    connection.ensure_connection()
    target = sqlite3.connect(draft)
    try:
        connection.connection.backup(target)
    finally:
        target.close()
    draft.rename(copy)
