"""`manage.py doctor`: how the installation stands, and what to do."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config.doctor.checks import examine
from config.doctor.findings import EXIT_CODES, worst_of


class Command(BaseCommand):
    help = (
        "Look at everything that can be wrong with this installation. The exit code is 0 where all is ok, 1 where "
        "something should be looked at, 2 where something is bad."
    )
    requires_system_checks: list[str] = []  # they need a database that answers; this says so itself

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object, for monitoring")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = examine()
        worst = worst_of(findings)
        if options["json"]:
            self.stdout.write(json.dumps({"state": worst, "findings": [finding.as_dict() for finding in findings]}))
        else:
            width = max(len(finding.check) for finding in findings)
            for finding in findings:
                self.stdout.write(f"{finding.state:<4}  {finding.check:<{width}}  {finding.found}")
                if finding.remedy:
                    self.stdout.write(f"{'':<4}  {'':<{width}}  -> {finding.remedy}")
        if EXIT_CODES[worst]:
            sys.exit(EXIT_CODES[worst])
