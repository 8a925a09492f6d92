"""Uploaded files between preview and confirmation: in the data folder, for a day at most."""

import re
import time
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from import_export.tmp_storages import BaseStorage

KEPT_SECONDS = 24 * 60 * 60


class UnknownUpload(Exception):
    """A name that no upload has."""


def uploads_folder() -> Path:
    folder: Path = settings.DATA_DIR / "uploads"
    return folder


def delete_uploads_before(moment: datetime) -> None:
    """Delete those that came until then. Whoever confirms one of them is asked to upload it again."""
    for path in uploads_folder().glob("*"):
        if _changed_at(path) <= moment.timestamp():
            path.unlink(missing_ok=True)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # deleted meanwhile
        return float("inf")


class KeptUpload(BaseStorage):
    def _folder(self) -> Path:
        folder = uploads_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _path(self) -> Path:
        if not re.fullmatch(r"[0-9a-f]{32}", self.name or ""):
            raise UnknownUpload(self.name)
        return self._folder() / self.name

    def save(self, data: bytes) -> None:
        # Nothing else cleans the folder: each upload deletes what earlier ones left behind.
        for path in self._folder().iterdir():
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink(missing_ok=True)
        self.name = uuid4().hex
        self._path().touch(mode=0o600)
        self._path().write_bytes(data)

    def read(self) -> bytes:
        return self._path().read_bytes()

    def remove(self) -> None:
        self._path().unlink(missing_ok=True)
