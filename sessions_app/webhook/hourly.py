"""Counting by the hour what strangers may do any number of times: in memory, written at most once a minute."""

import threading
import time
from collections.abc import Callable
from datetime import datetime

from django.utils import timezone

from sessions_app.database.patience import DATABASE_ERRORS, note_failure
from sessions_app.database.prepared import djangos_transaction
from sessions_app.database.pulse import pulse

WRITE_EVERY_SECONDS = 60.0

# Adds a count to an hour's row, with the address and the moment of the last one.
Write = Callable[[datetime, int, str, datetime], None]


class HourlyCounter:
    """What a process has counted and not written yet. The next request after a minute writes it."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._pending: dict[datetime, int] = {}
        self._last_address = ""
        self._last_at = timezone.now()
        self._written_at: float | None = None

    def count(self, address: str) -> None:
        """Count one more, and write where it is time to."""
        with self._lock:
            self._last_at = timezone.now()
            self._last_address = address[:64]
            hour = self._last_at.replace(minute=0, second=0, microsecond=0)
            self._pending[hour] = self._pending.get(hour, 0) + 1
        self.write_when_due()

    def write_when_due(self) -> None:
        """To be called often, so that a count waits no longer than the next request after a minute."""
        if not self._pending or pulse.is_away:
            return
        with self._lock:
            now = time.monotonic()
            if self._written_at is not None and now - self._written_at < WRITE_EVERY_SECONDS:
                return
            pending, self._pending = self._pending, {}
            self._written_at = now
            address, last_at = self._last_address, self._last_at
        try:
            with djangos_transaction():
                for hour, count in pending.items():
                    self._write(hour, count, address, last_at)
        except DATABASE_ERRORS as error:
            note_failure(error)
            with self._lock:
                for hour, count in pending.items():
                    self._pending[hour] = self._pending.get(hour, 0) + count
