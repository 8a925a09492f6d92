"""Whether the machine's clock has leapt, so that nothing is deleted by a wrong one. The worker notes it in a file."""

import logging
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

logger = logging.getLogger("frontdesk.worker")

LARGEST_STEP = timedelta(days=7)
BELIEVED_AFTER_SECONDS = 24 * 60 * 60.0


class Clock:
    """One for the worker. A leap is believed once it has stood for a day of the worker's own running."""

    def __init__(self) -> None:
        self._leapt_at: float | None = None  # by time.monotonic(), which does not leap

    def may_be_believed(self) -> bool:
        leap = clock_leap()
        if leap is not None and self._waits():
            return False
        self._leapt_at = None
        _file().write_text(timezone.now().isoformat())
        return True

    def _waits(self) -> bool:
        now = time.monotonic()
        if self._leapt_at is None:
            self._leapt_at = now
            logger.warning(
                "the clock has leapt, so nothing is deleted for a day", extra={"last_seen": str(last_seen())}
            )
        return now - self._leapt_at < BELIEVED_AFTER_SECONDS


def clock_leap() -> timedelta | None:
    """How far the clock is ahead of when the worker looked last; None where that is an ordinary step."""
    last = last_seen()
    step = timezone.now() - last if last is not None else timedelta()
    # A clock that is behind deletes too little, which mends itself.
    return step if step > LARGEST_STEP else None


def last_seen() -> datetime | None:
    """When a worker of this data folder looked at the clock, which it does every minute."""
    with suppress(OSError, ValueError):
        seen = datetime.fromisoformat(_file().read_text())
        return seen if seen.tzinfo is not None else None
    return None


def _file() -> Path:
    return settings.DATA_DIR / "clock"


clock = Clock()
