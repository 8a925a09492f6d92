"""`manage.py serve`: the web server and the worker, together or not at all."""

import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connections

from config.children import start_child, stop_child
from config.health import missing_migrations
from config.metrics.files import forget_counts
from config.nodes import MayNotJoin, require_may_join
from config.port_holder import port_holder
from config.rooms import THREADS
from config.running import MustNotRun, say_that_we_run
from config.slow_clients import HEAD_SECONDS
from config.writable import empty_temporary_folder, require_writable

LOG_CONFIG = Path(__file__).resolve().parents[2] / "granian_logs.json"
# Of each web process. Those that stand idle count as well, so it is far above what is ever worked on.
MOST_CONNECTIONS = 8192
# What a process opens beside them: the database, files, its own.
OTHER_FILES = 512
LOOK_EVERY_SECONDS = 0.2
# The web server may finish its requests for ten seconds, then stops its own processes by force.
FINISH_SECONDS = 10
PATIENCE_SECONDS = 15
PREDECESSOR_SECONDS = 20


class Command(BaseCommand):
    help = "Start the web server and the worker; end with an error when either ends. Ctrl-C stops both."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()

        def ask_to_stop(signum: int, frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, ask_to_stop)
        require_writable()
        self._require_set_up()
        try:
            say_that_we_run()
        except MustNotRun as error:
            raise CommandError(str(error)) from error
        if not self._wait_for_port(stop):
            return
        allow_many_connections()
        # Only now: a predecessor that finishes its requests may have used them.
        temporary = {"TMPDIR": str(empty_temporary_folder()), **os.environ}
        forget_counts()
        children: dict[str, subprocess.Popen[bytes]] = {}
        try:
            children["web server"] = start_child(
                web_command(), env={**web_environment(), **temporary}, cwd=settings.BASE_DIR
            )
            children["worker"] = start_child(
                [sys.executable, "manage.py", "worker", "--skip-checks"], env=temporary, cwd=settings.BASE_DIR
            )
            self.stdout.write(f"Frontdesk is starting on {_own_address()} (Ctrl-C stops it).")
            self.stdout.flush()
            while not stop.wait(LOOK_EVERY_SECONDS):
                ended = [name for name, child in children.items() if child.poll() is not None]
                if ended:
                    name = ended[0]
                    raise CommandError(f"The {name} ended by itself (exit code {children[name].returncode}).")
        finally:
            for child in children.values():
                stop_child(child, patience_seconds=PATIENCE_SECONDS)

    def _wait_for_port(self, stop: threading.Event) -> bool:
        """Whether the port is ours: one that was killed leaves web processes that finish their requests first."""
        give_up_at = time.monotonic() + PREDECESSOR_SECONDS
        told = False
        while not stop.is_set():
            try:
                _require_free_port()
            except (OSError, OverflowError) as error:
                if not _is_taken(error):
                    raise CommandError(f"Cannot listen on {_own_address()}: {error}. Set PORT or HOST.") from error
                if time.monotonic() > give_up_at:
                    raise CommandError(
                        f"Cannot listen on {_own_address()}: {error}. {port_holder(settings.PORT)} "
                        "Stop what listens there, or set PORT or HOST."
                    ) from error
                if not told:
                    told = True
                    self.stdout.write(
                        f"{_own_address()} is taken. If that is a Frontdesk which ends, it may finish its requests: "
                        f"waiting for it, {PREDECESSOR_SECONDS} seconds at most."
                    )
                    self.stdout.flush()
                stop.wait(LOOK_EVERY_SECONDS)
            else:
                return True
        return False

    def _require_set_up(self) -> None:
        if not (settings.STATIC_ROOT / "staticfiles.json").exists():
            raise CommandError("The static files are missing. Run `manage.py setup` first.")
        try:
            missing = missing_migrations()
            if not missing:
                require_may_join()
        except MayNotJoin as refusal:
            raise CommandError(str(refusal)) from refusal
        except Error as error:
            # Not fatal: a database that is away now may be back in a minute.
            self.stderr.write(f"DATABASE_URL: the database does not answer yet: {str(error).strip()}")
            return
        finally:
            connections.close_all()  # this process only waits from here on
        if missing:
            raise CommandError(f"The database lacks {len(missing)} migrations. Run `manage.py setup` first.")


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


def _own_address() -> str:
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    return f"http://{host}:{settings.PORT}"


def _require_free_port() -> None:
    """granian shares a port with whoever listens there already (SO_REUSEPORT), so this has to look first."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((settings.HOST, settings.PORT))


def _is_taken(error: OSError | OverflowError) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE
