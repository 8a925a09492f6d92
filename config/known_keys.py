"""Which keys a web process knows to be valid, so that the entrance can tell LiveTok from strangers in memory alone."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from django.db import Error, connection

from customers.authentication import secrets_in
from customers.keys import known_holder, learn_keys
from customers.models import ApiKey

LEARN_EVERY_SECONDS = 300.0
LEARN_AGAIN_SECONDS = 5.0


def has_known_key(environ: Mapping[str, Any]) -> bool:
    """Whether a request presents a key for the webhook that this process knows to be valid."""
    holders = (known_holder(secret) for secret in secrets_in(environ))
    return any(holder is not None and holder.may(ApiKey.Scope.WEBHOOK) for holder in holders)


def start_learning() -> None:
    """Know all keys from the start on, and those that come later within minutes, though nobody presents them."""
    threading.Thread(target=_learn_now_and_then, name="keys", daemon=True).start()


def _learn_now_and_then() -> None:
    while True:
        try:
            learn_keys()
            pause = LEARN_EVERY_SECONDS
        except Error:  # whoever presents a key meanwhile says that the database is away
            pause = LEARN_AGAIN_SECONDS
        finally:
            connection.close()
        time.sleep(pause)
