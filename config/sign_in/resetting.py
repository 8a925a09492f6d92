"""Taking away second factors that somebody lost."""

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest

from config.models import SignInEvent
from config.sign_in.log import note


@transaction.atomic
def reset_factors(account: User, by: str, request: HttpRequest | None = None) -> int:
    """Remove all that an account has, and sign it out everywhere: what was lost may be signed in still.

    Returns how many there were.
    """
    removed, _ = Authenticator.objects.filter(user=account).delete()
    if removed:
        for session in UserSession.objects.filter(user=account):
            session.end()
        note(SignInEvent.What.FACTORS_RESET, account, request, f"by {by}")
    return removed


def resetting_told(account: User) -> str:
    """What was done, for whoever did it."""
    return f"“{account.get_username()}” has no second factor any more, and was signed out everywhere."
