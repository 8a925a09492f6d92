"""`manage.py worker`: the process for what happens by the clock."""

import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.jobs import run_worker
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
        except MustNotRun as error:
            raise CommandError(str(error)) from error
        run_worker(stop)
