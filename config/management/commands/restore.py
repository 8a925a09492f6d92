"""`manage.py restore`: a backup becomes the database, where that is empty."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.backups.making import what_is_not_inside
from config.backups.record import BackupFailed
from config.backups.restoring import restore
from sessions_app.progress import Bar
from sessions_app.spool.files import spool_files


class Command(BaseCommand):
    help = "Restore a backup into the database of DATABASE_URL, which must be empty, while Frontdesk is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="what `manage.py backup` made")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            record = restore(file, Bar(self.stderr))
        except BackupFailed as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted. The database is as empty as it was.") from None
        held = record or "it does not say what should be in it, so nothing was compared"
        self.stdout.write(f"{file} was restored: {held}.")
        self.stdout.write(f"{what_is_not_inside()}Put the keys and .env in place now.")
        if waiting := spool_files():
            self.stdout.write(f"{len(waiting)} files of requests wait on disk; the worker will store them.")
        self.stdout.write("Nothing is sent from it until staff say on Home that it is the real one.")
        self.stdout.write("Run `manage.py setup` next, then start Frontdesk.")
