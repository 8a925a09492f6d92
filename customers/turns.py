"""Short transactions for whoever writes much: taking turns with LiveTok's requests, which write in between."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from django.conf import settings
from django.utils.module_loading import import_string

# Between two of them, for those who wait.
PAUSE_SECONDS = 0.02
# As many rows at once as are written while nobody waits long.
FEWEST_ROWS = 10
FIRST_ROWS = 20
MOST_ROWS_AT_ONCE = 500
HOLD_SECONDS = 0.05


def short_transaction() -> AbstractContextManager[None]:
    """A transaction in this thread's turn, where the database lets one write at a time."""
    transaction: Callable[[], AbstractContextManager[None]] = import_string(settings.WRITE_TURN)
    return transaction()


def next_rows(size: int, seconds: float) -> int:
    """How many rows to write at once after `size` of them kept others waiting for `seconds`."""
    return min(max(int(size * HOLD_SECONDS / max(seconds, 0.001)), FEWEST_ROWS), MOST_ROWS_AT_ONCE)
