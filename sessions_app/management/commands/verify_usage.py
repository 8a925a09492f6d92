"""`verify_usage`: prove that every sum equals its recount from the sessions."""

from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.leases import LeaseLost
from sessions_app.sums.keeping import keep_sums
from sessions_app.sums.proving import sum_differences
from sessions_app.sums.pruned import first_whole_day, sessions_since
from sessions_app.usage.recount import differences


class Command(BaseCommand):
    help = "Recount every sum, for limits and for reports, from the sessions. Tells what differs, and exits 1 then."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="set each sum that differs to what was counted")

    def handle(self, *args: Any, **options: Any) -> None:
        found = 0
        repair = options["repair"]
        for difference in chain(differences(repair=repair), sum_differences(repair=repair)):
            self.stdout.write(str(difference))
            found += 1
        since = sessions_since()
        if since is not None:
            self.stdout.write(
                f"Sessions from before {since:%Y-%m-%d %H:%M} UTC were deleted by age: what is summed of then stays, "
                f"and cannot be recounted. Customers' usage is recounted from {first_whole_day(since)} on."
            )
        if not found:
            self.stdout.write("Every sum equals its recount.")
        elif repair:
            try:
                keep_sums()
            except LeaseLost as error:
                raise CommandError(f"{error} Run this again.") from error
            self.stdout.write(f"{found} sums were set right.")
        else:
            raise CommandError(f"{found} sums differ from their recount; --repair sets them right.", returncode=1)
