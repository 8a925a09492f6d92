"""`manage.py setup`: everything that a new or upgraded installation needs before it serves. May be repeated."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from config.backups.sqlite_files import copy_before_migrations
from config.first_run import FirstRun, UsernameTaken, WeakPassword, set_up
from config.health import missing_migrations
from config.one_setup import one_setup_at_a_time
from config.secrets import close_to_others
from config.sign_in.members import missing_groups
from config.static_files import collect_static_files
from config.writable import require_writable


class Command(BaseCommand):
    help = "Bring database and static files up to date; on the first run, make the first account and webhook key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--only-static-files",
            action="store_true",
            help="collect the static files, and no more: for an image, or a folder that the service cannot write",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["only_static_files"]:
            self._collect_static_files()
            return
        require_writable()
        try:
            with one_setup_at_a_time(self._say):
                self._set_up()
        except OperationalError as error:
            raise CommandError(f"DATABASE_URL: the database does not answer: {str(error).strip()}") from error
        except (UsernameTaken, WeakPassword) as error:
            raise CommandError(str(error)) from error

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _set_up(self) -> None:
        close_to_others(settings.DATA_DIR)
        self._migrate()
        made = set_up()
        self._show(made)
        if missing := missing_groups():
            self.stdout.write(
                f"OIDC_GROUPS names {', '.join(missing)}, and there is no such group: nobody gets it by single "
                "sign-on. Name groups as they are in the admin under Groups."
            )
        self._collect_static_files()

    def _collect_static_files(self) -> None:
        try:
            collect_static_files()
        except OSError as error:
            raise CommandError(
                f"The static files cannot be collected: {error}. Run `make build` as the owner of "
                f"{settings.STATIC_ROOT.parent}."
            ) from error

    def _migrate(self) -> None:
        missing = missing_migrations()
        if not missing:
            return
        if settings.IS_SQLITE and MigrationRecorder(connection).applied_migrations():
            self.stdout.write(f"The database was copied to {copy_before_migrations()} before its migrations.")
        call_command("migrate", interactive=False, verbosity=0)
        self.stdout.write(f"The database is up to date ({len(missing)} migrations).")

    def _show(self, made: FirstRun) -> None:
        """The one time that the made-up secrets are shown."""
        address = settings.PUBLIC_URL or f"http://127.0.0.1:{settings.PORT}"
        if made.account:
            password = made.account.made_up_password or "as in ADMIN_PASSWORD"
            self.stdout.write(
                f"\nAdmin     {address}/admin/\n  user name  {made.account.username}\n  password   {password}"
            )
        if made.webhook_key:
            self.stdout.write(
                f"\nWebhook   {address}/webhooks/livetok\n"
                "  In LiveTok: Dashboard > Agents > your agent > Webhooks\n"
                f"  Begin Session URL  {address}/webhooks/livetok/begin\n"
                f"  End Session URL    {address}/webhooks/livetok/end\n"
                f"  Header             X-API-Key: {made.webhook_key}"
            )
        if made.account or made.webhook_key:
            self.stdout.write(
                "\nKeep what is new here: it is shown this once. The addresses answer once Frontdesk is up.\n"
            )
