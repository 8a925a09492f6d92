"""Whether this account may use what Frontdesk has to read and write; if not, which file it is and what mends it."""

import errno
import os
import shutil
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

# What Frontdesk makes in its data folder. Other files there, such as old copies, are nobody's concern.
KEYS = ("secret_key", "encryption_key")
FILES = ("frontdesk.sqlite3*", "setup-lock", "clock")
FOLDERS = ("spool", "uploads", "cache", "tmp")
TEMPORARY = "tmp"


def require_writable() -> None:
    """Raise ImproperlyConfigured where SQLite's folder, or what is in it or in the data folder, cannot be used."""
    data_dir = settings.DATA_DIR
    for names, needed in ((KEYS, os.R_OK), (FILES, os.R_OK | os.W_OK), (FOLDERS, os.R_OK | os.W_OK | os.X_OK)):
        for path in sorted(path for name in names for path in data_dir.glob(name)):
            _require(path, "DATA_DIR", needed, data_dir)
    database = Path(settings.DATABASES["default"]["NAME"])
    if settings.IS_SQLITE and database.parent != data_dir and database.parent.is_dir():
        _require(database.parent, "DATABASE_URL", os.R_OK | os.W_OK | os.X_OK, database.parent)
        for path in sorted(database.parent.glob(f"{database.name}*")):
            _require(path, "DATABASE_URL", os.R_OK | os.W_OK, path)


def unusable(path: Path, setting: str, mend: Path, error: OSError | None = None) -> ImproperlyConfigured:
    """What is wrong with a path that this account cannot use. `mend` is what the command that mends it is about."""
    code = error.errno if error else None
    if code in (errno.ENOSPC, errno.EDQUOT):
        return ImproperlyConfigured(f"{setting}: {path} cannot be written, since its disk is full. Make room there")
    if code == errno.EROFS or _is_read_only(path):
        return ImproperlyConfigured(
            f"{setting}: {path} is on a file system that cannot be written. Mount one there that can be, such as a "
            f"volume (systemd: allow it by ReadWritePaths=), or let {setting} name another folder"
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return ImproperlyConfigured(
            f"{setting}: {path} is no folder, or is below something that is none. Let {setting} name another one"
        )
    user_id = os.geteuid()
    if not is_there(mend):
        said = f"cannot be made by this account (uid {user_id})"
        command = f"sudo install -d -m 700 -o {user_id} {mend}"
    else:
        said = f"cannot be used by this account (uid {user_id}{_owner_of(path)})"
        command = f"sudo chown -R {user_id} {mend}"
    return ImproperlyConfigured(
        f"{setting}: {path} {said}. Run `{command}`; for a container, run it on the host, with the path of the folder "
        "that is mounted there"
    )


def empty_temporary_folder() -> Path:
    """A folder in the data folder for what does not fit in memory, without what a killed process left there."""
    folder: Path = settings.DATA_DIR / TEMPORARY
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _require(path: Path, setting: str, needed: int, mend: Path) -> None:
    if not os.access(path, needed) and (path == mend or is_there(path)):  # else it is gone meanwhile
        raise unusable(path, setting, mend)


def is_there(path: Path) -> bool:
    """Also true where this account may not look."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _is_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _owner_of(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return ""
    return f"; it belongs to uid {state.st_uid}, with mode {state.st_mode & 0o7777:o}"
