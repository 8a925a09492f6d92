"""Where web processes keep what they count, so that any of them can tell of all: prometheus_client's files, in places.

A place is the files of one process that runs. Whoever starts takes the lowest that is free and goes on counting there,
so there are never more of them than processes ran at once.
"""

import fcntl
import logging
import os
import shutil
from itertools import count
from pathlib import Path
from typing import IO

from django.conf import settings
from prometheus_client import values

# As prometheus_client makes them: more than all that we count needs.
FILE_BYTES = 65_536
KINDS = ("counter", "histogram")

logger = logging.getLogger("frontdesk.metrics")

_taken: list[IO[bytes]] = []  # open for as long as the process lives: the lock goes with it


def metrics_folder() -> Path:
    return settings.DATA_DIR / "metrics"


def forget_counts() -> None:
    """Begin at zero. Web processes of a predecessor that still finish their requests go on in files without a name."""
    try:
        shutil.rmtree(metrics_folder())
    except FileNotFoundError:
        return
    except OSError as error:
        logger.error("the metrics of before cannot be deleted", extra={"error": str(error)})


def count_in_files() -> None:
    """Once for each web process, before anything is counted. Where the disk takes no files, it counts in memory."""
    try:
        place = _place_with_room()
    except OSError as error:
        logger.error("metrics are counted in memory, by each web process alone", extra={"error": str(error)})
        return
    # prometheus_client finds its folder by this alone.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_folder())
    values.ValueClass = values.MultiProcessValue(lambda: place)


def counts_in_files() -> bool:
    """Whether this process does."""
    return bool(values.ValueClass._multiprocess)


def _place_with_room() -> int:
    for place in count():
        path = metrics_folder() / f"place-{place}"
        metrics_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open(path, "ab", opener=_private)  # noqa: SIM115 - kept open
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _make_room(place)
            is_ours = path.exists() and os.path.samestat(path.stat(), os.fstat(lock.fileno()))
        except BlockingIOError:
            is_ours = False
        if is_ours:  # and was not deleted by a start of `serve` meanwhile, under which others take the same place
            _taken.append(lock)
            return place
        lock.close()
    raise AssertionError("places have no end")


def _make_room(place: int) -> None:
    """Files whole on the disk: writing into the map of one that has no room there would end the process (SIGBUS)."""
    for kind in KINDS:
        path = metrics_folder() / f"{kind}_{place}.db"
        if not path.exists():
            draft = path.with_suffix(".part")
            with open(draft, "wb", opener=_private) as file:
                file.write(bytes(FILE_BYTES))
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
