"""What a web process does otherwise than a plain Django one, whatever it serves."""

import gc
import sys

from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished
from django.db import close_old_connections

from sessions_app.database.shared_connections import share_connections


def tune_web_process() -> None:
    """Once for each process, when all that its application needs has been imported."""
    share_connections()

    # A thread that computes lets others have Python after this long. A begin asks for it several times, and would wait
    # five milliseconds for each page that is being made, each time.
    sys.setswitchinterval(0.0005)

    # Requests leave next to no cycles, and looking for some after every 700 objects costs each of them a sixth of its
    # time.
    gc.collect()
    # What is imported stays for good: searches for garbage need not look at it.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)

    # What Django does after each request is not needed here: connections stay open, and looking for broken ones before
    # a request is enough; the cache is in files; no request has addresses of its own.
    for receiver in (close_old_connections, close_caches, reset_urlconf):
        request_finished.disconnect(receiver)
