"""Who signed in, and who changed how they sign in: in the log, and for 90 days in the admin."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.signals import password_changed, password_set
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from config.models import FailedSignIns, SignInEvent
from config.sign_in.staying import BEGAN, SEEN, SET_UP
from sessions_app.database.pieces import delete_in_pieces

KEPT = timedelta(days=90)
What = SignInEvent.What

logger = logging.getLogger("frontdesk.sign_in")


def note(what: SignInEvent.What, account: User, request: HttpRequest | None, details: str = "") -> None:
    """Keep it, and say it in the log."""
    address, browser = "", ""
    if request is not None:
        address = str(request.META.get("REMOTE_ADDR", ""))[:64]
        browser = str(request.META.get("HTTP_USER_AGENT", ""))[:200]
    SignInEvent.objects.create(account=account, what=what, details=details[:200], address=address, browser=browser)
    logger.info(what.label, extra={"username": account.get_username(), "address": address, "details": details})


def delete_old_events(should_stop: Callable[[], bool] = lambda: False) -> int:
    """Delete what is older than 90 days, and sessions that are over. Returns how many rows."""
    now = timezone.now()
    before = now - KEPT
    over = delete_in_pieces(Session.objects.filter(expire_date__lt=now).order_by("expire_date"), should_stop)
    goes_on = Session.objects.filter(session_key=OuterRef("session_key"))
    over += delete_in_pieces(UserSession.objects.filter(~Exists(goes_on)).order_by("pk"), should_stop)
    found = delete_in_pieces(SignInEvent.objects.filter(at__lt=before).order_by("at"), should_stop)
    return over + found + delete_in_pieces(FailedSignIns.objects.filter(hour__lt=before).order_by("hour"), should_stop)


@receiver(user_logged_in)
def _signed_in(request: HttpRequest, user: User, **_: Any) -> None:
    records = get_authentication_records(request, user)
    request.session[BEGAN] = request.session[SEEN] = time.time()
    request.session.set_expiry(None)  # what was only begun is kept for minutes
    note(What.SIGNED_IN, user, request, " and ".join(dict.fromkeys(map(_way, records))))


def _way(record: dict[str, Any]) -> str:
    if record.get("method") == "socialaccount":
        return "single sign-on"
    if record.get("method") != "mfa":
        return str(record.get("method", ""))
    ways = {Authenticator.Type.TOTP: "app", Authenticator.Type.RECOVERY_CODES: "recovery code"}
    return ways.get(record.get("type"), "passkey" if record.get("passwordless") else "key")


def _name_of(factor: Authenticator) -> str:
    names = {Authenticator.Type.TOTP: "app", Authenticator.Type.RECOVERY_CODES: "recovery codes"}
    return names.get(factor.type) or str(factor.wrap().name)


@receiver(user_logged_out)
def _signed_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        note(What.SIGNED_OUT, user, request)


@receiver([password_changed, password_set])
def _password_changed(request: HttpRequest, user: User, **_: Any) -> None:
    note(What.PASSWORD_CHANGED, user, request)


@receiver(authenticator_added)
def _factor_added(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    # Whoever set one up has just shown it.
    request.session[SET_UP] = True
    note(What.FACTOR_ADDED, user, request, _name_of(authenticator))


@receiver(authenticator_removed)
def _factor_removed(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    if not Authenticator.objects.filter(user=user).exists():
        request.session.pop(SET_UP, None)
    note(What.FACTOR_REMOVED, user, request, _name_of(authenticator))
