"""`manage.py reset_mfa NAME`: takes away somebody's second factors, where nobody who may do it can sign in."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.sign_in.resetting import reset_factors, resetting_told


class Command(BaseCommand):
    help = "Take away all second factors of an account: its password alone lets in then."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name that the account signs in with")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            account = User.objects.get(username=options["name"])
        except User.DoesNotExist as error:
            raise CommandError(
                f"There is no account {options['name']!r}. Names stand in the admin, under Users."
            ) from error
        removed = reset_factors(account, "manage.py reset_mfa")
        self.stdout.write(resetting_told(account) if removed else "It has no second factor.")
