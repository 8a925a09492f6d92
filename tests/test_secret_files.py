"""Secrets that come from files."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.secret_files import LARGEST_BYTES, with_secret_files
from tests.live import manage, new_environment
from tests.test_installation import fail

SECRET = "s3cret-that-no-error-repeats"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "key").write_text(f"\ufeff  {SECRET}\r\n\n", encoding="utf-8")
    (tmp_path / "empty").write_text("\n \n")
    (tmp_path / "lines").write_text(f"{SECRET}\n{SECRET}\n")
    (tmp_path / "bytes").write_bytes(SECRET.encode() + b"\xff\xfe")
    (tmp_path / "large").write_text(SECRET + " " * LARGEST_BYTES)
    (tmp_path / "folder").mkdir()
    return tmp_path


def refused(environment, folder) -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        with_secret_files(environment, ["KEY", "OTHER"], folder)
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.pure
@pytest.mark.parametrize("is_relative", [True, False])
def test_the_file_is_the_setting_without_what_is_around_it(folder, is_relative):
    path = "key" if is_relative else str(folder / "key")
    found = with_secret_files({"KEY_FILE": path, "OTHER": "o", "HOME": "/"}, ["KEY", "OTHER"], folder)

    assert (found["KEY"], found["OTHER"], found["HOME"]) == (SECRET, "o", "/")


@pytest.mark.pure
def test_only_secrets_come_from_files(folder):
    assert "PORT" not in with_secret_files({"PORT_FILE": str(folder / "key")}, ["KEY"], folder)


@pytest.mark.pure
def test_both_set_is_refused(folder):
    said = refused({"KEY": SECRET, "KEY_FILE": str(folder / "key")}, folder)

    assert "KEY and KEY_FILE are both set" in said
    assert "Leave one of them out" in said


@pytest.mark.pure
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("missing", "cannot be read: No such file or directory. Give the path of a file"),
        ("folder", "cannot be read: Is a directory"),
        ("key/below", "cannot be read: Not a directory"),
        ("k\0", "cannot be read: this is no path"),
        ("empty", "is empty. Write the secret into it"),
        ("lines", "holds something else than one line of text. Write the secret alone into it"),
        ("bytes", "holds something else than one line of text"),
        ("large", "holds something else than one line of text"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_setting(folder, file, words):
    said = refused({"OTHER_FILE": str(folder / file)}, folder)

    assert said.startswith("OTHER_FILE: ")
    assert words in said


@pytest.mark.serial
@pytest.mark.only("sqlite")
def test_an_installation_runs_on_secrets_from_files(database_name, tmp_path):
    with new_environment(database_name, is_migrated=True, ADMIN_USERNAME="ada") as env:
        database_url = env.pop("DATABASE_URL")
        contents = {
            "SECRET_KEY": "key-from-a-file-" * 4,
            "DATABASE_URL": database_url,
            "WEBHOOK_SECRET": "webhook-secret-from-a-file",
            "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "EMAIL_URL": "smtp://user:password-from-a-file@mail.example.com:587",
            "ADMIN_PASSWORD": "password-from-a-file",
        }
        for name, content in contents.items():
            (tmp_path / name).write_text(f"{content}\n")
            env[f"{name}_FILE"] = str(tmp_path / name)
            env[name] = ""
        printed = manage(env, "setup")
        assert "as in ADMIN_PASSWORD" in printed
        assert "X-API-Key" not in printed
        shown = manage(
            env,
            "shell",
            "--no-imports",
            "--command",
            "from django.conf import settings as s; from django.contrib.auth import authenticate as a; "
            "print(s.SECRET_KEY, s.WEBHOOK_SECRET, *s.ENCRYPTION_KEYS, s.EMAIL_HOST_PASSWORD, "
            "a(username='ada', password='password-from-a-file'))",
        )
        for name in ("SECRET_KEY", "WEBHOOK_SECRET", "ENCRYPTION_KEYS"):
            assert contents[name] in shown
        assert "password-from-a-file ada" in shown

        said = fail(env | {"WEBHOOK_SECRET": "also-from-the-environment"}, "setup")
        assert said.startswith("Frontdesk's settings: WEBHOOK_SECRET and WEBHOOK_SECRET_FILE are both set")
        assert "Traceback" not in said
