"""Uploaded files between preview and confirmation: in the data folder, for a day at most."""

import re
import time
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from import_export.tmp_storages import BaseStorage

from customers.importing.shown import Marks

KEPT_SECONDS = 24 * 60 * 60
# Beside the upload.
SHOWN, OUTCOME = ".shown", ".outcome"


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

    def _path(self, kind: str = "") -> Path:
        if not re.fullmatch(r"[0-9a-f]{32}", self.name or ""):
            raise UnknownUpload(self.name)
        return self._folder() / f"{self.name}{kind}"

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
        for path in (self._path(), self._path(SHOWN)):
            path.unlink(missing_ok=True)

    def keep_shown(self, marks: Marks) -> None:
        """What the preview of this file has shown."""
        self._write(SHOWN, "\n".join(marks))

    def shown(self) -> Marks:
        """Empty where it is not known: then the preview is shown anew."""
        return frozenset(self._text(SHOWN).split())

    def keep_outcome(self, text: str) -> None:
        """What came of the file, for whoever sends the confirmation twice."""
        self._write(OUTCOME, text)

    def outcome(self) -> str:
        """Blank where the file was not imported."""
        return self._text(OUTCOME)

    def _write(self, kind: str, text: str) -> None:
        path = self._path(kind)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")

    def _text(self, kind: str) -> str:
        try:
            return self._path(kind).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
