"""Whether Frontdesk runs on this data folder: by locks on files in it, which the system frees when a process dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.conf import settings

from config.secrets import private_folder

_held: list[int] = []


class StillRuns(Exception):
    """A web server or a worker runs on this data folder; says what to do."""


class MustNotRun(Exception):
    """The database is being restored or moved by this data folder's settings; says what to do."""


def say_that_we_run() -> None:
    """For the rest of this process's life. May be called again. Raises MustNotRun."""
    if _held:
        return
    with suppress(OSError):  # a full disk must not keep LiveTok from its answers
        descriptor = _opened("running")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise MustNotRun(
                "The database is being restored or moved. Start Frontdesk when `restore` or `move_to` is done."
            ) from None
        _held.append(descriptor)


def serves_alone() -> bool:
    """Whether no other `serve` is on this data folder; then none will be, for the rest of this process's life.

    A second one would take away what the first one counts, and the files of requests that it works on.
    """
    with suppress(OSError):
        descriptor = _opened("serving")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        _held.append(descriptor)
    return True


@contextmanager
def nothing_runs() -> Iterator[None]:
    """No web server or worker of this data folder runs in the block, nor starts. Raises StillRuns."""
    descriptor = _opened("running")
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StillRuns(
                f"Frontdesk runs on {settings.DATA_DIR}, or another `restore` or `move_to` does. Stop `serve` and "
                "`worker` first; they may take ten seconds to end."
            ) from None
        yield
    finally:
        os.close(descriptor)


def _opened(name: str) -> int:
    return os.open(private_folder(settings.DATA_DIR) / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
