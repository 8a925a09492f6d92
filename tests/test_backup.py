"""Backups and restores as `docs/operations.md` says: its own commands are run, while events come in."""

import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql

from automations.deliveries.copies import confirm_this_one, is_copy, may_send
from automations.models import Installation
from benchmarks.livetok import LiveTok
from benchmarks.stored import Findings, findings
from config import running
from config.backups import drafts, places, postgresql_files, programs, sqlite_files
from config.backups.places import working_on
from config.backups.record import BackupFailed
from config.backups.restoring import restore, verify
from config.running import MustNotRun, StillRuns, nothing_runs, say_that_we_run
from customers.models import Customer
from sessions_app.models import DailyUsage, Session
from tests.builders import make_customer, make_tier
from tests.databases import SERVER_URL
from tests.live import ROOT, manage, new_environment, running_server, start_server, wait_until_ready
from tests.pooling import pooler

CUSTOMERS = 50
ENOUGH = 100
PATIENCE_SECONDS = 60


pytestmark = pytest.mark.usefixtures("pg_programs")


def documented() -> list[str]:
    """The commands that make a backup, try it, and restore it."""
    chapter = (ROOT / "docs/operations.md").read_text().partition("\n## Backups\n")[2].partition("\n## ")[0]
    return re.findall(r"^```bash\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)


def run(commands: str, folder: Path, env: dict[str, str]) -> str:
    """In a folder that looks like a checkout, where `data/` is the data folder."""
    for name, target in {".venv": Path(sys.prefix), "manage.py": ROOT / "manage.py", "data": env["DATA_DIR"]}.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env=env, check=True, timeout=120, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def wait_for(livetok: LiveTok, events: int) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while livetok.ledger.acknowledged < events and time.monotonic() < give_up_at:
        time.sleep(0.05)


def with_path(env: dict[str, str]) -> dict[str, str]:
    return env | {"PATH": os.environ["PATH"]}


@pytest.mark.serial
def test_a_backup_made_under_load_is_good_and_restores_what_was_answered_before_it(database_name, tmp_path):
    back_up, try_it, restore_it = documented()
    with running_server(database_name, WEB_PROCESSES="1") as server:
        livetok = LiveTok(int(server.env["PORT"]), server.webhook_key, CUSTOMERS, seed=1)
        with livetok.sending(connections=4):
            wait_for(livetok, ENOUGH)
            before = [replace(event, answers=list(event.answers)) for event in list(livetok.ledger.events)]
            said = run(back_up, tmp_path, with_path(server.env))
            wait_for(livetok, livetok.ledger.acknowledged + ENOUGH)
        assert "encryption_key" in said
        with pytest.raises(AssertionError, match="Stop `serve` and `worker`"):
            manage(server.env, "restore", str(tmp_path / "backup.frontdesk"))
        assert "is good" in run(try_it, tmp_path, with_path(server.env))
        secret_key = (server.folder / "secret_key").read_bytes()
        sent = livetok.ledger.events

    with new_environment(database_name, WEB_PROCESSES="1") as env:
        (Path(env["DATA_DIR"]) / "secret_key").write_bytes(secret_key)
        said = run(restore_it, tmp_path, with_path(env))
        assert "encryption_key" in said
        assert "setup" in said
        assert manage(env, "setup") == ""
        assert "Every sum equals its recount." in manage(env, "verify_usage")
        restored = start_server(env, webhook_key=server.webhook_key)
        try:
            wait_until_ready(restored)
            there = [replace(event, tries=later.tries) for event, later in zip(before, sent, strict=False)]
            assert findings(there, env["DATABASE_URL"]) == Findings(0, 0, 0, 0, 0)
            assert sum(bool(event.answers) for event in there) >= ENOUGH
            assert findings(sent, env["DATABASE_URL"]).lost > 0, "nothing was sent while the backup was made"
        finally:
            restored.stop()


@pytest.mark.django_db(transaction=True)
def test_a_backup_is_private_and_replaces_no_file(tmp_path):
    copy = tmp_path / "backup"
    call_command("backup", copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    content = copy.read_bytes()

    with pytest.raises(CommandError, match="exists already"):
        call_command("backup", copy)
    with pytest.raises(CommandError, match="nowhere"):
        call_command("backup", tmp_path / "nowhere" / "backup")
    assert copy.read_bytes() == content
    assert list(tmp_path.iterdir()) == [copy]


def test_an_empty_database_is_no_backup(empty_database, tmp_path):
    with pytest.raises(CommandError, match="nothing to back up"):
        call_command("backup", tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


@pytest.mark.django_db(transaction=True)
def test_a_backup_without_a_name_goes_to_backup_dir(settings, tmp_path):
    settings.BACKUP_DIR = tmp_path / "kept"
    call_command("backup")
    (file,) = settings.BACKUP_DIR.iterdir()
    assert re.fullmatch(r"frontdesk-\d{8}T\d{6}Z\.(sqlite3|dump)", file.name)
    assert stat.S_IMODE(settings.BACKUP_DIR.stat().st_mode) == 0o700


@pytest.mark.serial
def test_a_backup_whose_process_is_killed_leaves_nothing_that_looks_like_one(database_name, tmp_path, monkeypatch):
    with new_environment(database_name, is_migrated=True) as env:
        manage(env, "demo", "--days", "3", "--customers", "5")
        # Where it would be published, it stands still instead.
        code = "import time; from config.backups import drafts; drafts._publish = lambda *names: time.sleep(60); "
        code += f"from django.core.management import call_command; call_command('backup', {str(tmp_path / 'b')!r})"
        process = subprocess.Popen([sys.executable, "manage.py", "shell", "-c", code], cwd=ROOT, env=with_path(env))
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not any(file.stat().st_size > 10_000 for file in tmp_path.iterdir()) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    names = [file.name for file in tmp_path.iterdir()]
    assert names
    assert all(drafts.ENDING in name for name in names)


def test_what_killed_backups_left_is_deleted_after_a_day(tmp_path):
    old, new = tmp_path / "frontdesk-2026-01-01.dump.0a.part", tmp_path / "frontdesk-2026-01-02.dump.0b.part"
    strange = tmp_path / "theirs.dump.0c.part"
    for file in (old, new, strange):
        file.touch()
    for file in (old, strange):
        os.utime(file, (0, 0))
    drafts.delete_old_drafts(tmp_path, "frontdesk-*")
    assert sorted(tmp_path.iterdir()) == [new, strange]


@pytest.fixture
def backup(transactional_db, tmp_path) -> Path:
    """A backup of a database that may send, has a customer and a sum that is right."""
    make_customer(make_tier())
    confirm_this_one()
    file = tmp_path / "backup"
    call_command("backup", file)
    return file


def quiet(*said: object) -> None:
    pass


def test_a_restored_database_has_the_rows_and_sends_nothing_until_staff_say_so(backup, empty_database):
    record = restore(backup, quiet)
    assert record.rows["customers_customer"] == 1
    assert is_copy()
    assert not may_send()
    with connection.cursor() as cursor:
        assert "frontdesk_backup" not in connection.introspection.table_names(cursor)
    confirm_this_one()
    assert may_send()


def test_a_backup_of_a_database_that_nobody_knew_yet_is_silent_too(transactional_db, tmp_path, request):
    Installation.objects.all().delete()
    file = tmp_path / "backup"
    call_command("backup", file)
    request.getfixturevalue("empty_database")
    restore(file, quiet)
    assert is_copy()


def test_nothing_is_restored_over_a_database_that_is_not_empty(backup):
    with pytest.raises(BackupFailed, match=r"not empty \(account_emailaddress, .*auth_group"):
        restore(backup, quiet)


def test_nothing_is_restored_while_frontdesk_runs(backup, empty_database, settings, tmp_path):
    with running_elsewhere(), pytest.raises(BackupFailed, match="Stop `serve`"):
        restore(backup, quiet)


def running_elsewhere():
    """A process that says it runs on this data folder, until it is closed."""
    code = "from config.running import say_that_we_run; say_that_we_run(); print('runs', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"runs\n"

    class Running:
        def close(self) -> None:
            process.kill()
            process.communicate()

    return closing(Running())


def test_frontdesk_does_not_start_while_a_restore_runs(monkeypatch):
    monkeypatch.setattr(running, "_held", [])  # an earlier test of this process may have started something
    with nothing_runs():
        with pytest.raises(MustNotRun, match="restored or moved"):
            say_that_we_run()
        with pytest.raises(StillRuns):
            nothing_runs().__enter__()


def test_a_backup_of_a_newer_version_is_refused(transactional_db, tmp_path, request):
    later = MigrationRecorder(connection)
    later.record_applied("customers", "9999_later")
    try:
        file = tmp_path / "backup"
        call_command("backup", file)
    finally:
        later.record_unapplied("customers", "9999_later")
    request.getfixturevalue("empty_database")
    with pytest.raises(BackupFailed, match=r"newer version .*customers\.9999_later"):
        restore(file, quiet)
    assert connection.introspection.table_names() == []


@pytest.mark.parametrize("share", [0.3, 0.95])
def test_a_backup_that_was_cut_short_is_refused_and_restores_nothing(backup, empty_database, share):
    content = backup.read_bytes()
    backup.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BackupFailed, match=r"cut short|damaged"):
        verify(backup, quiet, quiet)
    with pytest.raises(BackupFailed):
        restore(backup, quiet)
    assert connection.introspection.table_names() == []


@pytest.mark.only("sqlite")  # pg_restore finds it by itself
def test_a_row_that_is_damaged_is_found_before_anything_is_restored(backup, empty_database):
    with closing(sqlite3.connect(backup)) as copy:
        [page] = copy.execute("SELECT rootpage FROM sqlite_master WHERE name = 'customers_customer'").fetchone()
        [size] = copy.execute("PRAGMA page_size").fetchone()
    content = bytearray(backup.read_bytes())
    pointer = (page - 1) * size + 8  # where in the page its one row is; a count does not look there
    content[pointer : pointer + 2] = b"\xff\xff"
    backup.write_bytes(content)
    with pytest.raises(BackupFailed, match="damaged"):
        restore(backup, quiet)
    assert connection.introspection.table_names() == []


def test_a_record_that_was_cut_short_is_none(backup, database_name):
    if database_name == "sqlite":
        with closing(sqlite3.connect(backup, isolation_level=None)) as copy:
            copy.execute(f"UPDATE {sqlite_files.RECORD_TABLE} SET value = substr(value, 1, 50)")
    else:
        backup.write_bytes(backup.read_bytes()[:-50])
    with pytest.raises(BackupFailed, match="does not say"):
        verify(backup, quiet, quiet)


def test_a_backup_of_something_else_is_refused_and_restores_nothing(empty_database, tmp_path, database_name):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE theirs (id integer)")
    file = tmp_path / "theirs"
    if database_name == "sqlite":
        file.write_bytes(Path(empty_database).read_bytes())
    else:
        reached, environment = programs.connection_of_programs()
        pg_dump = programs.program("pg_dump", 0).path
        subprocess.run(
            [pg_dump, "--format=custom", f"--file={file}", f"--dbname={reached}"], check=True, env=environment
        )
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE theirs")
    with pytest.raises(BackupFailed, match="of something else"):
        restore(file, quiet)
    assert connection.introspection.table_names() == []


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_a_file_that_is_no_backup_is_refused(transactional_db, tmp_path, content):
    file = tmp_path / "backup"
    file.write_bytes(content)
    with pytest.raises(BackupFailed, match="no backup"):
        restore(file, quiet)
    with pytest.raises(BackupFailed, match="No such file"):
        verify(tmp_path / "none", quiet, quiet)


def test_a_backup_of_the_other_database_is_refused(transactional_db, tmp_path, database_name):
    file = tmp_path / "backup"
    file.write_bytes(b"PGDMP" if database_name == "sqlite" else b"SQLite format 3\0")
    match = "DATABASE_URL to an empty one" if database_name == "sqlite" else "move_to"
    with pytest.raises(BackupFailed, match=match):
        restore(file, quiet)


def test_a_backup_is_tried_without_touching_the_database(backup):
    tables = set(connection.introspection.table_names())
    verify(backup, quiet, quiet)
    assert set(connection.introspection.table_names()) == tables
    assert is_copy() is False


def test_verify_notices_rows_that_are_missing(transactional_db, tmp_path, monkeypatch):
    make_customer(make_tier())
    monkeypatch.setattr(
        "config.backups.record.Record.as_text",
        lambda self: '{"made_at": "2026-01-01T00:00:00+00:00", "rows": {"customers_customer": 2, "gone": 1}}',
    )
    file = tmp_path / "backup"
    call_command("backup", file)
    with pytest.raises(BackupFailed, match=r"customers_customer has 1 rows instead of 2; gone is missing"):
        verify(file, quiet, quiet)


def test_verify_recounts_the_sums(transactional_db, tmp_path):
    customer = make_customer(make_tier())
    DailyUsage.objects.create(customer=customer, day="2026-01-01", sessions=5, seconds=300)
    assert not Session.objects.exists()
    file = tmp_path / "backup"
    call_command("backup", file)
    with pytest.raises(BackupFailed, match="sums differ"):
        verify(file, quiet, quiet)


@pytest.mark.only("sqlite")
def test_what_a_killed_trial_left_is_deleted_after_a_day(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    old, new = tmp_path / "verifying-old", tmp_path / "verifying-new"
    for folder in (old, new):
        folder.mkdir()
    (old / "scratch.sqlite3").touch()
    os.utime(old, (0, 0))
    with places.scratch_file() as scratch:
        assert set(tmp_path.iterdir()) == {new, scratch.parent}
    assert list(tmp_path.iterdir()) == [new]


@pytest.mark.only("sqlite")
def test_a_log_that_a_moved_database_left_behind_is_not_mixed_with_the_restored_one(backup, empty_database):
    Path(f"{empty_database}-wal").touch()
    with pytest.raises(BackupFailed, match="-wal belongs to"):
        restore(backup, quiet)


@pytest.mark.only("postgresql")
def test_programs_that_are_missing_or_too_old_are_named_with_their_package(transactional_db, tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match=r"pg_dump.*none was found.*postgresql-client-\d+"):
        call_command("backup", tmp_path / "b")
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    old.chmod(0o755)
    with pytest.raises(CommandError, match=r"pg_dump is of version 9"):
        call_command("backup", tmp_path / "b")


@pytest.mark.only("postgresql")
def test_the_oldest_program_that_knows_the_server_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "PLACES", (f"{tmp_path}/*/bin",))
    monkeypatch.setenv("PATH", "/nowhere")
    for version in ("9", "15", "18", "broken"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        (folder / "pg_dump").write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}.2 (Debian)'\n")
        (folder / "pg_dump").chmod(0o755)
    assert programs.program("pg_dump", 14).version == 15
    assert programs.program("pg_dump", 16).version == 18


@pytest.mark.only("postgresql")
def test_no_password_stands_in_arguments(transactional_db):
    reached, environment = programs.connection_of_programs("other")
    password = connection.settings_dict["PASSWORD"]
    assert password
    assert password not in reached
    assert environment["PGPASSWORD"] == password
    assert "dbname=other" in reached


@pytest.mark.only("postgresql")
def test_who_may_make_no_scratch_database_is_told_the_right_that_is_missing(backup):
    with psycopg.connect(os.environ[SERVER_URL], autocommit=True) as server:
        server.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        try:
            as_plain = working_on({"USER": "plain", "PASSWORD": "plain"})
            with as_plain, pytest.raises(BackupFailed, match='ALTER ROLE "plain" CREATEDB'):
                verify(backup, quiet, quiet)
        finally:
            server.execute(sql.SQL("DROP ROLE plain"))


@pytest.mark.only("postgresql")
def test_no_scratch_database_is_left(backup, monkeypatch):
    monkeypatch.setattr(places.secrets, "token_hex", lambda size: "alone")  # beside those of other tests
    verify(backup, quiet, quiet)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_database WHERE datname = 'frontdesk_verifying_alone'")
        assert cursor.fetchone() == (0,)


@pytest.mark.only("postgresql")
def test_a_pooler_is_noticed_and_passed_by(transactional_db, settings, tmp_path):
    own = connection.settings_dict
    with pooler(own["HOST"], int(own["PORT"])) as port, working_on({"HOST": "127.0.0.1", "PORT": port}):
        with pytest.raises(CommandError, match=r"DATABASE_URL: there is a pooler.*BACKUP_DATABASE_URL"):
            call_command("backup", tmp_path / "b")
        settings.BACKUP_DATABASE = {"HOST": own["HOST"], "PORT": own["PORT"]}
        call_command("backup", tmp_path / "b")
        settings.BACKUP_DATABASE = {"HOST": "127.0.0.1", "PORT": port}
        with pytest.raises(CommandError, match="BACKUP_DATABASE_URL: there is a pooler"):
            call_command("backup", tmp_path / "c")


def test_a_backup_that_does_not_say_what_is_in_it_can_be_restored_but_is_not_called_good(
    backup, database_name, request
):
    if database_name == "sqlite":
        sqlite_files.forget_record(backup)
    else:
        backup.write_bytes(backup.read_bytes()[: postgresql_files.archive_bytes(backup)])  # what pg_dump wrote
    with pytest.raises(BackupFailed, match="does not say"):
        verify(backup, quiet, quiet)
    request.getfixturevalue("empty_database")
    assert restore(backup, quiet) is None
    assert Customer.objects.count() == 1
