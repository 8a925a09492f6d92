"""A server with a year of sessions, on which report pages are measured, and begins beside millions of sessions."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from benchmarks.servers import add_customers, driven
from benchmarks.year import Year
from tests.live import LiveServer, manage, running_server, start_server, wait_until_ready

CUSTOMERS = 50_000
TIME_ZONE = "Europe/Madrid"

Say = Callable[[str], None]


@contextmanager
def filled(database: str, sessions: int, say: Say) -> Iterator[LiveServer]:
    """A server with so many sessions over a year, summed."""
    with running_server(database, TIME_ZONE=TIME_ZONE) as server:
        add_customers(server.env, CUSTOMERS)
        driven(server, CUSTOMERS).load(1)
        server.stop()
        with closing(Year(database, server.database_url)) as year:
            year.fill(sessions, say)
        began = time.perf_counter()
        manage(server.env, "rebuild_sums")
        say(f"summed in {time.perf_counter() - began:,.0f} s")
        with closing(Year(database, server.database_url)) as year:
            year.settle()
        server.process = start_server(server.env).process
        wait_until_ready(server)
        yield server
