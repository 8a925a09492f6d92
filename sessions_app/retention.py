"""How long LiveTok's requests are kept. Sessions and usage are kept for good."""

import time
from collections.abc import Callable
from datetime import datetime

from sessions_app.models import WebhookEvent
from sessions_app.statements import djangos_transaction

BATCH = 500
PAUSE_SECONDS = 0.02


def delete_events(received_before: datetime, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Delete events by age, oldest first. Returns how many.

    In short transactions with a pause between them, so that LiveTok's requests do not wait for a long one. Each takes
    its turn on SQLite: a request that has its own would only look for the lock now and then, and miss the pauses.
    """
    deleted = 0
    old = WebhookEvent.objects.filter(received_at__lt=received_before).order_by("received_at")
    while not should_stop():
        with djangos_transaction():
            batch = list(old.values_list("pk", flat=True)[:BATCH])
            WebhookEvent.objects.filter(pk__in=batch).delete()
        deleted += len(batch)
        if len(batch) < BATCH:
            break
        time.sleep(PAUSE_SECONDS)
    return deleted
