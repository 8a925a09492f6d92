"""Whom single sign-on lets in: a person of the issuer's becomes an account, with the groups that OIDC_GROUPS gives."""

import re
from collections.abc import Iterable
from itertools import chain, count

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from config.models import SignInEvent
from config.sign_in.log import note

LONGEST_NAME = 100


class NotLetIn(Exception):
    """Nobody was signed in, and nothing was changed. The text is for the person: why, and what to do."""


def comes_by_issuer(user: User) -> bool:
    """Whether an account may sign in by the issuer alone: else whoever was removed there could still come in.

    Superusers never do, so that they come in while the issuer is away.
    """
    return bool(settings.OIDC.issuer) and not user.is_superuser and SocialAccount.objects.filter(user=user).exists()


def accounts_without_factor() -> QuerySet[User]:
    """Staff who sign in by a password alone. The issuer asks those who come by it what it likes."""
    lacking = User.objects.filter(is_active=True, is_staff=True).exclude(
        Exists(Authenticator.objects.filter(user=OuterRef("pk")))
    )
    if settings.OIDC.issuer:
        lacking = lacking.exclude(Exists(SocialAccount.objects.filter(user=OuterRef("pk"))), is_superuser=False)
    return lacking


def groups_given(theirs: Iterable[str]) -> set[str]:
    """Names of Frontdesk's groups for those of the issuer's."""
    return {ours for name in theirs for ours in settings.OIDC.groups.get(name, ())}


def let_in(request: HttpRequest, login: SocialLogin) -> None:
    """Give the login its account, made now where there is none, and the account its groups. Raises NotLetIn."""
    names = groups_given(login.account.extra_data.get("groups", ()))
    groups = list(Group.objects.filter(name__in=names))
    if not groups:
        raise NotLetIn(
            "None of your groups may use Frontdesk. Ask whoever manages your company's accounts to add you to one."
        )
    try:
        with transaction.atomic():
            user = login.user if login.account.pk else _account_for(login)
            _check(user)
            if login.account.pk is None:
                user.set_unusable_password()
            user.is_staff = True
            user.save()
            login.user = login.account.user = user
            login.account.save()
            before = {group.name for group in user.groups.all()}
            user.groups.set(groups)
    except IntegrityError as error:  # the same person twice at once
        raise NotLetIn("You were just signed in elsewhere for the first time. Sign in again.") from error
    now = {group.name for group in groups}
    if now != before:
        note(SignInEvent.What.GROUPS_CHANGED, user, request, ", ".join(sorted(now)))


def _account_for(login: SocialLogin) -> User:
    """An account of before with the e-mail address, if the issuer has verified it, or a new one. Raises NotLetIn."""
    email = login.user.email
    known = list(User.objects.filter(email__iexact=email)[:2]) if email else []
    if not known:
        return _new_account(login.user)
    if not any(address.email == email and address.verified for address in login.email_addresses):
        raise NotLetIn(
            f"An account with the e-mail address {email} is here already, and the issuer does not say that the address "
            "is verified. Have it verified there, or ask an administrator to change it on the account here."
        )
    if len(known) > 1:
        raise NotLetIn(f"Several accounts have the e-mail address {email}. Ask an administrator to change all but one.")
    if SocialAccount.objects.filter(user=known[0], provider=login.account.provider).exists():
        raise NotLetIn(
            f"The account with the e-mail address {email} belongs to somebody else at the issuer. Ask an administrator "
            "to change the address on that account."
        )
    return known[0]


def _new_account(user: User) -> User:
    """Under the name that it has at the issuer, with a number where that is taken."""
    wanted = re.sub(r"[^\w.@+-]", "", user.username or user.email or "user")[:LONGEST_NAME]
    alike = User.objects.filter(username__istartswith=wanted).values_list("username", flat=True)
    taken = {name.casefold() for name in alike}
    numbered = (f"{wanted}{number or ''}" for number in chain([0], count(2)))
    user.username = next(name for name in numbered if name.casefold() not in taken)
    return user


def _check(user: User) -> None:
    if user.is_superuser:
        raise NotLetIn(
            f"“{user}” is a superuser, who signs in by password, so that somebody can while the issuer is away."
        )
    if not user.is_active:
        raise NotLetIn(f"The account “{user}” is switched off. Ask an administrator to tick “Active” on its page.")


def missing_groups() -> list[str]:
    """Those that OIDC_GROUPS names, and that are not there."""
    named = {name for names in settings.OIDC.groups.values() for name in names}
    return sorted(named.difference(Group.objects.values_list("name", flat=True)))
