"""Taking away second factors that somebody lost."""

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest

from config.models import SignInEvent
from config.sign_in.log import note


@transaction.atomic
def reset_factors(account: User, by: str, request: HttpRequest | None = None) -> int:
    """Remove all that an account has; the password alone lets in then. Returns how many there were."""
    removed, _ = Authenticator.objects.filter(user=account).delete()
    if removed:
        note(SignInEvent.What.FACTORS_RESET, account, request, f"by {by}")
    return removed
