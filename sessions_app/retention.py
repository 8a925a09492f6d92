"""How long LiveTok's requests are kept, and what billing does not need. Sessions and usage are kept for good."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from sessions_app.models import PastMonthWrite, StatementMonth, WebhookEvent
from sessions_app.statements import djangos_transaction

BATCH = 500
PAUSE_SECONDS = 0.02

ShouldStop = Callable[[], bool]


def delete_events(received_before: datetime, should_stop: ShouldStop = lambda: False) -> int:
    """Delete events by age, oldest first. Returns how many."""
    return _delete(WebhookEvent.objects.filter(received_at__lt=received_before).order_by("received_at"), should_stop)


def delete_writes_nobody_billed(should_stop: ShouldStop = lambda: False) -> int:
    """Take the months that were not closed off the list of past months' writes. Returns how many rows.

    Whoever closes one of them counts its sessions later than this, with all that the list says.
    """
    billed = StatementMonth.objects.values("pk")
    return _delete(PastMonthWrite.objects.exclude(month__in=billed).order_by("pk"), should_stop)


def _delete(old: QuerySet[Any], should_stop: ShouldStop) -> int:
    """In short transactions with a pause between them, so that LiveTok's requests do not wait for a long one. Each
    takes its turn on SQLite: a request that has its own would only look for the lock now and then, and miss the pauses.
    """
    deleted = 0
    while not should_stop():
        with djangos_transaction():
            batch = list(old.values_list("pk", flat=True)[:BATCH])
            old.model.objects.filter(pk__in=batch).delete()
        deleted += len(batch)
        if len(batch) < BATCH:
            break
        time.sleep(PAUSE_SECONDS)
    return deleted
