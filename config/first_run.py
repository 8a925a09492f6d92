"""What a new installation gets besides `customers.defaults`: groups, denial messages, the first account and key.

Everything here may be repeated: what is there stays as staff left it.
"""

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet

from customers.defaults import make_defaults
from customers.keys import create_key
from customers.models import ApiKey, DenialMessage
from sessions_app.decision.rules import DENIAL_MESSAGES

OWN_APPS = ("customers", "sessions_app", "automations")
KEPT_FROM_VIEWERS = (
    "view_numbers",
    "view_bodies",
    "view_apikey",
    "view_historicalapikey",
    "view_secret",
    "view_historicalsecret",
)
MANAGED_MODELS = ("customer", "phonenumber", "tier", "tierlimit", "limitoverride", "topup")
MANAGED_AUTOMATIONS = ("destination", "secret", "rule", "action", "source")


@dataclass(frozen=True)
class Account:
    """The first staff account; `made_up_password` is blank where ADMIN_PASSWORD gave one."""

    username: str
    made_up_password: str


@dataclass(frozen=True)
class FirstRun:
    """What was made just now and can be shown only now."""

    account: Account | None
    webhook_key: str | None


class UsernameTaken(Exception):
    """ADMIN_USERNAME is the name of an account that may not enter the admin."""


class WeakPassword(Exception):
    """ADMIN_PASSWORD is one that the admin itself would not take."""


@transaction.atomic
def set_up() -> FirstRun:
    make_groups()
    make_defaults()
    make_denial_messages()
    return FirstRun(make_first_account(), make_first_key())


def make_groups() -> None:
    """Make the groups that are missing. A group's permissions are given when it is made; later they are staff's."""
    for name, permissions in group_permissions().items():
        group, is_new = Group.objects.get_or_create(name=name)
        if is_new:
            group.permissions.set(permissions)


def group_permissions() -> dict[str, QuerySet[Permission]]:
    own = Q(content_type__app_label__in=OWN_APPS)
    view = own & Q(codename__startswith="view_") & ~Q(codename__in=KEPT_FROM_VIEWERS)
    manage = Q(content_type__app_label="customers") & (
        Q(content_type__model__in=MANAGED_MODELS) | Q(codename="change_channel")
    )
    # Declares an end missing: a session's page has nothing else to change.
    manage |= Q(content_type__app_label="sessions_app", codename="change_session")
    manage |= Q(content_type__app_label="automations") & (
        # Sends again: nothing else of a delivery changes.
        Q(content_type__model__in=MANAGED_AUTOMATIONS) | Q(codename="change_delivery")
    )
    accounts = Q(content_type__app_label="auth", content_type__model__in=["user", "group"])
    accounts |= Q(content_type__app_label="config", codename__startswith="view_")
    return {
        "viewers": Permission.objects.filter(view),
        "managers": Permission.objects.filter(view | manage),
        "administrators": Permission.objects.filter(own | accounts),
    }


def make_denial_messages() -> None:
    """Give every reason of this version its sentence; those that are there stay."""
    present = set(DenialMessage.objects.values_list("reason", flat=True))
    for reason, message in DENIAL_MESSAGES.items():
        if reason.value not in present:
            DenialMessage.objects.create(reason=reason.value, message=message)


def make_first_account() -> Account | None:
    """A superuser, while no staff account exists."""
    if User.objects.filter(is_staff=True).exists():
        return None
    username = settings.ADMIN_USERNAME
    if User.objects.filter(username=username).exists():
        raise UsernameTaken(
            f"ADMIN_USERNAME: there is an account {username!r} that is no staff account. "
            "Give another name, or make it one with `manage.py shell`."
        )
    made_up = "" if settings.ADMIN_PASSWORD else secrets.token_urlsafe(12)
    if settings.ADMIN_PASSWORD:
        _check_password(settings.ADMIN_PASSWORD, User(username=username))
    User.objects.create_superuser(username, password=settings.ADMIN_PASSWORD or made_up)
    return Account(username, made_up)


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        problems = " ".join(error.messages)
        raise WeakPassword(
            f"ADMIN_PASSWORD: {problems} Give another one, or leave it out to have one made up."
        ) from error


def make_first_key() -> str | None:
    """A webhook key, while there is neither a key nor WEBHOOK_SECRET."""
    if settings.WEBHOOK_SECRET or ApiKey.objects.exists():
        return None
    _, secret = create_key("LiveTok (first run)", [ApiKey.Scope.WEBHOOK])
    return secret
