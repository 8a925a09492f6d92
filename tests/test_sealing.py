"""Secrets at rest: which key opens them, how keys are changed, and what happens where one is gone."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from automations.key_files import make_key_file
from automations.sealing import (
    KEY_FILE,
    KeyMissingError,
    Sealed,
    SealingError,
    fingerprint_of,
    has_key,
    known_keys,
    made_key,
    open_sealed,
    reseal,
    seal,
)
from config.secrets import close_to_others

TEXT = "Bearer s3cr3t–é"


def new_key():
    return Fernet.generate_key().decode()


def none():
    return False


def some():
    return True


@pytest.fixture
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "data"
    settings.ENCRYPTION_KEYS = []
    return settings.DATA_DIR


def test_what_was_sealed_is_opened_and_shows_nothing_before(folder):
    sealed = seal(TEXT, has_old_secrets=none)

    assert open_sealed(sealed) == TEXT
    assert "s3cr3t" not in f"{sealed!r} {sealed.token}"
    assert sealed.token not in repr(sealed)
    assert sealed != seal(TEXT, has_old_secrets=some)


def test_the_key_is_made_with_the_first_secret_and_for_this_account_alone(folder):
    assert known_keys() == []
    assert not folder.exists()

    sealed = seal(TEXT, has_old_secrets=none)
    file = folder / KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]
    assert sealed.fingerprint == fingerprint_of(file.read_text())


def test_set_up_closes_the_key_to_others(folder):
    seal(TEXT, has_old_secrets=none)
    (folder / KEY_FILE).chmod(0o644)
    close_to_others(folder)

    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600


def test_many_who_ask_at_once_get_one_key(folder):
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: made_key(folder, none), range(64)))

    assert len(keys) == 1
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]


def test_a_key_that_another_process_made_meanwhile_stands(folder):
    make_key_file(folder / KEY_FILE, "first")
    make_key_file(folder / KEY_FILE, "second")

    assert (folder / KEY_FILE).read_text() == "first"
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]


def test_the_keys_file_is_on_disk_with_its_name_before_it_is_used(folder, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}")))
    made_key(folder, none)

    assert [Path(path).parent == folder for path in synced] == [True, False]
    assert synced[1] == str(folder)


def test_no_new_key_is_made_over_old_secrets(folder):
    sealed = seal(TEXT, has_old_secrets=none)
    (folder / KEY_FILE).unlink()

    for attempt in (lambda: made_key(folder, some), lambda: seal(TEXT, has_old_secrets=some)):
        with pytest.raises(KeyMissingError, match=r"encryption_key is missing.*Restore it from a backup"):
            attempt()
    with pytest.raises(KeyMissingError, match=f"{sealed.fingerprint} is missing") as error:
        open_sealed(sealed)
    with pytest.raises(KeyMissingError):
        reseal(sealed)
    assert error.value.fingerprint == sealed.fingerprint
    assert not has_key(sealed)
    assert list(folder.iterdir()) == []


def test_another_key_does_not_open_a_secret_and_the_missing_one_is_named(folder, settings):
    sealed = seal(TEXT, has_old_secrets=none)
    settings.ENCRYPTION_KEYS = [new_key()]

    with pytest.raises(KeyMissingError, match=sealed.fingerprint):
        open_sealed(sealed)


def test_keys_of_the_environment_are_used_and_no_file_is_made(folder, settings):
    settings.ENCRYPTION_KEYS = [new_key(), new_key()]
    sealed = seal(TEXT, has_old_secrets=some)

    assert sealed.fingerprint == fingerprint_of(settings.ENCRYPTION_KEYS[0])
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    assert open_sealed(sealed) == TEXT
    assert not folder.exists()


def test_a_key_is_changed_with_the_old_one_behind_the_new_one(folder, settings):
    old, new = new_key(), new_key()
    settings.ENCRYPTION_KEYS = [old]
    sealed = seal(TEXT, has_old_secrets=none)
    settings.ENCRYPTION_KEYS = [new, old]
    assert open_sealed(sealed) == TEXT

    resealed = reseal(sealed)
    assert resealed.fingerprint == fingerprint_of(new)
    assert reseal(resealed) is resealed
    settings.ENCRYPTION_KEYS = [new]
    assert open_sealed(resealed) == TEXT
    with pytest.raises(KeyMissingError):
        open_sealed(sealed)


def test_the_key_of_the_file_can_be_changed_for_one_of_the_environment(folder, settings):
    sealed = seal(TEXT, has_old_secrets=none)
    settings.ENCRYPTION_KEYS = [new_key(), (folder / KEY_FILE).read_text()]

    assert open_sealed(reseal(sealed)) == TEXT


@pytest.mark.parametrize("work", [open_sealed, reseal])
def test_a_secret_that_was_changed_is_told_from_a_missing_key(folder, settings, work):
    settings.ENCRYPTION_KEYS = [new_key()]
    sealed = seal(TEXT, has_old_secrets=none)
    settings.ENCRYPTION_KEYS = [new_key(), *settings.ENCRYPTION_KEYS]

    with pytest.raises(SealingError, match=r"was changed since\. Enter it again") as error:
        work(Sealed(sealed.fingerprint, sealed.token[:-8] + "AAAAAAA="))
    assert not isinstance(error.value, KeyMissingError)


@pytest.mark.parametrize("content", ["", "\n", "cut", "A" * 43, "é" * 44])
def test_a_key_that_was_cut_short_is_refused_and_not_replaced(folder, content):
    folder.mkdir()
    (folder / KEY_FILE).write_text(content)

    with pytest.raises(ImproperlyConfigured, match=r"empty or cut short\. Restore it"):
        seal(TEXT, has_old_secrets=none)
    assert (folder / KEY_FILE).read_text() == content


@pytest.mark.only("sqlite")
def test_commands_that_need_no_key_make_none(tmp_path):
    env = os.environ | {"DATA_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/x.sqlite3"}
    subprocess.run([sys.executable, "manage.py", "check"], env=env, check=True, capture_output=True)

    assert not (tmp_path / KEY_FILE).exists()
