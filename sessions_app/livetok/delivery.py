"""How one of LiveTok's requests reached us."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Delivery:
    """Who sent a request, from where, and by `time.perf_counter()` when.

    `is_again`: the database may have taken this very request already, without a word to us. `encoding` is what its body
    is packed in by its Content-Encoding; blank where it came as it is.
    """

    key: str = ""
    address: str = ""
    started: float = field(default_factory=time.perf_counter)
    is_again: bool = False
    encoding: str = ""

    def took_ms(self) -> float:
        return round((time.perf_counter() - self.started) * 1000, 3)
