"""`manage.py create_api_key`: a key for LiveTok or a script."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from customers.keys import create_key
from customers.models import ApiKey

LONGEST_NAME = 100


class Command(BaseCommand):
    help = "Make an API key and print it alone. It cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="who uses the key")
        parser.add_argument(
            "--scope",
            dest="scopes",
            action="append",
            required=True,
            choices=ApiKey.Scope.values,
            help="what the key may do; may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"].strip()
        if not 1 <= len(name) <= LONGEST_NAME:
            raise CommandError(f"--name: give 1 to {LONGEST_NAME} characters.")
        try:
            _, secret = create_key(name, options["scopes"])
        except Error as error:
            raise CommandError(f"The key was not stored: {error}. Has `manage.py setup` run?") from error
        self.stdout.write(secret)
