"""The web server's command line, and what it runs with. Knows no models: benchmarks run other applications by it."""

import os
import resource
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

from config.rooms import THREADS
from config.slow_clients import HEAD_SECONDS

LOG_CONFIG = Path(__file__).resolve().parent / "granian_logs.json"
# Of each web process. Those that stand idle count as well, so it is far above what is ever worked on.
MOST_CONNECTIONS = 8192
# What a process opens beside them: the database, files, its own.
OTHER_FILES = 512
# It may finish its requests for so long, then stops its own processes by force.
FINISH_SECONDS = 10


def web_command(application: str = "config.wsgi:application") -> list[str]:
    """granian's command line. Django's requests run in threads; those of one process share Python's lock."""
    options: dict[str, Any] = {
        "--interface": "wsgi",
        "--http": "1",
        "--host": settings.HOST,
        "--port": settings.PORT,
        "--workers": settings.WEB_PROCESSES,
        "--blocking-threads": THREADS,
        # Whoever calls after a quiet while shall not wait for a thread to start.
        "--blocking-threads-idle-timeout": 600,
        "--backlog": 4096,
        "--backpressure": most_connections(),
        "--http1-header-read-timeout": HEAD_SECONDS * 1000,
        "--workers-kill-timeout": FINISH_SECONDS,
        "--log-level": "error",
        "--log-config": LOG_CONFIG,
    }
    command = [sys.executable, "-m", "granian", "--no-ws", "--no-access-log", "--respawn-failed-workers"]
    for name, value in options.items():
        command += [name, str(value)]
    return [*command, application]


def allow_many_connections() -> None:
    """Raise the limit of open files to what the system allows; each connection is one. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def most_connections() -> int:
    """How many a web process takes: at its limit of open files it could take none at all, nor open anything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(64, min(MOST_CONNECTIONS, soft - OTHER_FILES))


def web_environment() -> dict[str, str]:
    """What the web server runs with. glibc keeps memory for each of its threads apart, and what one has freed no other
    gets; two such arenas do for two dozen threads of which one runs at a time."""
    return {"MALLOC_ARENA_MAX": "2", **os.environ}
