"""Short transactions for whoever writes much: taking turns with LiveTok's requests, which write in between."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from django.conf import settings
from django.utils.module_loading import import_string

# Between two of them, for those who wait.
PAUSE_SECONDS = 0.02


def short_transaction() -> AbstractContextManager[None]:
    """A transaction in this thread's turn, where the database lets one write at a time."""
    transaction: Callable[[], AbstractContextManager[None]] = import_string(settings.WRITE_TURN)
    return transaction()
