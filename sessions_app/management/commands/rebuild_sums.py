"""`rebuild_sums`: count the sums that report pages read from the sessions again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app.leases import LeaseLost
from sessions_app.models import SumsMark
from sessions_app.sums.keeping import forget_sums, keep_sums


class Command(BaseCommand):
    help = "Throw the sums for report pages away and count them again. Pages stay right meanwhile, only slower."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            forget_sums()
            keep_sums()
        except LeaseLost as error:
            raise CommandError(f"{error} Run this again.") from error
        until = SumsMark.objects.get().until
        self.stdout.write(f"The sums hold every session that started before {until}." if until else "No sessions yet.")
