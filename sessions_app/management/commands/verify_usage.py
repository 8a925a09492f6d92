"""`verify_usage`: prove that every sum equals its recount from the sessions."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.recount import differences


class Command(BaseCommand):
    help = "Recount every usage sum from the sessions. Says where one differs, and exits 1 then."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="set each sum that differs to what was counted")

    def handle(self, *args: Any, **options: Any) -> None:
        found = 0
        for difference in differences(repair=options["repair"]):
            self.stdout.write(str(difference))
            found += 1
        if not found:
            self.stdout.write("Every sum equals its recount.")
        elif options["repair"]:
            self.stdout.write(f"{found} sums were set right.")
        else:
            raise CommandError(f"{found} sums differ from their recount; --repair sets them right.", returncode=1)
