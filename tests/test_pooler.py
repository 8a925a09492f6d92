"""Two nodes on one PostgreSQL behind PgBouncer in transaction mode, which has fewer connections than they use."""

import csv
import http.cookiejar
import io
import os
import re
import signal
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from copy import copy
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from benchmarks.followed import OUTGOING, make_rules
from benchmarks.processes import worker
from benchmarks.sql import execute, rows
from sessions_app.database.patience import Patience, limited
from sessions_app.database.postgresql.base import Connection, TookTooLong
from tests.databases import SERVER_URL
from tests.fleet import KEY
from tests.live import LiveServer, new_environment, start_server, wait_until_ready
from tests.poolers import pgbouncer
from tests.standins import HttpStandin, http_standin
from tests.test_concurrency import AT_ONCE, NOON, Frontdesk, admitted, begins, end, per_day
from tests.test_setup_twice import refusal, started

pytestmark = [pytest.mark.only("postgresql"), pytest.mark.serial]

POOL_SIZE = 4
MOST_ROUNDS = 10
# Begins of each node in one round that the database decided.
ENOUGH = 3
PASSWORD = "a password of nobody"
SECRET_KEY = "a-secret-key-that-all-nodes-have-in-common-0123456789"
PATIENCE_SECONDS = 60


@dataclass
class Fleet:
    """Two nodes; `direct` is their database's address beside the pooler."""

    nodes: list[LiveServer]
    direct: str
    receiver: HttpStandin


@pytest.fixture(scope="module")
def fleet():
    with ExitStack() as stack:
        receiver = stack.enter_context(http_standin())
        pooler = stack.enter_context(pgbouncer(os.environ[SERVER_URL], pool_size=POOL_SIZE))
        shared = {
            "SECRET_KEY": SECRET_KEY,
            "ENCRYPTION_KEYS": KEY,
            "WEB_PROCESSES": "1",
            "DATABASE_POOLER": "transaction",
            "ADMIN_USERNAME": "admin",
            "ADMIN_PASSWORD": PASSWORD,
        }
        envs = [stack.enter_context(new_environment("postgresql", is_migrated=True, **shared, **OUTGOING))]
        direct = envs[0]["DATABASE_URL"]
        envs.append(stack.enter_context(new_environment("sqlite", **shared, **OUTGOING)))
        for env in envs:
            env["DATABASE_URL"] = f"{pooler.url}/{direct.rpartition('/')[2]}"
        setups = [started(env, "setup") for env in envs]
        printed = [setup.communicate(timeout=120) for setup in setups]
        assert [setup.returncode for setup in setups] == [0, 0], printed
        [key] = re.findall(r"X-API-Key: (\S+)", "".join(out for out, _ in printed))
        nodes = [start_server(env, webhook_key=key) for env in envs]
        for node in nodes:
            stack.callback(node.stop)
        for node in nodes:
            wait_until_ready(node)
        yield Fleet(nodes, direct, receiver)


@pytest.fixture(scope="module")
def frontdesks(fleet):
    first = Frontdesk(fleet.nodes[0])
    second = copy(first)  # with the same key
    second.server, second.port = fleet.nodes[1], int(fleet.nodes[1].env["PORT"])
    return first, second


def wait_until(holds):
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


