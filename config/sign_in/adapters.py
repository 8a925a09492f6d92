"""What allauth asks of an installation: whom a password lets in, how guesses are slowed, how secrets are kept."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest

from automations.sealed import has_sealed
from automations.sealing import Sealed, open_sealed, seal
from config.sign_in.guesses import Guess


class Accounts(DefaultAccountAdapter):
    """Staff alone sign in, by the name that an administrator gave them."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": "Name and password do not go together, or the account is not one of staff.",
        "incorrect_password": "The password is wrong.",
        "enter_current_password": "The password that you have now is another one.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Whose password it is; None where it is nobody's of staff. Raises ValidationError while guesses wait."""
        guess = Guess(request, credentials["username"])
        try:
            user = authenticate(request, **credentials)
        # A database that is away says nothing about the password.
        except BaseException:
            guess.take_back()
            raise
        if not isinstance(user, User) or not user.is_staff:
            guess.was_wrong()
            return None
        guess.was_right()
        return user

    def get_client_ip(self, request: HttpRequest) -> str:
        """As TRUSTED_PROXIES sees it, which stands in REMOTE_ADDR by now."""
        return str(request.META.get("REMOTE_ADDR", "")) or "0.0.0.0"  # noqa: S104 - of a test's client, no address to listen on

    def add_message(
        self, request: HttpRequest, level: int, message_template: str = "", *args: Any, **kwargs: Any
    ) -> None:
        """None about what the next page shows anyway: that one is signed in, or out."""
        if not message_template.startswith(("account/messages/logged_", "mfa/messages/recovery_codes_")):
            super().add_message(request, level, message_template, *args, **kwargs)


class SecondFactors(DefaultMFAAdapter):
    """Secrets of second factors are sealed as those of destinations are."""

    error_messages = DefaultMFAAdapter.error_messages | {"incorrect_code": "The code is wrong, or used up."}

    def get_totp_label(self, user: Any) -> str:
        return str(user.get_username())

    def get_totp_issuer(self) -> str:
        return f"Frontdesk {context.request.get_host()}"

    def encrypt(self, text: str) -> str:
        sealed = seal(text, has_old_secrets=has_sealed)
        return f"{sealed.fingerprint}:{sealed.token}"

    def decrypt(self, encrypted_text: str) -> str:
        """Raises SealingError where the key is gone."""
        fingerprint, _, token = encrypted_text.partition(":")
        return open_sealed(Sealed(fingerprint, token))

    def generate_authenticator_name(self, user: Any, type: Authenticator.Type) -> str:  # noqa: A002 - allauth's
        return f"Key {Authenticator.objects.filter(user=user, type=type).count() + 1}"
