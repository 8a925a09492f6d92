"""What limits a thread's wait for a database: a request's patience, some seconds, or whatever else `is_over`."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_local = threading.local()


class Limit(Protocol):
    @property
    def is_over(self) -> bool:
        """Whether to give up. Whoever waits asks every 0.1 seconds."""


class Deadline:
    """A number of seconds from now on."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._ends_at


def current_limit() -> Limit | None:
    """That of this thread's wait; None where nobody waits for an answer."""
    return getattr(_local, "limit", None)


@contextmanager
def within(limit: Limit) -> Iterator[None]:
    """Whatever waits for PostgreSQL in this block fails with an OperationalError once the limit is over."""
    before, _local.limit = current_limit(), limit
    try:
        yield
    finally:
        _local.limit = before
