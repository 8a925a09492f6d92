"""Set-up that meets another one, settings that cannot be meant, and files that are for nobody else."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from environ import Env

from config.postgresql import set_up_backup
from tests.live import ROOT, manage, new_environment


def started(env, *arguments):
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def refusal(env, *arguments, **changes):
    """What a command says that has to fail, without a traceback."""
    ended = started(env | changes, *arguments)
    _, said = ended.communicate(timeout=60)
    assert ended.returncode != 0
    assert "Traceback" not in said
    return said


@pytest.mark.serial
def test_three_setups_at_once_wait_for_each_other(database_name):
    with new_environment(database_name) as env:
        setups = [started(env, "setup") for _ in range(3)]
        ended = [(setup.communicate(timeout=120), setup.returncode) for setup in setups]

        assert [code for _, code in ended] == [0, 0, 0], ended
        printed = [out for (out, _), _ in ended]
        assert sum("X-API-Key: fd_" in out for out in printed) == 1
        assert any("waits for it" in out for out in printed)


@pytest.mark.serial
def test_files_are_private_whatever_the_folder(database_name, tmp_path):
    # On PostgreSQL, tables are no files.
    with new_environment(database_name, is_migrated=database_name == "postgresql") as env:
        folder = Path(env["DATA_DIR"])
        folder.chmod(0o755)
        manage(env, "setup")
        (folder / "spool").mkdir(exist_ok=True)
        old = folder / "spool" / "old.spool"
        old.touch()
        old.chmod(0o644)
        (folder / "theirs.txt").touch(mode=0o644)
        manage(env, "setup")

        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}

        assert {path.name for path, mode in modes.items() if mode & 0o077} == {"theirs.txt"}
        assert old in modes


SETTINGS = [
    ("DATABASE_URL", "nonsense"),
    ("DATABASE_URL", "mysql://secret-user@host/name"),
    ("DATABASE_URL", "postgres://"),
    ("DATABASE_URL", "postgres://secret-user:p@host:port/name"),
    ("DATABASE_POOLER", "session"),
    ("DATABASE_POOLER", "transaction"),  # with SQLite
    ("DATABASE_PREPARE", "yes"),  # without a pooler
    ("DATABASE_PREPARE", "perhaps"),
    ("DATABASE_URL", "postgres://secret-user:p@db1,db2:5433/name"),
    ("DATABASE_URL", "postgres://secret-user:p@db1:1,db2:2/name?target_session_attrs=any"),
    ("REPORTS_DATABASE_URL", "nonsense"),
    ("REPORTS_DATABASE_URL", "sqlite:///x.sqlite3"),
    ("REPORTS_DATABASE_URL", "postgres://secret-user:p@replica/name"),  # beside SQLite
    ("EMAIL_URL", "nonsense"),
    ("EMAIL_URL", "smtp://secret-user:p@host:port"),
    ("EMAIL_FROM", "nobody"),
    ("EMAIL_FROM", "a@b.example, c@d.example"),
    ("PORT", "65536"),
    ("PORT", "0"),
    ("WEB_PROCESSES", "0"),
    ("WEB_PROCESSES", "9" * 5000),
    ("PUBLIC_URL", "https://[nonsense"),
    ("SECRET_KEY", "a"),
    ("SECRET_KEY", "a" * 60),
    ("ENCRYPTION_KEYS", "secret-user"),
    ("ENCRYPTION_KEYS", "A" * 43 + "=,secret-user" + "A" * 30 + "="),
    ("OUTGOING_ALLOWED_HOSTS", "https://crm.internal"),
    ("OUTGOING_ALLOWED_HOSTS", "10.0.0.1/8"),
    ("OUTGOING_ALLOW_HTTP", "perhaps"),
]


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("name, value", SETTINGS)
def test_a_setting_that_cannot_be_meant_is_named(name, value, tmp_path):
    said = refusal(os.environ | {"DATA_DIR": str(tmp_path)}, "check", **{name: value})

    assert name in said
    assert "secret-user" not in said


def test_a_backup_finds_the_server_that_takes_writing_however_several_are_named():
    pooler = {"OPTIONS": {"sslmode": "require"}}

    def read(address):
        return set_up_backup(Env.db_url_config(address), pooler, is_primary_sqlite=False)

    for address in ("postgres://db1:1,db2:2/name", "postgres:///name?host=db1,db2&port=1,2"):
        taken = read(address)
        assert (taken["HOST"], taken["PORT"]) == ("db1,db2", "1,2")
        assert taken["OPTIONS"]["target_session_attrs"] == "read-write"
        assert taken["OPTIONS"]["sslmode"] == "require"
    assert "target_session_attrs" not in read("postgres://db1/name")["OPTIONS"]
    for address in (
        "postgres:///name?host=db1,db2&port=1",
        "postgres://db1:1,db2:2/name?target_session_attrs=any",
    ):
        with pytest.raises(ImproperlyConfigured, match="BACKUP_DATABASE_URL names"):
            read(address)


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("content", ["", "\n", "cut"])
def test_a_secret_key_that_was_cut_short_is_refused_at_the_start(tmp_path, content):
    (tmp_path / "secret_key").write_text(content)

    said = refusal(os.environ | {"DATA_DIR": str(tmp_path)}, "check")

    assert "empty or cut short" in said
    assert "delete it" in said


@pytest.mark.only("sqlite")
def test_an_admins_password_that_anybody_guesses_is_refused(tmp_path):
    own = {"DATA_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/x.sqlite3"}

    said = refusal(os.environ | own, "setup", ADMIN_PASSWORD="a")

    assert "ADMIN_PASSWORD: This password is too short" in said
    assert "have one made up" in said
