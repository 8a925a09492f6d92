"""`manage.py backup`: a copy of the SQLite database, made while Frontdesk runs."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.sqlite_copies import copy_sqlite_file


class Command(BaseCommand):
    help = "Copy the SQLite database to a new file, also while Frontdesk runs. For PostgreSQL there is pg_dump."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, help="where to, such as backup.sqlite3; an existing file is not replaced"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        copy: Path = options["file"]
        if not settings.IS_SQLITE:
            raise CommandError("DATABASE_URL names a PostgreSQL database: use pg_dump, as docs/operations.md says.")
        if copy.exists():
            raise CommandError(f"file: {copy} exists already, and a backup is never written over. Name a new file.")
        try:
            copy_sqlite_file(copy)
        except OSError as error:
            raise CommandError(f"file: {error}. Name a file in a folder that you may write to.") from error
        self.stdout.write(f"The database was copied to {copy}.")
