"""`manage.py demo`: fill an empty database with believable traffic."""

import logging
import time
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from automations.demo import make_followed
from sessions_app.demo.making import Plan, foreign_data, is_made, make_demo
from sessions_app.models import Session
from sessions_app.progress import Bar

SEED = 1
DAYS, MOST_DAYS = 90, 400
CUSTOMERS, MOST_CUSTOMERS = 300, 1000


class Command(BaseCommand):
    help = (
        "Play months of LiveTok's events into an empty database: customers on four tiers, with denials, missing ends "
        "and bad days, and what rules did in the last week. Nothing is sent. Made once, it stays as it is; a database "
        "with other data is refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=SEED, help=f"another seed, another demo (default: {SEED})")
        parser.add_argument("--days", type=int, default=DAYS, help=f"how many days (default: {DAYS})")
        parser.add_argument("--customers", type=int, default=CUSTOMERS, help=f"how many (default: {CUSTOMERS})")
        parser.add_argument("--until", default="", help="when it ends, such as 2026-03-15T10:30:00Z (default: now)")

    def handle(self, *args: Any, **options: Any) -> None:
        plan = _plan(options)
        if is_made():
            self.stdout.write("This database holds a demo already; it stays as it is.")
            return
        found = foreign_data()
        if found:
            raise CommandError(
                f"This database holds data that is no demo's ({found}), so nothing was added. "
                "Set DATA_DIR or DATABASE_URL to an empty one; `make demo` has a folder of its own."
            )
        started = time.monotonic()
        lines = logging.getLogger("frontdesk.webhook")
        level = lines.level
        # Every event would log a line, and hide the bar.
        lines.setLevel(logging.WARNING)
        try:
            bar = Bar(self.stderr)
            with transaction.atomic():
                make_demo(plan, lambda share, sessions: bar(share, f"{sessions:,} sessions"))
                make_followed(plan.seed, plan.until)
        finally:
            lines.setLevel(level)
        taken = time.monotonic() - started
        self.stdout.write(f"The demo is made: {Session.objects.count():,} sessions ({plan}) in {taken:.0f} s.")
        address = settings.PUBLIC_URL or f"http://127.0.0.1:{settings.PORT}"
        self.stdout.write(f"Look around at {address}/admin/ once Frontdesk is up.")


def _plan(options: dict[str, Any]) -> Plan:
    for name, most in (("days", MOST_DAYS), ("customers", MOST_CUSTOMERS)):
        if not 1 <= options[name] <= most:
            raise CommandError(f"--{name}: give a whole number from 1 to {most}.")
    return Plan(options["seed"], options["days"], options["customers"], _until(options["until"]))


def _until(text: str) -> datetime:
    """UTC where it has no offset."""
    if not text:
        return timezone.now().replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise CommandError("--until: give a time such as 2026-03-15T10:30:00Z.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
