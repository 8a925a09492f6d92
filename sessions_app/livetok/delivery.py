"""How one of LiveTok's requests reached us."""

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Delivery:
    """Who sent a request, from where, and by `time.perf_counter()` when.

    `is_again`: the database may have taken this very request already, without a word to us. `encoding` is what its body
    is packed in by its Content-Encoding; blank where it came as it is. `memory` is what one attempt to take it leaves
    to the next.
    """

    key: str = ""
    address: str = ""
    started: float = field(default_factory=time.perf_counter)
    is_again: bool = False
    encoding: str = ""
    memory: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def took_ms(self) -> float:
        return round((time.perf_counter() - self.started) * 1000, 3)
