"""The backup of each night: made by the worker into BACKUP_DIR, the newest kept."""

import logging
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from config.backups.drafts import delete_old_drafts
from config.backups.making import ending, make_backup, what_is_not_inside
from config.backups.record import BackupFailed, Stopped
from config.secrets import private_folder
from customers.zones import company_zone

logger = logging.getLogger("frontdesk.worker")

HOUR = 3
KEPT = 14
AGAIN_AFTER_SECONDS = 60 * 60.0
NAME = re.compile(r"frontdesk-\d{4}-\d\d-\d\d\.(sqlite3|dump)")

ShouldStop = Callable[[], bool]


class Nightly:
    """One for the worker. Its name is a night's mark, so a second run of the same night finds that it is done."""

    def __init__(self) -> None:
        self._failed_at: float | None = None  # by time.monotonic()

    def run(self, should_stop: ShouldStop) -> None:
        """Make the backup of the night, if its hour has come and there is none."""
        if settings.BACKUP_DIR is None or self._waits():
            return
        file = settings.BACKUP_DIR / f"frontdesk-{night_of(timezone.now())}.{ending()}"
        if file.exists():
            return
        try:
            private_folder(settings.BACKUP_DIR, "BACKUP_DIR")
            delete_old_drafts(settings.BACKUP_DIR, "frontdesk-*")
            record = make_backup(file, should_stop=should_stop)
            deleted = delete_old_backups(settings.BACKUP_DIR)
        except Stopped:
            return
        except (BackupFailed, ImproperlyConfigured, OSError) as error:
            if file.exists():  # another worker was quicker
                return
            self._failed_at = time.monotonic()
            logger.error("the nightly backup failed; it is tried again in an hour", extra={"error": str(error)})
            return
        told = {"file": str(file), "rows": sum(record.rows.values()), "deleted": deleted, "note": what_is_not_inside()}
        logger.info("backup made", extra=told)

    def _waits(self) -> bool:
        return self._failed_at is not None and time.monotonic() - self._failed_at < AGAIN_AFTER_SECONDS


def night_of(moment: datetime) -> str:
    """The local day whose backup is due at that moment: until the hour has come, the day before's."""
    return f"{(moment.astimezone(company_zone()) - timedelta(hours=HOUR)).date():%Y-%m-%d}"


def nightly_backups(folder: Path) -> list[Path]:
    """Those of the worker, oldest first; whatever else is in the folder is not ours."""
    return sorted(path for path in folder.glob("frontdesk-*") if NAME.fullmatch(path.name))


def delete_old_backups(folder: Path) -> list[str]:
    """All but the newest. Returns their names."""
    old = nightly_backups(folder)[:-KEPT]
    for path in old:
        path.unlink(missing_ok=True)
    return [path.name for path in old]


nightly = Nightly()
