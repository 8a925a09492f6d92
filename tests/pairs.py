"""Two PostgreSQL servers, the second of which follows the first: a replica for reports, a standby that takes over."""

import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from config.children import stop_child
from tests.databases import SERVER_SETTINGS, PostgresServer, free_port, make_database, start_another, start_postgres
from tests.live import LiveServer, running_in
from tests.migrated import migrated_database
from tests.outages import frozen

PATIENCE_SECONDS = 30
STANDBY_NAME = "standby"
# With all tables, on a pair that tests share.
DATABASE = "frontdesk"
# So that what a stopped standby has missed is still there for it.
KEEPS_LOG = {"wal_keep_size": "256MB"}
# Quick, as for all tests; but commits wait for the standby where they are told to.
SETTINGS = {**SERVER_SETTINGS, **KEEPS_LOG, "synchronous_commit": "on", "max_connections": "100"}
# Reads that stand in the way of what comes from the primary are broken off soon, and a lost primary found again.
OF_STANDBY = {"max_standby_streaming_delay": "200ms", "wal_retrieve_retry_interval": "200ms"}


@dataclass
class Pair:
    primary: PostgresServer
    standby: PostgresServer
    has_failed_over: bool = False

    def url_of(self, server: PostgresServer, database: str) -> str:
        return f"{server.url.rpartition('/')[0]}/{database}"

    def url_of_both(self, database: str) -> str:
        """Whichever takes writing, the primary tried first."""
        primary, standby = urlsplit(self.primary.url), urlsplit(self.standby.url)
        credentials = primary.netloc.rpartition("@")[0]
        hosts = f"{primary.hostname}:{primary.port},{standby.hostname}:{standby.port}"
        return f"postgres://{credentials}@{hosts}/{database}?target_session_attrs=read-write"

    def tell(self, server: PostgresServer, *statements: str) -> None:
        with psycopg.connect(server.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def make_synchronous(self) -> None:
        """Commits of the primary wait for the standby from now on."""
        self.tell(
            self.primary,
            f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY_NAME}'",
            "SELECT pg_reload_conf()",
        )
        state = f"SELECT 1 FROM pg_stat_replication WHERE application_name = '{STANDBY_NAME}' AND sync_state = 'sync'"
        wait_until(lambda: bool(self._rows(self.primary, state)))

    def make_asynchronous(self) -> None:
        self.tell(self.primary, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        wait_until(lambda: self._rows(self.primary, "SHOW synchronous_standby_names") == [("",)])

    def catch_up(self) -> None:
        """Wait until the standby has all that the primary has now."""
        [(here,)] = self._rows(self.primary, "SELECT pg_current_wal_lsn()::text")
        wait_until(
            lambda: self._rows(self.standby, f"SELECT pg_last_wal_replay_lsn() >= '{here}'::pg_lsn") == [(True,)]
        )

    def promote(self) -> None:
        """Have the standby take over. Returns once it takes writing."""
        self.has_failed_over = True
        self.tell(self.standby, "SELECT pg_promote(true)")

    def standby_frozen(self) -> AbstractContextManager[None]:
        """It takes connections, since its machine does, and answers none of them."""
        return frozen(self.standby)

    @contextmanager
    def replay_paused(self) -> Iterator[None]:
        self.tell(self.standby, "SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            self.tell(self.standby, "SELECT pg_wal_replay_resume()")

    def kill(self, server: PostgresServer) -> None:
        server.process.kill()
        server.process.wait(PATIENCE_SECONDS)

    def stop(self) -> None:
        for server in (self.standby, self.primary):
            server.stop()

    def _rows(self, server: PostgresServer, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(server.url) as connection:
            return connection.execute(sql).fetchall()  # type: ignore[arg-type]


def start_pair(
    prepare: Callable[[str], object] = lambda url: None, server_settings: Mapping[str, str] = SETTINGS
) -> Pair:
    """Start both. `prepare` is called with the primary's address before there is a standby."""
    primary = start_postgres(server_settings)
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-standby-", dir="/tmp"))
    try:
        prepare(primary.url)
        # A cluster that was shut down is a base for a standby as it stands: no tool need copy it.
        stop_child(primary.process, patience_seconds=10, by=signal.SIGINT)
        _copy(primary.folder / "data", folder / "data")
        primary.start_again()
        told = urlsplit(primary.url)
        follows = make_conninfo(
            host=told.hostname,
            port=told.port,
            user=told.username,
            password=told.password,
            application_name=STANDBY_NAME,
            connect_timeout=2,
        )
        of_standby = {**server_settings, **OF_STANDBY, "primary_conninfo": follows}
        standby = start_another(primary, folder, of_standby)
        return Pair(primary, standby)
    except BaseException:
        primary.stop()
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def running_on(pair: Pair, template: str = "template1", **variables: str) -> Iterator[LiveServer]:
    """Frontdesk on a database of its own, a copy of `template`, with the standby for reports, and to fail over to."""
    name = f"live_{secrets.token_hex(4)}"
    make_database(pair.primary.url, name, template)
    # A copied sequence believes its next values to be in the log already, where the standby never gets them from: after
    # a failover it would give them again. After a checkpoint it logs anew.
    with psycopg.connect(pair.primary.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    with tempfile.TemporaryDirectory(prefix="frontdesk-live-") as folder:
        addresses = {"DATABASE_URL": pair.url_of_both(name), "REPORTS_DATABASE_URL": pair.url_of(pair.standby, name)}
        env = os.environ | {"DATA_DIR": folder, "PORT": str(free_port()), "PYTHONUNBUFFERED": "1"}
        with running_in(env | addresses | variables) as server:
            yield server


class _Shared:
    pair: Pair | None = None


@pytest.fixture(scope="session")
def _shared_pair() -> Iterator[_Shared]:
    shared = _Shared()
    yield shared
    if shared.pair:
        shared.pair.stop()


@pytest.fixture
def pair(_shared_pair: _Shared) -> Pair:
    """Shared by tests, and made anew after one of them had it fail over. `DATABASE` there has all tables."""
    if _shared_pair.pair is None or _shared_pair.pair.has_failed_over:
        if _shared_pair.pair:
            _shared_pair.pair.stop()
            _shared_pair.pair = None
        _shared_pair.pair = start_pair(lambda url: make_database(url, DATABASE, migrated_database(url)))
    return _shared_pair.pair


def wait_until(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    give_up_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up_at, "what was waited for does not come about"
        time.sleep(0.05)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    owner = source.stat()
    (target / "standby.signal").touch()
    for path in [target.parent, target, *target.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)
