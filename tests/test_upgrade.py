"""A database that an earlier version left behind works on with this one: upgraded as `make run` does it."""

import gzip
import http.client
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sessions_app.packing import unpack
from tests.live import LiveServer, manage, new_environment, start_server, wait_until_ready
from tests.releases import PASSWORD, WEBHOOK_KEY_LINE, folder
from tests.test_concurrency import sign_in

pytestmark = pytest.mark.serial

RELEASES = sorted({path.name.partition(".")[0] for path in folder.glob("*.sql.gz")})
PAGES = [
    "/admin/",
    "/admin/customers/customer/",
    "/admin/customers/tier/",
    "/admin/customers/policy/1/change/",
    "/admin/sessions_app/session/",
    "/admin/sessions_app/webhookevent/",
    "/reports/sessions/",
]
# One session of each kind.
KINDS = "SELECT min(id) FROM sessions_app_session GROUP BY flags, reason, is_test, end_received_at IS NULL"
USED = "SELECT customer_id, sum(sessions), sum(seconds), sum(call_seconds) FROM sessions_app_dailyusage GROUP BY 1"
MAY_CLOSE = """
SELECT auth_group.name FROM auth_group
JOIN auth_group_permissions given ON given.group_id = auth_group.id
JOIN auth_permission permission ON permission.id = given.permission_id
WHERE permission.codename = 'close_month'"""
# Each table, index and constraint by its name, and how it is defined.
DEFINED = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL",
    "postgresql": """
SELECT table_name, concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable, column_default)
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
}
ANSWERED = "SELECT begin_body, answer FROM sessions_app_session WHERE begin_body IS NOT NULL ORDER BY id"


def connect(url: str) -> Any:
    if url.startswith("sqlite:"):
        return closing(sqlite3.connect(url.removeprefix("sqlite:///")))
    return psycopg.connect(url)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        found = connection.execute(query).fetchall()
    return sorted(tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in found)


def definitions(url: str, database: str) -> list[tuple[str, list[str]]]:
    """Of everything in the database. Columns that were added later stand last: the order does not count.

    Nor do the casts that PostgreSQL writes once more when it reads its own dump.
    """
    found = ((name, re.sub(r"::(character varying|text)", "", text)) for name, text in rows(url, DEFINED[database]))
    return sorted((name, sorted(re.split(r"[][\s,()]+", text))) for name, text in found)


def load(url: str, text: str) -> None:
    with connect(url) as connection:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(text)
        else:
            connection.execute(text)


@pytest.fixture(scope="module", params=RELEASES)
def upgraded(request, database_name) -> Iterator[tuple[LiveServer, dict[str, list[tuple[Any, ...]]]]]:
    """A running server on an upgraded database, and what stood in it before."""
    text = gzip.decompress((folder / f"{request.param}.{database_name}.sql.gz").read_bytes()).decode()
    key = text.partition("\n")[0].removeprefix(WEBHOOK_KEY_LINE)
    with new_environment(database_name, ADMIN_PASSWORD=PASSWORD, WEB_PROCESSES="1") as env:
        load(env["DATABASE_URL"], text)
        before = {query: rows(env["DATABASE_URL"], query) for query in (KINDS, USED, ANSWERED)}
        printed = manage(env, "setup")
        assert "password" not in printed
        server = start_server(env, webhook_key=key)
        try:
            wait_until_ready(server)
            yield server, before
        finally:
            server.stop()


def test_the_sums_are_what_they_were_and_equal_their_recount(upgraded):
    server, before = upgraded

    assert len(before[USED]) > 20
    assert rows(server.database_url, USED) == before[USED]
    assert "Every sum equals its recount." in server.manage("verify_usage")


def test_its_tables_are_those_of_a_new_installation(upgraded, database_name):
    """Which makes them at once: `customers.new_tables`."""
    server, _ = upgraded
    with new_environment(database_name, is_migrated=True) as env:
        new = definitions(env["DATABASE_URL"], database_name)

    assert len(new) > 200
    assert definitions(server.database_url, database_name) == new


def test_its_pages_open(upgraded):
    server, before = upgraded
    browse = sign_in(server)
    assert len(before[KINDS]) > 30

    for page in [*PAGES, *(f"/reports/sessions/{pk}/" for (pk,) in before[KINDS])]:
        assert "Sign out" in browse(page)


def test_administrators_may_close_months_and_others_may_not(upgraded):
    server, _ = upgraded
    groups = rows(server.database_url, MAY_CLOSE)

    assert groups == [("administrators",)]


def test_a_begin_from_before_that_comes_again_gets_its_stored_bytes(upgraded):
    server, before = upgraded
    with closing(http.client.HTTPConnection("127.0.0.1", int(server.env["PORT"]), timeout=30)) as livetok:
        for body, answer in before[ANSWERED]:
            livetok.request("POST", "/webhooks/livetok", unpack(body), {"X-API-Key": server.webhook_key})
            response = livetok.getresponse()
            assert (response.status, response.read()) == (200, unpack(answer)), body

    assert len(before[ANSWERED]) > 150
    assert rows(server.database_url, ANSWERED) == before[ANSWERED]
    assert rows(server.database_url, USED) == before[USED]


def test_every_release_is_kept_for_both_databases():
    kept = {path.name for path in Path(folder).glob("*.sql.gz")}

    assert "first" in RELEASES
    assert kept == {f"{name}.{database}.sql.gz" for name in RELEASES for database in ("sqlite", "postgresql")}
