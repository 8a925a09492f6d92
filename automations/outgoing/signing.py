"""The headers by which a receiver knows a delivery again, and that it comes from us (standardwebhooks.com)."""

import base64
import binascii
import secrets as random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from automations.outgoing.headers import checked_headers

# The names of a destination's secrets that requests are signed with.
SIGNING, SIGNING_BEFORE = "signing", "signing-before"
PREFIX = "whsec_"
FEWEST_BYTES, MOST_BYTES = 24, 64  # Standard Webhooks, "Signature scheme"


class SigningError(ValueError):
    """A secret or body that cannot be signed with. Its text is for staff, and repeats neither."""


def made_signing_secret() -> str:
    """A new secret as receivers expect it: whsec_ and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(random.token_bytes(32)).decode()


def check_signing_secret(secret: str) -> None:
    """Raises SigningError. Stricter than the library, which signs with whatever letters of a text are base64."""
    encoded = secret.removeprefix(PREFIX)
    try:
        size = len(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not (secret.startswith(PREFIX) and FEWEST_BYTES <= size <= MOST_BYTES):
        raise SigningError(
            f"A signing secret is {PREFIX} and then {FEWEST_BYTES} to {MOST_BYTES} bytes in base64. Have one made, "
            "or copy it whole."
        )


def final_headers(
    own: Mapping[str, str], *, key: str, body: bytes, secrets: Sequence[str], now: datetime
) -> dict[str, str]:
    """Staff's headers with ours over them, whatever their case. Pure.

    `key` is the delivery's uuid, the same on each attempt; `now` is the attempt's time in UTC. Of several secrets,
    while one is rotated, each signs; without any there is no signature. Raises HeaderError or SigningError.
    """
    if now.utcoffset() is None or now.utcoffset() != UTC.utcoffset(None):
        raise ValueError("now must be in UTC: the library takes any other time for UTC")
    ours = {"Idempotency-Key": key, "webhook-id": key, "webhook-timestamp": str(int(now.timestamp()))}
    if secrets:
        ours["webhook-signature"] = " ".join(_signature(secret, key, body, now) for secret in secrets)
    names = {name.lower() for name in ours} | {"webhook-signature"}
    theirs = {name: value for name, value in checked_headers(own).items() if name.lower() not in names}
    return theirs | checked_headers(ours)


def _signature(secret: str, key: str, body: bytes, now: datetime) -> str:
    check_signing_secret(secret)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise SigningError("Only text in UTF-8 can be signed.") from error
    return Webhook(secret).sign(key, now, text)
