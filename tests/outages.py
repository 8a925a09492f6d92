"""Taking the tests' own database away from this process, and giving it back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from sessions_app.pulse import pulse

PATIENCE_SECONDS = 10


@contextmanager
def database_away() -> Iterator[None]:
    """Nobody in this process reaches the database in this block. For tests without a transaction around them."""
    here = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = "/nowhere/at/all"
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = here
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while pulse.is_in_doubt:
            assert time.monotonic() < give_up_at, "the database is not seen to be back"
            time.sleep(0.01)
