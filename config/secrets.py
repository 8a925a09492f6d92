"""The data folder, whose files are for this account alone, and the secret key that Frontdesk makes for itself."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from automations.key_files import make_key_file
from config.writable import is_there, unusable

SHORTEST_KEY = 50
OWN_FILES = ("secret_key", "encryption_key", "*.sqlite3*", "spool/**/*", "uploads/**/*")
FOR_OTHERS = 0o077


def keep_files_private() -> None:
    """Whatever this process and its children make is for this account alone, also in a folder that others may enter."""
    os.umask(FOR_OTHERS)


def close_to_others(folder: Path) -> None:
    """Take from others what they were allowed on the files that Frontdesk made in its folder."""
    for pattern in OWN_FILES:
        for path in folder.glob(pattern):
            with suppress(FileNotFoundError, PermissionError):  # gone meanwhile, or another account's
                mode = path.stat().st_mode
                if mode & FOR_OTHERS:
                    path.chmod(mode & 0o7777 & ~FOR_OTHERS)


def private_folder(folder: Path, setting: str = "DATA_DIR") -> Path:
    """`folder`, made with mode 700 where it is missing. Raises ImproperlyConfigured if it cannot be used.

    `setting` is the one that names it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(folder, setting, folder, error) from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise unusable(folder, setting, folder)
    return folder


def made_secret_key(data_dir: Path) -> str:
    """The key in `data_dir/secret_key`, made on first use; several processes may ask at once."""
    path = data_dir / "secret_key"
    try:
        if not path.exists():
            make_key_file(path, secrets.token_urlsafe(64))
        key = path.read_text(errors="replace").strip()
    except OSError as error:
        raise unusable(path if is_there(path) else data_dir, "DATA_DIR", data_dir, error) from error
    if len(key) < SHORTEST_KEY:
        raise ImproperlyConfigured(
            f"{path} is empty or cut short. Restore it from a backup, or delete it: another key is made then, and "
            "everybody has to sign in again."
        )
    return key
