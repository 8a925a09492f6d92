"""`manage.py move_to`: everything in the SQLite database goes to an empty PostgreSQL database."""

import re
import sys
import time
from getpass import getpass
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from config.backups.sqlite_files import database_file
from config.health import missing_migrations, unknown_migrations
from config.moving.moving import Moved, move
from config.moving.target import MoveFailed
from config.running import StillRuns, nothing_runs
from sessions_app.progress import Bar
from sessions_app.spool.files import spool_files, spool_folder


class Command(BaseCommand):
    help = (
        "Move everything from the SQLite database to an empty PostgreSQL database, while Frontdesk is stopped. "
        "Interrupted, it goes on where it was when it is run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", help="postgres://user:password@host:5432/name, or - to be asked for it")
        parser.add_argument("--start-over", action="store_true", help="throw away what an unfinished move has copied")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.IS_SQLITE:
            raise CommandError("DATABASE_URL names a PostgreSQL database already; move_to moves an SQLite database.")
        url = self._url(options["url"])
        began = time.monotonic()
        try:
            with nothing_runs():
                self._require_all_in_the_database()
                moved = move(database_file(), url, Bar(self.stderr), start_over=options["start_over"])
        except (StillRuns, MoveFailed) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted. Run the same command again to go on.") from None
        self._tell(moved, url, time.monotonic() - began)

    def _url(self, given: str) -> str:
        if given != "-":
            return given
        return (getpass("Address: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()

    def _require_all_in_the_database(self) -> None:
        if waiting := spool_files():
            raise CommandError(
                f"{len(waiting)} files of LiveTok's requests wait in {spool_folder()}. Start Frontdesk, wait until "
                "they are stored, stop it, and run this again."
            )
        if not database_file().exists():
            raise CommandError(f"There is no database {database_file()}: set DATA_DIR, or DATABASE_URL to it.")
        missing = missing_migrations() + unknown_migrations(MigrationRecorder(connection).applied_migrations())
        connection.close()
        if missing:
            raise CommandError(f"The database is of another version ({missing[0]}, …). Run `manage.py setup` first.")

    def _tell(self, moved: Moved, url: str, seconds: float) -> None:
        if moved.left_out:
            self.stderr.write(f"Not moved, since they are not Frontdesk's: {', '.join(moved.left_out)}.")
        self.stdout.write(
            f"Moved {moved.rows:,} rows in {moved.tables} tables in {seconds:,.0f} s; count and checksum of each are "
            "equal on both sides.\n"
            f"Now put this line into {settings.BASE_DIR / '.env'}, with the password that you gave:\n\n"
            f"DATABASE_URL={_without_password(url)}\n\n"
            "Keep the data folder: its keys are still needed. Then start Frontdesk, and say on Home "
            "that this is the real database; until then nothing is sent."
        )


def _without_password(url: str) -> str:
    """Output is kept in places where no password should be."""
    url = re.sub(r"([?&]\w*password=)[^&]*", r"\1PASSWORD", url)
    head, at, tail = url.rpartition("@")
    scheme, _, account = head.partition("://")
    user, colon, _ = account.partition(":")
    return f"{scheme}://{user}:PASSWORD@{tail}" if at and colon else url
