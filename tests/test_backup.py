"""Backup and restore as `docs/operations.md` says: its own commands are run, while events come in."""

import os
import re
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from benchmarks.livetok import LiveTok
from benchmarks.stored import Findings, findings
from tests.databases import server_binaries
from tests.live import ROOT, manage, new_environment, running_server, start_server, wait_until_ready

HEADINGS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
CUSTOMERS = 50
ENOUGH = 100
PATIENCE_SECONDS = 60


def documented(database: str) -> list[str]:
    """The commands that make a backup, and those that restore it."""
    chapter = (ROOT / "docs/operations.md").read_text().partition("\n## Backups\n")[2].partition("\n## ")[0]
    section = chapter.partition(f"\n### {HEADINGS[database]}\n")[2].partition("\n### ")[0]
    return re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def run(commands: str, folder: Path, env: dict[str, str]) -> None:
    """In a folder that looks like a checkout, where `data/` is the data folder."""
    for name, target in {".venv": Path(sys.prefix), "manage.py": ROOT / "manage.py", "data": env["DATA_DIR"]}.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
    path = os.environ["PATH"]
    if env["DATABASE_URL"].startswith("postgres"):
        path = f"{server_binaries()}:{path}"
    subprocess.run(["bash", "-euc", commands], cwd=folder, env=env | {"PATH": path}, check=True, timeout=120)


def wait_for(livetok: LiveTok, events: int) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while livetok.ledger.acknowledged < events and time.monotonic() < give_up_at:
        time.sleep(0.05)


@pytest.mark.serial
def test_a_backup_made_under_load_restores_what_was_answered_before_it(database_name, tmp_path):
    back_up, restore = documented(database_name)
    with running_server(database_name) as server:
        livetok = LiveTok(int(server.env["PORT"]), server.webhook_key, CUSTOMERS, seed=1)
        with livetok.sending(connections=4):
            wait_for(livetok, ENOUGH)
            before = [replace(event, answers=list(event.answers)) for event in list(livetok.ledger.events)]
            run(back_up, tmp_path, server.env)
            wait_for(livetok, livetok.ledger.acknowledged + ENOUGH)
        secret_key = (server.folder / "secret_key").read_bytes()
        sent = livetok.ledger.events

    with new_environment(database_name) as env:
        (Path(env["DATA_DIR"]) / "secret_key").write_bytes(secret_key)
        run(restore, tmp_path, env)
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


@pytest.mark.only("sqlite")
@pytest.mark.django_db(transaction=True)
def test_a_backup_is_private_and_replaces_no_file(tmp_path):
    copy = tmp_path / "backup.sqlite3"
    call_command("backup", copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    content = copy.read_bytes()

    with pytest.raises(CommandError, match="exists already"):
        call_command("backup", copy)
    with pytest.raises(CommandError, match="/nowhere"):
        call_command("backup", Path("/nowhere/backup.sqlite3"))
    assert copy.read_bytes() == content


@pytest.mark.only("postgresql")
def test_a_backup_of_postgresql_is_pg_dumps_business(tmp_path):
    with pytest.raises(CommandError, match="use pg_dump"):
        call_command("backup", tmp_path / "backup")
