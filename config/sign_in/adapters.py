"""What allauth asks of an installation: whom a password or an issuer lets in, and how secrets are kept."""

import logging
import time
from typing import Any

from allauth.account import app_settings as account_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.stagekit import clear_login
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base.constants import AuthError
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from requests import RequestException

from automations.sealed import has_sealed
from automations.sealing import Sealed, SealingError, open_sealed, seal
from config.minutes import minutes
from config.oidc import DISCOVERY
from config.sign_in.guesses import MOST_LOGGED, Guess
from config.sign_in.members import NotLetIn, comes_by_issuer, let_in
from config.sign_in.staying import SHOWN_TO_ISSUER

logger = logging.getLogger("frontdesk.sign_in")


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

    def pre_login(self, request: HttpRequest, user: Any, **given: Any) -> HttpResponse | None:
        """Before second factors are asked for: whoever came with a passkey has not been looked at yet."""
        is_by_issuer = "sociallogin" in (given.get("signal_kwargs") or {})
        if user.is_active and user.is_staff and (is_by_issuer or not comes_by_issuer(user)):
            if is_by_issuer:
                # RFC 8176: "mfa" says that there was more than one factor.
                ways = given["signal_kwargs"]["sociallogin"].account.extra_data.get("amr")
                request.session[SHOWN_TO_ISSUER] = user.pk if isinstance(ways, list) and "mfa" in ways else None
            return None
        clear_login(request)
        if user.is_active and user.is_staff:
            messages.error(request, f"“{user}” signs in with {settings.OIDC.name}.")
        else:
            messages.error(request, "The account is switched off, or not one of staff.")
        return HttpResponseRedirect(reverse("account_login"))

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Whoever has neither password nor second factor shows at the issuer that it is they."""
        found = list(super().get_reauthentication_methods(user))
        if not found and user.is_authenticated and comes_by_issuer(user):
            description = f"Sign in with {settings.OIDC.name} again"
            found.append({"id": "oidc", "description": description, "url": reverse("oidc_login")})
        return found

    def is_reauthentication_required(self, *, app: str, **given: Any) -> bool:
        request = context.request
        methods = self.get_reauthentication_methods(request.user)
        if [method["id"] for method in methods] == ["oidc"]:
            records = get_authentication_records(request, request.user)
            times = [record["at"] for record in records if record.get("method") == "socialaccount"]
            return time.time() - max(times, default=0.0) > account_settings.REAUTHENTICATION_TIMEOUT
        return bool(super().is_reauthentication_required(app=app, **given))

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
        """Where the key is gone, the page says so."""
        fingerprint, _, token = encrypted_text.partition(":")
        try:
            return open_sealed(Sealed(fingerprint, token))
        except SealingError as error:
            logger.error("a second factor cannot be opened", extra={"reason": str(error)})
            text = f"Your second factor cannot be looked at. {error}"
            raise ImmediateHttpResponse(not_signed_in(context.request, text, status=503)) from error

    def generate_authenticator_name(self, user: Any, type: Authenticator.Type) -> str:  # noqa: A002 - allauth's
        return f"Key {Authenticator.objects.filter(user=user, type=type).count() + 1}"


class SingleSignOn(DefaultSocialAccountAdapter):
    """The one issuer of OIDC_ISSUER; none is kept in the database, where allauth looks, too."""

    def list_apps(self, request: HttpRequest, provider: Any = None, client_id: Any = None) -> list[SocialApp]:
        oidc = settings.OIDC
        if not oidc.issuer or provider not in (None, "openid_connect", oidc.issuer):
            return []
        return [
            SocialApp(
                provider="openid_connect",
                # Somebody is known by it and by `sub`: with another issuer all names there are others.
                provider_id=oidc.issuer,
                name=oidc.name,
                client_id=oidc.client_id,
                secret=oidc.client_secret,
                settings={"server_url": oidc.issuer.rstrip("/") + DISCOVERY},
            )
        ]

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        try:
            let_in(request, sociallogin)
        except NotLetIn as refused:
            logger.warning("not let in by single sign-on", extra={"reason": str(refused)})
            raise ImmediateHttpResponse(not_signed_in(request, str(refused), status=403)) from refused

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> None:
        raise ImmediateHttpResponse(issuer_failed(request, error, exception))


def issuer_failed(request: HttpRequest, error: str | None, exception: Exception | None) -> HttpResponse:
    """A page with words for the person; what an administrator needs is in the log."""
    name = settings.OIDC.name
    if error == AuthError.CANCELLED:
        return not_signed_in(request, f"You did not sign in with {name}, or may not use Frontdesk there.", status=403)
    if exception is None and "error" not in request.GET:
        text = "The sign-in was begun in another browser, or more than ten minutes ago. Begin it again."
        return not_signed_in(request, text, status=400)
    said = str(exception) if exception else str(request.GET.get("error", ""))[:200]
    # Strangers can ask for this page any number of times.
    if minutes.count("single sign-on failed") <= MOST_LOGGED:
        logger.error("single sign-on failed", extra={"reason": said, "issuer": settings.OIDC.issuer})
    if isinstance(exception, RequestException):
        text = f"Signing in with {name} is not possible now: the issuer cannot be reached. Try again in a minute."
        return not_signed_in(request, text, status=503)
    text = "The issuer's answer was not accepted. Begin again. If it stays so, the reason is in Frontdesk's log."
    return not_signed_in(request, text, status=400)


def not_signed_in(request: HttpRequest, text: str, *, status: int) -> HttpResponse:
    return render(request, "sign_in/not_signed_in.html", {"text": text}, status=status)
