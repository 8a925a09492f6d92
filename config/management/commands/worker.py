"""`manage.py worker`: the process for what happens by the clock."""

import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from config.jobs import run_worker


class Command(BaseCommand):
    help = "Run the jobs that recur, such as deleting old events, until SIGTERM or Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()

        def ask_to_stop(signum: int, frame: FrameType | None) -> None:
            stop.set()

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        run_worker(stop)
