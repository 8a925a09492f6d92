"""What is said of a folder or file that cannot be used. That it is noticed is shown in `test_deployed.py`."""

import errno
import os

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.secrets import private_folder
from config.writable import empty_temporary_folder, unusable

pytestmark = pytest.mark.pure


def said(path, code=None) -> str:
    return str(unusable(path, "DATA_DIR", path, OSError(code, os.strerror(code)) if code else None))


def test_each_cause_has_its_remedy(tmp_path):
    uid = os.geteuid()
    assert "its disk is full. Make room" in said(tmp_path, errno.ENOSPC)
    assert "is on a file system that cannot be written. Mount one there" in said(tmp_path, errno.EROFS)
    assert f"it belongs to uid {uid}, with mode 700). Run `sudo chown -R {uid} {tmp_path}`" in said(
        tmp_path, errno.EACCES
    )
    missing = tmp_path / "a/b"
    assert f"cannot be made by this account (uid {uid}). Run `sudo install -d -m 700 -o {uid} {missing}`" in said(
        missing, errno.EACCES
    )


def test_a_folder_that_is_none_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(ImproperlyConfigured, match=f"DATA_DIR: {path} is no folder"):
            private_folder(path)


def test_what_a_killed_process_left_is_gone(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    folder = empty_temporary_folder()
    (folder / "upload").write_text("x")

    assert list(empty_temporary_folder().iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o700
