"""Writing to disk with nothing around it, at an even pace: how much of a slow answer is the machine's own."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.children import start_child, stop_child

LINE = b"x" * 500 + b"\n"


@contextmanager
def bare_writes(folder: Path, per_second: float) -> Iterator[list[tuple[float, float]]]:
    """A process of its own that writes and syncs in that folder meanwhile.

    The list is filled at the end: by time.monotonic() when each write was due, and how many seconds later it was done.
    """
    times: list[tuple[float, float]] = []
    with (folder / "bare-times").open("w+") as said:
        command = [sys.executable, "-m", "benchmarks.bare", str(folder / "bare"), str(per_second)]
        process = start_child(command, stdout=said)
        try:
            yield times
        finally:
            stop_child(process, patience_seconds=5)
            said.seek(0)
            times += [(float(due), float(seconds)) for due, seconds in map(str.split, said)]


def main() -> None:
    path, per_second = sys.argv[1], float(sys.argv[2])
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    due = time.monotonic()
    while True:
        due += 1 / per_second
        time.sleep(max(0.0, due - time.monotonic()))
        os.write(descriptor, LINE)
        os.fsync(descriptor)
        sys.stdout.write(f"{due} {time.monotonic() - due}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
