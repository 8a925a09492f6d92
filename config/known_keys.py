"""Whether a request at the webhook presents a key that this process has seen to be valid: asked in memory alone."""

from collections.abc import Mapping
from typing import Any

from customers.authentication import secrets_in
from customers.keys import known_holder
from customers.models import ApiKey


def has_known_key(environ: Mapping[str, Any]) -> bool:
    holders = (known_holder(secret) for secret in secrets_in(environ))
    return any(holder is not None and holder.may(ApiKey.Scope.WEBHOOK) for holder in holders)
