"""`manage.py backup`: the database in one file, made while Frontdesk runs; or a trial of such a file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.backups.making import make_backup, new_file, what_is_not_inside
from config.backups.record import BackupFailed
from config.backups.restoring import verify
from sessions_app.progress import Bar


class Command(BaseCommand):
    help = "Back up the database to a new file, also while Frontdesk runs. With --verify: try whether a backup is good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            type=Path,
            nargs="?",
            help="where to, such as backup.sqlite3; an existing file is not replaced. Left out: a file named by the "
            "time in BACKUP_DIR, or in the data folder's backups/",
        )
        parser.add_argument(
            "--verify",
            action="store_true",
            help="restore FILE into a scratch database, compare what is in it, and recount every sum",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path | None = options["file"]
        try:
            if options["verify"]:
                self._verify(file)
            else:
                self._make(file)
        except BackupFailed as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted. No file is left.") from None
        except OSError as error:
            raise CommandError(f"BACKUP_DIR: {error}") from error

    def _make(self, file: Path | None) -> None:
        file = file or new_file()
        record = make_backup(file, Bar(self.stderr))
        self.stdout.write(f"The backup is {file}: {record}.")
        self.stdout.write(f"{what_is_not_inside()}Keep them with it, the encryption key at another place.")

    def _verify(self, file: Path | None) -> None:
        if file is None:
            raise CommandError("file: name the backup that --verify shall try.")
        verify(file, Bar(self.stderr), self.stdout.write)
        self.stdout.write(f"{file} is good.")
