"""Who fails again and again is left alone for a while. Per source and process: nothing of it is stored."""

import threading
import time
from dataclasses import dataclass

FAILURES = 5
OFF_SECONDS = 30.0


@dataclass
class _Standing:
    failures: int = 0
    off_until: float = 0.0
    is_probing: bool = False


class Breaker:
    """After five failures in a row a source is off for 30 s; then one probe decides whether it is asked again.

    Whoever may ask must note the result.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standings: dict[str, _Standing] = {}

    def may_ask(self, key: str) -> bool:
        with self._lock:
            standing = self._standings.get(key)
            if standing is None or standing.failures < FAILURES:
                return True
            if standing.is_probing or time.monotonic() < standing.off_until:
                return False
            standing.is_probing = True
            return True

    def note(self, key: str, *, is_good: bool) -> None:
        with self._lock:
            if is_good:
                self._standings.pop(key, None)
                return
            standing = self._standings.setdefault(key, _Standing())
            standing.failures += 1
            standing.is_probing = False
            if standing.failures >= FAILURES:
                standing.off_until = time.monotonic() + OFF_SECONDS

    def give_back(self, key: str) -> None:
        """Whoever might have asked did not: another may be the probe."""
        with self._lock:
            if standing := self._standings.get(key):
                standing.is_probing = False

    def forget(self) -> None:
        """As in a new process."""
        with self._lock:
            self._standings.clear()


breaker = Breaker()
