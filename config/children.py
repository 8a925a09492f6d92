"""Child processes that do not outlive the process that started them."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ASK_AGAIN_SECONDS = 1.0

_PR_SET_PDEATHSIG = 1
# Looked up before the fork: a forked child should do next to nothing before its exec.
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform.startswith("linux") else None


def start_child(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that Ctrl-C reaches us alone and we end the others in order.

    Call it from the main thread: the kernel's signal comes when the calling *thread* ends.
    """
    return subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        start_new_session=True,
        preexec_fn=_end_with_parent(os.getpid()),
        **options,
    )


def stop_child(child: subprocess.Popen[bytes], *, patience_seconds: float, by: int = signal.SIGTERM) -> None:
    """Ask the child to end, then make sure that nothing of its process group is left."""
    give_up_at = time.monotonic() + patience_seconds
    with suppress(ProcessLookupError):
        child.send_signal(by)
    while not _has_ended(child, ASK_AGAIN_SECONDS) and time.monotonic() < give_up_at:
        # A worker of granian that is still loading takes the first signal for its parent's, and misses it.
        _signal_group(child, by)
    _signal_group(child, signal.SIGKILL)
    child.wait()


def _has_ended(child: subprocess.Popen[bytes], within_seconds: float) -> bool:
    try:
        child.wait(within_seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says the latter of zombies
        os.killpg(child.pid, number)


def _end_with_parent(parent: int) -> Callable[[], None]:
    """Linux sends the child SIGTERM when its parent dies, even by SIGKILL, when no code of ours can run any more.

    Elsewhere (macOS) there is no such thing: there, children end with us in every way but SIGKILL.
    """

    def before_exec() -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # the parent died before the kernel knew of our wish
                os._exit(1)

    return before_exec
