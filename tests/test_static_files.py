"""Static files are collected where their sources have changed."""

import gzip
import os
import time

import pytest

from config.static_files import collect_static_files


@pytest.fixture
def sources(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path / "collected"
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATICFILES_DIRS = [tmp_path / "sources"]
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "site.css").write_text("a {}")
    return tmp_path / "sources"


def test_they_are_collected_once(sources, settings):
    assert collect_static_files()
    assert (settings.STATIC_ROOT / "site.css").read_text() == "a {}"
    assert not collect_static_files()


def test_they_are_collected_again_when_a_file_changes_comes_or_goes(sources, settings):
    collect_static_files()
    (sources / "site.css").write_text("a { color: red }")
    later = time.time() + 5  # Django compares whole seconds
    os.utime(sources / "site.css", (later, later))
    assert collect_static_files()
    assert (settings.STATIC_ROOT / "site.css").read_text() == "a { color: red }"
    (sources / "new.css").write_text("")
    assert collect_static_files()
    (sources / "new.css").unlink()
    assert collect_static_files()
    assert not collect_static_files()


def test_they_are_compressed_once_for_all(sources, settings):
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }
    (sources / "site.css").write_text("a { color: red }\n" * 100)
    collect_static_files()

    (packed,) = settings.STATIC_ROOT.glob("site.*.css.gz")
    assert gzip.decompress(packed.read_bytes()) == (sources / "site.css").read_bytes()


def test_they_are_for_every_account_whatever_else_is_private(sources, settings):
    private = os.umask(0o077)
    try:
        collect_static_files()
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(private)
    modes = {path.stat().st_mode & 0o044 for path in [settings.STATIC_ROOT, *settings.STATIC_ROOT.rglob("*")]}
    assert modes == {0o044}


def test_a_new_date_alone_collects_nothing(sources):
    """As files get one that go through a container's image."""
    collect_static_files()
    os.utime(sources / "site.css", (0, 0))
    assert not collect_static_files()
