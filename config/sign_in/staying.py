"""How long somebody stays signed in, and what a sign-in must have shown where REQUIRE_MFA is set."""

import time
from collections.abc import Callable
from urllib.parse import urlencode

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from config.sign_in.guesses import failed_sign_ins

Handler = Callable[[HttpRequest], HttpResponseBase]

BEGAN, SEEN, SET_UP = "frontdesk_signed_in_at", "frontdesk_seen_at", "frontdesk_second_factor_set_up"
# Whose second factor the issuer says that it has seen: one person may begin a session, and another go on with it.
SHOWN_TO_ISSUER = "frontdesk_second_factor_shown_to_issuer_by"
# A session is written no oftener than that, however many pages somebody opens.
SEEN_EVERY_SECONDS = 300
OWN_PAGES = "/accounts/"


def signed_in_for_a_time(get_response: Handler) -> Handler:
    """Sign out who did nothing for SIGN_IN_IDLE_HOURS, or signed in SIGN_IN_DAYS ago."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not request.user.is_authenticated:
            return get_response(request)
        failed_sign_ins.write_when_due()
        now = time.time()
        began, seen = request.session.get(BEGAN, now), request.session.get(SEEN, 0)
        if seen and (why := _why_over(now - began, now - seen)):
            logout(request)
            messages.info(request, why)
            return HttpResponseRedirect(_with_next(reverse("account_login"), request))
        if now - seen >= SEEN_EVERY_SECONDS:
            request.session[BEGAN], request.session[SEEN] = began, now
            UserSession.objects.filter(session_key=request.session.session_key).update(last_seen_at=timezone.now())
        return get_response(request)

    return middleware


def _why_over(since_begin: float, since_seen: float) -> str:
    if since_seen > settings.SIGN_IN_IDLE_HOURS * 3600:
        return "You were signed out, since you did nothing here for a while."
    if since_begin > settings.SIGN_IN_DAYS * 86_400:
        return "You were signed out, since you signed in a while ago."
    return ""


def second_factor_shown(get_response: Handler) -> Handler:
    """With REQUIRE_MFA, staff who did not show a second factor can do nothing but show it, or set one up."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not settings.REQUIRE_MFA or settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return get_response(request)
        user = request.user
        if not isinstance(user, User) or has_shown_factor(request, user):
            return get_response(request)
        kinds = set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
        if not kinds:
            if request.path_info.startswith(OWN_PAGES):
                return get_response(request)
            messages.warning(request, "Set up a second factor first: it is asked of everybody here.")
            return HttpResponseRedirect(reverse("mfa_index"))
        by_code, by_key = reverse("mfa_reauthenticate"), reverse("mfa_reauthenticate_webauthn")
        if request.path_info in (by_code, by_key, reverse("account_logout")):
            return get_response(request)
        has_codes = kinds != {Authenticator.Type.WEBAUTHN.value}
        return HttpResponseRedirect(_with_next(by_code if has_codes else by_key, request))

    return middleware


def has_shown_factor(request: HttpRequest, user: User) -> bool:
    """Whether this sign-in has: by a code, a key or a passkey, by setting one up, or at the issuer."""
    if request.session.get(SHOWN_TO_ISSUER) == user.pk:
        return True
    records = get_authentication_records(request, user)
    return bool(request.session.get(SET_UP)) or any(record.get("method") == "mfa" for record in records)


def _with_next(address: str, request: HttpRequest) -> str:
    # What was sent to another page than by a link is not sent again.
    here = request.get_full_path() if request.method == "GET" else reverse("admin:index")
    return f"{address}?{urlencode({'next': here})}"