def test_one_minute_left_admits_one_of_16_begins_at_once_eight_at_each_node(fleet, frontdesks):
    first, second = frontdesks
    first.tier("hour", per_day("call_minutes", 60))
    is_proven = False
    for _ in range(MOST_ROUNDS):
        number = first.customer("hour")
        first.send(begins(number, "long", 1, at=NOON - timedelta(hours=2))[0])
        second.send(end(number, "long", 0, 59 * 60, at=NOON - timedelta(hours=1)))
        bodies = begins(number, "last-minute")
        halves = [(first, bodies[: AT_ONCE // 2]), (second, bodies[AT_ONCE // 2 :])]

        with ThreadPoolExecutor(2) as pool:
            answers = [one for some in pool.map(lambda half: half[0].answers_at_once(half[1]), halves) for one in some]

        stored = {one["session_id"]: one for one in second.sessions(phone=number)}
        of_each = [[stored[body["sessionId"]] for body in some] for _, some in halves]
        # On a busy machine some begins lose patience: their node answers alone, as while the database is away.
        by_the_database = [[one for one in some if not one["flags"]] for some in of_each]
        assert admitted(by_the_database[0] + by_the_database[1]) <= 1 <= admitted(answers)
        if [len(some) for some in by_the_database] == [AT_ONCE // 2] * 2:
            assert admitted(answers) == 1
        is_proven = is_proven or min(map(len, by_the_database)) >= ENOUGH
        if is_proven and admitted(answers) == 1:
            return
    assert is_proven, "no round was decided by the database"


def test_both_nodes_have_a_heartbeat_and_a_third_with_a_key_of_its_own_is_refused(fleet, tmp_path):
    ids = set(map(node_id, fleet.nodes))
    heard = "SELECT id::text FROM sessions_app_node WHERE beat_at > now() - interval '10 seconds'"
    wait_until(lambda: {node for (node,) in rows(fleet.direct, heard)} == ids)

    third = fleet.nodes[0].env | {"DATA_DIR": str(tmp_path), "SECRET_KEY": ""}
    assert "SECRET_KEY does not come from the environment" in refusal(third, "serve")


def test_pages_an_export_and_the_sums_are_right(fleet, frontdesks):
    first, _ = frontdesks
    first.tier("free")
    number = first.customer("free", name="Ada")
    for body in begins(number, "talk", 20, at=NOON - timedelta(days=2)):
        first.send(body)
    stored = len(rows(fleet.direct, "SELECT id FROM sessions_app_session"))
    node = fleet.nodes[1]
    node.manage("rebuild_sums")
    assert node.manage("verify_usage") == "Every sum equals its recount.\n"
    assert rows(fleet.direct, "SELECT sum(sessions) FROM sessions_app_hoursums") == [(stored,)]

    staff = signed_in(node)
    for page in "", "sessions/", "customers/?group=80&period=day", "live/", "webhook/":
        assert staff(f"/reports/{page}").status == 200, page
    period = f"first_day={NOON - timedelta(days=9):%Y-%m-%d}&last_day={NOON:%Y-%m-%d}"
    exported = staff(f"/reports/sessions/?format=csv&{period}").read().decode("utf-8-sig")
    assert len(list(csv.reader(io.StringIO(exported)))) == stored + 1


def signed_in(node):
    """A function that opens a path as the first account."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    opener.open(f"{node.url}/accounts/login/")
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    form = {"login": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token}
    headers = {"Referer": f"{node.url}/accounts/login/"}
    asked = urllib.request.Request(f"{node.url}/accounts/login/", urllib.parse.urlencode(form).encode(), headers)
    assert opener.open(asked).status == 200
    return lambda path: opener.open(f"{node.url}{path}")


def test_deliveries_arrive_once_and_a_killed_nodes_work_is_taken_up(fleet, frontdesks):
    first, second = frontdesks
    make_rules(fleet.nodes[0].env, fleet.receiver.url, ["began_allowed"])
    first.tier("followed")
    number = first.customer("followed")
    for index, body in enumerate(begins(number, "before", 20)):
        (first, second)[index % 2].send(body)
    wait_until(lambda: len(fleet.receiver.requests) == 20)
    assert len({request.headers["webhook-id"] for request in fleet.receiver.requests}) == 20

    [theirs] = worker(fleet.nodes[0].process.pid)
    os.kill(theirs, signal.SIGKILL)  # with it ends its node
    assert fleet.nodes[0].process.wait(60) != 0
    # As if it had died in the midst of them, a while ago.
    execute(
        fleet.direct, "UPDATE sessions_app_lease SET holder = gen_random_uuid(), due_at = now(), held_until = now()"
    )
    for body in begins(number, "after", 10):
        second.send(body)
    wait_until(lambda: len(fleet.receiver.requests) == 30)
    wait_until(lambda: rows(fleet.direct, "SELECT name FROM sessions_app_lease WHERE holder IS NOT NULL") == [])
    assert rows(fleet.direct, "SELECT name FROM sessions_app_lease WHERE due_at < now() - interval '20 seconds'") == []

    # Its last heartbeat is no other node's: it may start again, and takes its row along when it stops.
    again = start_server(fleet.nodes[0].env)
    try:
        wait_until_ready(again)
    finally:
        again.stop()
    assert rows(fleet.direct, "SELECT id::text FROM sessions_app_node") == [(node_id(fleet.nodes[1]),)]


def node_id(node):
    return (node.folder / "node_id").read_text()


def test_a_page_with_a_long_statement_and_a_request_without_patience_are_cancelled_through_the_pooler(fleet):
    running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(30)'"
    with closing(Connection.connect(fleet.nodes[0].database_url, autocommit=True)) as connection:
        with pytest.raises(psycopg.errors.QueryCanceled), connection.stopped_after(0.3):
            connection.execute("SELECT pg_sleep(30)")
        assert connection.execute("SELECT 1").fetchone() == (1,)

        with pytest.raises(TookTooLong, match="patience"), limited(Patience(0.2)):
            connection.execute("SELECT pg_sleep(30)")
        wait_until(lambda: rows(fleet.direct, running) == [(0,)])


def test_nothing_is_prepared_by_name_and_no_time_limit_stays_behind(fleet, frontdesks):
    _, second = frontdesks
    second.tier("other")
    second.send(begins(second.customer("other"), "unnamed", 1)[0])
    pooler = fleet.nodes[1].database_url
    for _ in range(2 * POOL_SIZE):
        assert rows(pooler, "SELECT name FROM pg_prepared_statements WHERE name LIKE 'frontdesk%'") == []
        assert rows(pooler, "SHOW statement_timeout") == [("0",)]
    assert rows(fleet.direct, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
