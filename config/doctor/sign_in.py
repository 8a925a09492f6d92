"""Checks of single sign-on, where OIDC_ISSUER is set."""

from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import User

from config.doctor.findings import Finding, judged
from config.sign_in.issuer import issuer_problem
from config.sign_in.members import missing_groups


def check_single_sign_on() -> Iterator[Finding]:
    if not settings.OIDC.issuer:
        return
    problem = issuer_problem()
    yield judged(
        "single sign-on",
        f"{problem}." if problem else f"{settings.OIDC.issuer} answers.",
        bad=bool(problem),
        remedy="See that OIDC_ISSUER is what the issuer calls itself, to the letter, and that this machine reaches it. "
        "Superusers sign in by password meanwhile.",
    )
    missing = missing_groups()
    yield judged(
        "groups of single sign-on",
        f"OIDC_GROUPS names {', '.join(missing)}, and there is no such group." if missing else "All of them are there.",
        bad=bool(missing),
        remedy="Name groups as they are in the admin under Groups, such as viewers, managers or administrators.",
    )
    emergency = User.objects.filter(is_superuser=True, is_staff=True, is_active=True)
    has_one = emergency.exclude(password="").exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX).exists()
    yield judged(
        "account for emergencies",
        "A superuser can sign in by password." if has_one else "No superuser can sign in by password.",
        bad=not has_one,
        remedy="Make one, so that somebody comes in while the issuer is away: manage.py createsuperuser.",
    )
