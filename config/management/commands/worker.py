"""`manage.py worker`: the process for what happens by the clock."""

import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from config.jobs import run_worker
from config.nodes import MayNotJoin, heartbeat
from config.running import MustNotRun, say_that_we_run


class Command(BaseCommand):
    help = "Run the jobs that recur, such as deleting old events, until SIGTERM or Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()

        def ask_to_stop(signum: int, frame: FrameType | None) -> None:
            stop.set()

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        try:
            say_that_we_run()
            heartbeat.beat()
        except (MayNotJoin, MustNotRun) as refusal:
            raise CommandError(str(refusal)) from refusal
        except Error as error:
            # Not fatal: a database that is away now may be back in a minute.
            self.stderr.write(f"DATABASE_URL: the database does not answer yet: {str(error).strip()}")
        run_worker(stop)
        if heartbeat.refusal:
            raise CommandError(str(heartbeat.refusal))
