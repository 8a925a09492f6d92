"""`manage.py serve`: the web server and the worker, together or not at all."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
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
from config.running import MustNotRun, say_that_we_run, serves_alone
from config.web_server import allow_many_connections, web_command, web_environment
from config.writable import empty_temporary_folder, require_writable

LOOK_EVERY_SECONDS = 0.2
# Longer than the web server may take to finish its requests.
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
        if not self._wait_for_predecessor(stop):
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

    def _wait_for_predecessor(self, stop: threading.Event) -> bool:
        """Whether port and folder are ours: one that was killed leaves web processes that finish their requests."""
        give_up_at = time.monotonic() + PREDECESSOR_SECONDS
        told = False
        while not stop.is_set():
            is_port_free = _is_port_free()
            if is_port_free and serves_alone():
                return True
            if time.monotonic() > give_up_at:
                raise CommandError(_another_serve() if is_port_free else _another_listens())
            if not told:
                told = True
                self.stdout.write(
                    f"{settings.DATA_DIR if is_port_free else _own_address()} is taken. If that is a Frontdesk which "
                    f"ends, it may finish its requests: waiting for it, {PREDECESSOR_SECONDS} seconds at most."
                )
                self.stdout.flush()
            stop.wait(LOOK_EVERY_SECONDS)
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


def _own_address() -> str:
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    return f"http://{host}:{settings.PORT}"


def _is_port_free() -> bool:
    """granian shares a port with whoever listens there already (SO_REUSEPORT), so this has to look first."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.HOST, settings.PORT))
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return False
        raise CommandError(f"Cannot listen on {_own_address()}: {error}. Set PORT or HOST.") from error
    return True


def _another_listens() -> str:
    return (
        f"Cannot listen on {_own_address()}: it is in use. {port_holder(settings.PORT)} Stop what listens there, or "
        "set PORT or HOST."
    )


def _another_serve() -> str:
    return (
        f"Another `serve` runs on the data folder {settings.DATA_DIR}. Stop it, or give this one a folder of its own "
        "by DATA_DIR."
    )
