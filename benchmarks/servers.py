"""The servers that are driven: Frontdesk as people run it, and the straight version beside it on the same database."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.load import CONNECTIONS, Load, Measured, measure
from benchmarks.processes import web_processes
from config.children import start_child, stop_child
from tests.conftest import ENVIRONMENT
from tests.databases import SERVER_URL, PostgresServer, start_postgres
from tests.live import ROOT, LiveServer, new_environment, running_server

DATABASES = ("sqlite", "postgresql")
STRAIGHT_KEY = "a-key-of-the-bench"
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Driven:
    """A running server with customers, and how to load it."""

    name: str
    port: int
    begin_path: str
    end_path: str
    key: str
    customers: int
    process: int
    env: dict[str, str]

    def load(
        self,
        seconds: float,
        *,
        requests_per_second: float = 0,
        connections: int = CONNECTIONS,
        first_customer: int = 0,
        customers: int = 0,
    ) -> Measured:
        paths = self.begin_path, self.end_path
        customers = customers or self.customers
        return measure(
            Load(self.port, *paths, self.key, seconds, customers, first_customer, connections, requests_per_second)
        )

    @property
    def web_processes(self) -> list[int]:
        return web_processes(self.process)


@contextmanager
def database_server(database: str) -> Iterator[PostgresServer | None]:
    """A PostgreSQL server with its own default settings, durable ones; SQLite needs none."""
    os.environ.update(ENVIRONMENT)
    if database == "sqlite":
        yield None
        return
    server = start_postgres({})
    os.environ[SERVER_URL] = server.url
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def frontdesk(database: str, customers: int, **variables: str) -> Iterator[Driven]:
    """Frontdesk, set up and started as by `make run`. `variables` go into its environment."""
    with running_server(database, **variables) as server:
        add_customers(server.env, customers)
        yield driven(server, customers)


def driven(server: LiveServer, customers: int) -> Driven:
    paths = "/webhooks/livetok/begin", "/webhooks/livetok/end"
    port = int(server.env["PORT"])
    return Driven("frontdesk", port, *paths, server.webhook_key, customers, server.process.pid, server.env)


@contextmanager
def straight(database: str, customers: int) -> Iterator[Driven]:
    with ExitStack() as stack:
        settings = {"DJANGO_SETTINGS_MODULE": "benchmarks.straight.settings", "WEBHOOK_SECRET": STRAIGHT_KEY}
        env = stack.enter_context(new_environment(database, **settings))
        with Path(env["DATA_DIR"], "serve.log").open("wb") as log:
            command = [sys.executable, "-m", "benchmarks.straight", str(customers)]
            process = start_child(command, env=env, cwd=ROOT, stdout=log, stderr=log)
        stack.callback(stop_child, process, patience_seconds=30)
        theirs = Driven("straight", int(env["PORT"]), "/begin", "/end", STRAIGHT_KEY, customers, process.pid, env)
        _wait_until_it_answers(theirs, process)
        yield theirs


def _wait_until_it_answers(theirs: Driven, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            urlopen(f"http://127.0.0.1:{theirs.port}/begin", timeout=5)
        except URLError as error:
            if getattr(error, "code", None):  # 403: it is there
                return
        except OSError:
            pass
        time.sleep(0.1)
    log = Path(theirs.env["DATA_DIR"], "serve.log").read_text()
    raise RuntimeError(f"the straight version does not start:\n{log[-2000:]}")


def add_customers(env: dict[str, str], customers: int) -> None:
    subprocess.run([sys.executable, "-m", "benchmarks.customers", str(customers)], cwd=ROOT, env=env, check=True)
