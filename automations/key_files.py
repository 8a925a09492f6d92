"""Files that hold a key which Frontdesk made for itself: private, durable, and made once however many ask."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def make_key_file(path: Path, key: str) -> None:
    """Put `key` at `path`, mode 600, unless somebody was first: what is there then stands, so read it afterwards.

    On disk for good, file and name, before anybody uses it: a power cut must not leave an empty one.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    try:
        with draft.open("w") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first, whose key then stands
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
