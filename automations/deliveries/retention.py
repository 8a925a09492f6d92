"""How long deliveries are kept, with their attempts."""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from automations.models import Delivery
from sessions_app.database.pieces import delete_in_pieces
from sessions_app.recording.clock import clock


def delete_old_deliveries(should_stop: Callable[[], bool] = lambda: False) -> int:
    """Delete what was finished long ago, oldest first. Returns how many."""
    if not clock.may_be_believed():
        return 0
    until = timezone.now() - timedelta(days=settings.DELIVERY_RETENTION_DAYS)
    return delete_in_pieces(Delivery.objects.filter(finished_at__lt=until).order_by("finished_at"), should_stop)
