"""System checks: what is wrong with the environment's settings, in words, and how to mend it."""

from typing import Any

import phonenumbers
from django.conf import settings
from django.core import checks

from automations.outgoing.mail import has_mail_server
from config.secrets import SHORTEST_KEY
from sessions_app.periods import LEAST_RETENTION_DAYS

SHORTEST_SECRET = 16
FEWEST_CHARACTERS = 5


@checks.register
def check_phone_region(**kwargs: Any) -> list[checks.CheckMessage]:
    region = settings.PHONE_REGION
    if not region or region in phonenumbers.SUPPORTED_REGIONS:
        return []
    return [
        checks.Error(
            f"PHONE_REGION is {region!r}, which is no region of the numbering plans.",
            hint="Give two letters such as GB, or leave it out to read numbers in international form alone.",
            id="frontdesk.E001",
        )
    ]


@checks.register
def check_event_retention(**kwargs: Any) -> list[checks.CheckMessage]:
    if settings.EVENT_RETENTION_DAYS >= 1:
        return []
    return [
        checks.Error(
            f"EVENT_RETENTION_DAYS is {settings.EVENT_RETENTION_DAYS}; every request would be forgotten at once.",
            hint="Give the number of days that LiveTok's requests are kept, 1 or more.",
            id="frontdesk.E002",
        )
    ]


@checks.register
def check_session_retention(**kwargs: Any) -> list[checks.CheckMessage]:
    if settings.SESSION_RETENTION_DAYS == 0 or settings.SESSION_RETENTION_DAYS >= LEAST_RETENTION_DAYS:
        return []
    return [
        checks.Error(
            f"SESSION_RETENTION_DAYS is {settings.SESSION_RETENTION_DAYS}. A month could not be closed any more, and "
            "what changed in it since could not be billed.",
            hint=f"Give {LEAST_RETENTION_DAYS} days or more, or leave it out: then sessions are kept for good.",
            id="frontdesk.E005",
        )
    ]


@checks.register
def check_event_retention_by_size(**kwargs: Any) -> list[checks.CheckMessage]:
    if settings.EVENT_RETENTION_MB >= 1:
        return []
    return [
        checks.Error(
            f"EVENT_RETENTION_MB is {settings.EVENT_RETENTION_MB}; no ignored or rejected request could be looked at.",
            hint="Give how many megabytes of ignored and rejected requests are kept, 1 or more.",
            id="frontdesk.E004",
        )
    ]


@checks.register(checks.Tags.security)
def check_webhook_secret(**kwargs: Any) -> list[checks.CheckMessage]:
    if not settings.WEBHOOK_SECRET or len(settings.WEBHOOK_SECRET) >= SHORTEST_SECRET:
        return []
    return [
        checks.Warning(
            f"WEBHOOK_SECRET is shorter than {SHORTEST_SECRET} characters, so it can be guessed.",
            hint="Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
            id="frontdesk.W001",
        )
    ]


@checks.register(checks.Tags.security, deploy=True)
def check_public_url(**kwargs: Any) -> list[checks.CheckMessage]:
    if settings.IS_HTTPS:
        return []
    return [
        checks.Warning(
            "PUBLIC_URL is not https, so passwords, keys and phone numbers travel in clear.",
            hint="Put a proxy with TLS in front, and set PUBLIC_URL to its address: https://frontdesk.example.com",
            id="frontdesk.W002",
        )
    ]


@checks.register(checks.Tags.security)
def check_secret_key(**kwargs: Any) -> list[checks.CheckMessage]:
    key = settings.SECRET_KEY
    if len(key) >= SHORTEST_KEY and len(set(key)) >= FEWEST_CHARACTERS:
        return []
    return [
        checks.Error(
            f"SECRET_KEY has fewer than {SHORTEST_KEY} characters, or hardly any different ones: whoever guesses it "
            "can sign in as anybody.",
            hint="Leave SECRET_KEY out, and one is made up and kept in the data folder; or make one with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(64))'. Everybody signs in again, and nothing else "
            "changes.",
            id="frontdesk.E003",
        )
    ]


@checks.register
def check_sender(**kwargs: Any) -> list[checks.CheckMessage]:
    if settings.HAS_SENDER or not has_mail_server():
        return []
    return [
        checks.Warning(
            "EMAIL_URL is set, and EMAIL_FROM is not: mails would be from frontdesk@localhost, which servers refuse.",
            hint="Give EMAIL_FROM an address such as frontdesk@example.com, or set PUBLIC_URL: its host is used then.",
            id="frontdesk.W003",
        )
    ]
