"""What strangers could make happen any number of times: counted, and said in the log in one line a minute."""

import logging
import threading
import time
from collections import Counter

MINUTE_SECONDS = 60.0

logger = logging.getLogger("frontdesk.minutes")


class Minutes:
    """What a process counted in the minute that runs, and in the last one that is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._began = time.monotonic()
        self.last: dict[str, int] = {}

    def count(self, name: str) -> int:
        """Count one; how many it were in this minute."""
        with self._lock:
            self._counts[name] += 1
            return self._counts[name]

    def turn(self) -> None:
        """Once the minute is over, say what there was, and begin the next."""
        now = time.monotonic()
        if now - self._began < MINUTE_SECONDS:
            return
        with self._lock:
            self.last, self._counts, self._began = dict(self._counts), Counter(), now
        if self.last:
            logger.info("last minute", extra={"counts": self.last})

    def now(self) -> dict[str, int]:
        """Of this minute and the last one together."""
        with self._lock:
            return dict(Counter(self.last) + self._counts)


minutes = Minutes()
