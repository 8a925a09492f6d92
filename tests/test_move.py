"""`move_to`: everything in an SQLite file gets to PostgreSQL, also by a move that was killed again and again."""

import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from config.management.commands.move_to import _without_password
from config.moving import moving
from config.moving.checksums import Checksum, added_up, canonical
from config.moving.moving import move
from config.moving.tables import Table, migrations_table, tables
from config.moving.target import MARK_TABLE, MoveFailed
from tests.databases import SERVER_URL, drop_database, make_database
from tests.live import ROOT, manage, new_environment
from tests.rows_of_all import fill_every_table

PATIENCE_SECONDS = 60
NOBODY = "postgres://user:password@127.0.0.1:1/x"


# Whatever two databases may write differently is one text.
@pytest.mark.pure
@pytest.mark.parametrize(
    "one, other",
    [
        ('{"b":1,"a":[1, 2]}', '{"a": [1, 2], "b": 1}'),
        ("1e16", "10000000000000000"),
        ("1.50", "1.5"),
        ('"\\u00e9"', '"é"'),
        ('{"a": 1, "a": 2}', '{"a": 2}'),
    ],
)
def test_a_document_has_one_text_however_it_is_written(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.pure
@pytest.mark.parametrize(
    "one, other",
    [("1", '"1"'), ("1", "[1]"), ("true", "1"), ("null", "0"), ("[1, 2]", "[2, 1]"), ("1", "1.0000000000000000001")],
)
def test_documents_that_differ_have_texts_that_differ(one, other):
    assert canonical(one) != canonical(other)


def checksum(*rows: tuple[object, ...]) -> Checksum:
    kinds = ("BigAutoField", "DateTimeField", "TimeField", "JSONField", "BooleanField", "BinaryField")
    return list(added_up(Table("t", "id", tuple("abcdef"), kinds, True), iter(rows)))[-1]


ROW = (1, "2026-03-15 10:30:00", "08:00:00", '{"a": 1.0}', 1, b"x")


@pytest.mark.pure
def test_a_checksum_is_of_the_rows_in_any_order():
    other = (2, *ROW[1:])
    assert checksum(ROW, other) == checksum(other, ROW)
    assert checksum(ROW) == checksum((1, "2026-03-15 10:30:00.000000", "08:00:00.000000", '{"a": 1}', 1, b"x"))


@pytest.mark.pure
@pytest.mark.parametrize(
    "place, value",
    [
        (0, 2),
        (1, "2026-03-15 10:30:00.000001"),
        (1, None),
        (2, "08:00:00.5"),
        (3, "{}"),
        (4, 0),
        (5, b""),
        (5, "x"),
    ],
)
def test_a_checksum_depends_on_every_column(place, value):
    changed = [*ROW[:place], value, *ROW[place + 1 :]]
    assert checksum(tuple(changed)) != checksum(ROW)
    assert checksum(ROW, ROW) != checksum(ROW)


@pytest.mark.pure
def test_the_password_is_not_shown():
    assert _without_password("postgres://me:p@ss:w@host:5432/x") == "postgres://me:PASSWORD@host:5432/x"
    assert _without_password("postgres://host/x") == "postgres://host/x"
    assert _without_password("postgres://host/x?password=w&a=b") == "postgres://host/x?password=PASSWORD&a=b"


@pytest.fixture(scope="module")
def filled_folder(tmp_path_factory) -> Path:
    """A data folder with a demo, and with rows in every table."""
    folder = tmp_path_factory.mktemp("moving")
    with new_environment("sqlite", is_migrated=True) as env:
        manage(env, "demo", "--days", "4", "--customers", "6")
        file = Path(env["DATA_DIR"], "frontdesk.sqlite3")
        fill_every_table(file)
        shutil.copy(file, folder / "frontdesk.sqlite3")
    return folder


@pytest.fixture(scope="module")
def begun(filled_folder) -> Iterator[str]:
    """The name of a database in which a move has made the tables, and was killed then."""
    name = f"begun_{os.getpid()}"
    url = make_database(os.environ[SERVER_URL], name)
    for place in ("making", "copying"):
        with pytest.raises(KilledError):
            move(filled_folder / "frontdesk.sqlite3", url, killed_at(place))
    yield name
    drop_database(os.environ[SERVER_URL], name)


@pytest.fixture
def url(begun) -> Iterator[str]:
    """Such a database, to go on with."""
    name = f"moved_{os.getpid()}"
    yield make_database(os.environ[SERVER_URL], name, begun)
    drop_database(os.environ[SERVER_URL], name)


class KilledError(Exception):
    pass


def killed_at(place: str, steps: int = 1):
    """What a move calls as it proceeds, which kills it the so-manieth time that it is there."""
    left = [steps]

    def progress(share: float, words: str) -> None:
        left[0] -= words.startswith(place)
        if not left[0]:
            raise KilledError

    return progress


def quiet(*said: object) -> None:
    pass


def assert_all_is_equal(file: Path, url: str) -> None:
    """PostgreSQL itself compares: SQLite's values, cast to the types of its columns, are what is there."""
    with closing(sqlite3.connect(file)) as source, psycopg.connect(url) as target:
        target.execute("SET TIME ZONE 'UTC'")
        for table in (*tables(), migrations_table()):
            rows = source.execute(table.all_of_sqlite()).fetchall()
            types = dict(
                target.execute(
                    "SELECT column_name, format_type(atttypid, atttypmod) FROM information_schema.columns "
                    "JOIN pg_attribute ON attrelid = table_name::regclass AND attname = column_name "
                    "WHERE table_name = %s",
                    [table.name],
                ).fetchall()
            )
            assert set(types) == set(table.columns)
            assert rows, f"{table.name} is empty, so it proves nothing"
            equal = " AND ".join(f'"{name}" IS NOT DISTINCT FROM %s::{types[name]}' for name in table.columns)
            for row in rows:
                values = [str(value) if isinstance(value, int | float) else value for value in row]
                found = target.execute(f'SELECT count(*) FROM "{table.name}" WHERE {equal}', values).fetchone()
                assert found == (1,), (table.name, row)
            assert target.execute(f'SELECT count(*) FROM "{table.name}"').fetchone() == (len(rows),)
            if table.has_sequence:
                given = source.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", [table.name]).fetchone()[0]
                ((following,),) = target.execute(
                    f"SELECT nextval(pg_get_serial_sequence('\"{table.name}\"', '{table.key}'))"
                )
                assert following == given + 1, table.name
        assert target.execute("SELECT to_regclass(%s)", [MARK_TABLE]).fetchone() == (None,)


@pytest.mark.only("postgresql")
@pytest.mark.serial
def test_everything_is_moved_by_a_move_that_is_killed_at_many_places(filled_folder, url, monkeypatch):
    monkeypatch.setattr(moving, "ROWS_AT_ONCE", 40)
    file = filled_folder / "frontdesk.sqlite3"
    before = file.read_bytes()
    for place, steps in [("copying", steps) for steps in (2, 3, 9, 30, 31, 60)] + [("comparing", 1), ("comparing", 99)]:
        with pytest.raises(KilledError):
            move(file, url, killed_at(place, steps))
    assert refuses_to_start(filled_folder, url)

    moved = move(file, url, quiet)

    assert moved.tables == len(tables())
    assert not moved.left_out
    assert_all_is_equal(file, url)
    assert file.read_bytes() == before
    with pytest.raises(MoveFailed, match="not empty"):
        move(file, url, quiet)


def refuses_to_start(folder: Path, url: str) -> bool:
    env = os.environ | {"DATA_DIR": str(folder), "DATABASE_URL": url}
    done = subprocess.run([sys.executable, "manage.py", "serve"], cwd=ROOT, env=env, capture_output=True, text=True)
    return done.returncode == 1 and "lacks" in done.stderr


@pytest.mark.only("postgresql")
@pytest.mark.serial
def test_the_command_goes_on_after_sigkill_and_says_what_comes_next(filled_folder, url, tmp_path):
    shutil.copytree(filled_folder, tmp_path / "data")
    file = tmp_path / "data" / "frontdesk.sqlite3"
    env = os.environ | {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": "", "PYTHONUNBUFFERED": "1"}
    slow = "import time; from config.moving import moving; from django.core.management import call_command; "
    slow += "moving.ROWS_AT_ONCE = 20; own = moving.Target.copy; "
    slow += "moving.Target.copy = lambda *given: (time.sleep(0.02), own(*given))[1]; "
    slow += f"call_command('move_to', {url!r})"
    process = subprocess.Popen([sys.executable, "manage.py", "shell", "-v", "0", "-c", slow], cwd=ROOT, env=env)
    wait_for_rows(url, process)
    process.send_signal(signal.SIGKILL)
    process.wait()

    command = [sys.executable, "manage.py", "move_to", "-"]
    done = subprocess.run(command, cwd=ROOT, env=env, input=f"{url}\n", capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert f"DATABASE_URL={_without_password(url)}" in done.stdout
    assert "100 %" in done.stderr
    assert_all_is_equal(file, url)
    moved_env = env | {"DATABASE_URL": url}
    # It is whole, but another database, so it waits for staff.
    ask = "from automations.deliveries.copies import *; from config.health import missing_migrations; "
    ask += "print(missing_migrations(), is_copy(), may_send())"
    assert manage(moved_env, "shell", "-v", "0", "-c", ask) == "[] True False\n"


def wait_for_rows(url: str, process: "subprocess.Popen[bytes]") -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    with psycopg.connect(url, autocommit=True) as target:
        while time.monotonic() < give_up_at and process.poll() is None:
            if target.execute("SELECT to_regclass('frontdesk_move')").fetchone() != (None,):
                (copied,) = target.execute("SELECT count(*) FROM frontdesk_move").fetchone()
                if copied > 32:
                    return
            time.sleep(0.01)
    raise AssertionError("it did not get as far as that")


@pytest.mark.only("postgresql")
@pytest.mark.serial
def test_a_source_that_changed_between_two_runs_is_noticed_and_moved_again_when_asked(filled_folder, url, tmp_path):
    file = Path(shutil.copy(filled_folder / "frontdesk.sqlite3", tmp_path))
    with pytest.raises(KilledError):
        move(file, url, killed_at("comparing"))
    with closing(sqlite3.connect(file)) as source, source:
        source.execute("UPDATE customers_customer SET notes = 'changed' WHERE id = 1")

    with pytest.raises(MoveFailed, match=r"customers_customer: .* --start-over"):
        move(file, url, quiet)
    # From then on it is the move that every other test sees.
    with pytest.raises(KilledError):
        move(file, url, killed_at("making"), start_over=True)
    with psycopg.connect(url) as target:
        left = target.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert left == [(MARK_TABLE,)]


@pytest.mark.only("postgresql")
@pytest.mark.serial
def test_a_row_that_postgresql_does_not_take_is_named(filled_folder, url, tmp_path):
    file = Path(shutil.copy(filled_folder / "frontdesk.sqlite3", tmp_path))
    with closing(sqlite3.connect(file)) as source, source:
        source.execute("UPDATE customers_agent SET name = 'a' || char(0) || 'b' WHERE livetok_id = '1'")
    with pytest.raises(MoveFailed, match=r"customers_agent: .* the row with the livetok_id 1: .*NUL"):
        move(file, url, quiet)
    with closing(sqlite3.connect(file)) as source, source:
        source.execute("UPDATE customers_agent SET name = ? WHERE livetok_id = '1'", ["x" * 5000])
    with pytest.raises(MoveFailed, match=r"customers_agent: .* the row with the livetok_id 1: .*too long"):
        move(file, url, quiet)
    with closing(sqlite3.connect(file)) as source, source:
        source.execute("UPDATE customers_agent SET name = 'b' WHERE livetok_id = '1'")
        source.execute("CREATE TABLE theirs (id integer)")
    assert move(file, url, quiet).left_out == ["theirs"]


@pytest.mark.only("sqlite")
@pytest.mark.parametrize(
    "url, message",
    [
        ("nonsense", "URL: "),
        ("sqlite:///x", "names no PostgreSQL"),
        (NOBODY, "does not answer"),
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path, url, message):
    file = tmp_path / "x.sqlite3"
    with closing(sqlite3.connect(file)):
        pass
    with pytest.raises(MoveFailed, match=message):
        move(file, url, quiet)


@pytest.mark.only("sqlite")
def test_it_asks_for_frontdesk_to_be_stopped_the_spool_to_be_fed_and_the_database_to_be_set_up(
    transactional_db, settings, tmp_path
):
    settings.DATA_DIR = tmp_path
    waiting = tmp_path / "spool" / "20260315T103000.000000-1-00.spool"
    waiting.parent.mkdir()
    waiting.touch()
    with pytest.raises(CommandError, match="1 files of LiveTok's requests wait"):
        call_command("move_to", NOBODY)
    waiting.unlink()
    with (tmp_path / "running").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)  # as web processes and worker do
        with pytest.raises(CommandError, match="Stop `serve` and `worker`"):
            call_command("move_to", NOBODY)
    recorder = MigrationRecorder(connection)
    recorder.record_applied("customers", "9999_later")
    try:
        with pytest.raises(CommandError, match=r"another version \(customers\.9999_later"):
            call_command("move_to", NOBODY)
    finally:
        recorder.record_unapplied("customers", "9999_later")
    with pytest.raises(CommandError, match="does not answer"):
        call_command("move_to", NOBODY)


@pytest.mark.only("postgresql")
def test_a_database_on_postgresql_is_not_moved():
    with pytest.raises(CommandError, match="already"):
        call_command("move_to", NOBODY)
