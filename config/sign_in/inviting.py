"""Invitations: a new member of staff sets the password, by a link that came by mail."""

from smtplib import SMTPException

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from automations.outgoing.mail import NO_SERVER, has_mail_server
from config.sign_in.members import comes_by_issuer

SUBJECT = "You are invited to Frontdesk"
TEXT = """Hello {name},

{by} has made an account for you at Frontdesk. Set your password here:

{address}

The link works once, and for {days} days. You sign in with the name {username}.
"""


class InvitationError(Exception):
    """Nobody was invited. The text says why, and what to do."""


def invite(account: User, by: str) -> None:
    """Send the mail. Raises InvitationError; nothing was changed then."""
    if not account.email:
        raise InvitationError(f"“{account}” has no e-mail address. Enter one on the account's page.")
    if not (account.is_active and account.is_staff):
        raise InvitationError(f"“{account}” may not sign in. Tick “Active” and “Staff status” on the account's page.")
    if comes_by_issuer(account):
        raise InvitationError(f"“{account}” signs in with {settings.OIDC.name}, and needs no password.")
    if not has_mail_server():
        raise InvitationError(NO_SERVER)
    if not settings.PUBLIC_URL:
        raise InvitationError("PUBLIC_URL is not set, so a link would lead nowhere. Set it and start Frontdesk again.")
    text = TEXT.format(
        name=account.get_full_name() or account.get_username(),
        by=by,
        address=settings.PUBLIC_URL + _path(account),
        days=settings.PASSWORD_RESET_TIMEOUT // 86_400,
        username=account.get_username(),
    )
    try:
        send_mail(SUBJECT, text, None, [account.email])
    except (OSError, SMTPException, ValueError) as error:
        raise InvitationError(f"The mail to {account.email} was not taken: {error}") from error


def _path(account: User) -> str:
    uid = urlsafe_base64_encode(force_bytes(account.pk))
    return reverse("invitation", args=[uid, default_token_generator.make_token(account)])
