"""How fast the machine is meanwhile: where others share it, the same work takes twice as long minutes later."""

import time

STEPS = 50_000


def fixed_work_ms() -> float:
    """How long work takes that is always the same: Python's, in one thread, within the processor's caches."""
    began = time.perf_counter()
    kept: dict[int, str] = {}
    for number in range(STEPS):
        kept[number % 1000] = str(number)
    return (time.perf_counter() - began) * 1000
