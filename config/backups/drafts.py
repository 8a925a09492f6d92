"""Files that are there whole or not at all: written under another name, synced, and only then given their own."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

ENDING = ".part"
# Whoever writes one longer than this was killed.
LEFT_OVER_SECONDS = 24 * 60 * 60.0


@contextmanager
def draft_of(final: Path) -> Iterator[Path]:
    """An empty private file to write in the block. At its end it is `final`; after an error it is gone.

    Raises FileExistsError where `final` is there already, also where it appeared meanwhile: nothing is replaced.
    """
    if final.exists():
        raise FileExistsError(f"{final} exists already")
    draft = final.with_name(f"{final.name}.{secrets.token_hex(4)}{ENDING}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield draft
        sync(draft)
        _publish(draft, final)
        sync(final.parent)
    finally:
        for left in draft.parent.glob(f"{escape(draft.name)}*"):  # SQLite's own files too
            left.unlink(missing_ok=True)


def delete_old_drafts(folder: Path, pattern: str) -> None:
    """Those that a killed process left: `pattern` names the finished files."""
    for draft in folder.glob(f"{pattern}.*{ENDING}*"):
        if is_left_over(draft):
            with suppress(OSError):
                draft.unlink()


def is_left_over(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > LEFT_OVER_SECONDS
    except OSError:
        return False


def sync(path: Path) -> None:
    """A file's content survives a power cut from now on, or a folder's names do."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(draft: Path, final: Path) -> None:
    try:
        os.link(draft, final)  # which replaces nothing, unlike a renaming
    except FileExistsError:
        raise FileExistsError(f"{final} exists already") from None
    except OSError:  # a file system without links
        if final.exists():
            raise FileExistsError(f"{final} exists already") from None
        draft.rename(final)
