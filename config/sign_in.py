"""The admin's sign-in: guesses are slowed, and every try is logged."""

import logging
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from config.guesses import Guess, TooManyGuesses
from config.minutes import minutes
from config.network import network_of

# Of a minute; strangers can fail any number of times, so further ones are only counted.
MOST_LOGGED = 20
LONGEST_NAME = 64

logger = logging.getLogger("frontdesk.sign_in")


class SignInForm(AdminAuthenticationForm):
    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if self.request is None or not name or not password:
            return super().clean()
        address = self.request.META.get("REMOTE_ADDR", "")
        try:
            guess = Guess(self.request, name.strip(), network_of(address))
        except TooManyGuesses as error:
            _log("sign-in put off", name, address)
            raise ValidationError(
                f"Too many wrong passwords. Wait {_in_words(error.seconds)}, then try again.", code="too_many_guesses"
            ) from error
        try:
            cleaned = super().clean()
        except ValidationError:
            _log("sign-in failed", name, address)
            raise
        # A database that is away says nothing about the password.
        except BaseException:
            guess.take_back()
            raise
        guess.was_right()
        logger.info("signed in", extra={"username": name, "address": address})
        return cleaned


def _log(what: str, name: str, address: str) -> None:
    if minutes.count(what) <= MOST_LOGGED:
        readable = "".join(letter if letter.isprintable() else "?" for letter in name[:LONGEST_NAME])
        logger.warning(what, extra={"username": readable, "address": address[:LONGEST_NAME]})


def _in_words(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} seconds" if seconds > 1 else "a second"
    minutes_left = -(-seconds // 60)
    return f"{minutes_left} minutes" if minutes_left > 1 else "a minute"
