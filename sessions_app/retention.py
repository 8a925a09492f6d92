"""How long LiveTok's requests are kept, and what billing does not need. Sessions and usage are kept for good."""

from collections.abc import Callable
from datetime import datetime

from sessions_app.models import PastMonthWrite, StatementMonth, WebhookEvent
from sessions_app.pieces import delete_in_pieces

ShouldStop = Callable[[], bool]


def delete_events(received_before: datetime, should_stop: ShouldStop = lambda: False) -> int:
    """Delete events by age, oldest first. Returns how many."""
    return delete_in_pieces(
        WebhookEvent.objects.filter(received_at__lt=received_before).order_by("received_at"), should_stop
    )


def delete_writes_nobody_billed(should_stop: ShouldStop = lambda: False) -> int:
    """Take the months that were not closed off the list of past months' writes. Returns how many rows.

    Whoever closes one of them counts its sessions later than this, with all that the list says.
    """
    billed = StatementMonth.objects.values("pk")
    return delete_in_pieces(PastMonthWrite.objects.exclude(month__in=billed).order_by("pk"), should_stop)
