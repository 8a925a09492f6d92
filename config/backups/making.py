"""Making a backup, of whichever database there is."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import Error
from django.utils import timezone

from config.backups.places import reached_directly
from config.backups.postgresql_files import dump_postgresql
from config.backups.record import BackupFailed, Record
from config.backups.sqlite_files import copy_sqlite_file
from config.secrets import private_folder

ENDINGS = {True: "sqlite3", False: "dump"}


def make_backup(
    file: Path,
    progress: Callable[[float, str], None] = lambda share, words: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Record:
    """One that is whole, private, and replaces nothing, while Frontdesk runs. Raises BackupFailed and Stopped."""
    try:
        if settings.IS_SQLITE:
            return copy_sqlite_file(file, progress, should_stop)
        with reached_directly():
            return dump_postgresql(file, progress, should_stop)
    except FileExistsError as error:
        raise BackupFailed(f"{error}, and a backup is never written over. Name a new file.") from error
    except OSError as error:
        raise BackupFailed(f"{error}. Name a file in a folder that you may write to, with room for it.") from error
    except sqlite3.Error as error:
        raise BackupFailed(f"{file}: {error}. Is there room for it, and can the database be read?") from error
    except Error as error:
        raise BackupFailed(f"DATABASE_URL: the database does not answer: {str(error).strip()}") from error


def new_file() -> Path:
    """Where a backup goes that nobody has named a file for."""
    named = settings.BACKUP_DIR
    folder = private_folder(named, "BACKUP_DIR") if named else private_folder(settings.DATA_DIR / "backups")
    return folder / f"frontdesk-{timezone.now():%Y%m%dT%H%M%SZ}.{ending()}"


def ending() -> str:
    return ENDINGS[settings.IS_SQLITE]


def what_is_not_inside() -> str:
    """Said each time that a backup is made or restored."""
    folder = settings.DATA_DIR
    return (
        f"Not in a backup: {folder / 'secret_key'} and {folder / 'encryption_key'} (or the keys of your settings), "
        f"{settings.BASE_DIR / '.env'}, and requests that wait in {folder / 'spool'}. "
    )
