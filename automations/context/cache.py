"""What sources said of callers lately: one query for a begin, and rows written by whoever asked."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import Error
from django.utils import timezone

from automations.context.recipes import Recipe, Values
from automations.models import CachedContext, Source
from sessions_app.database.pieces import delete_in_pieces
from sessions_app.database.prepared import djangos_transaction
from sessions_app.recording.clock import clock

logger = logging.getLogger("frontdesk.automations")

# What is not stored by then is asked for another time: the thread is needed.
TURN_SECONDS = 3.0


@dataclass(frozen=True)
class Asked:
    """For whom a source is asked. `caller` names the row; `known` is what of the session the address names."""

    caller: str
    customer_id: int | None
    known: Mapping[str, Any]


def cached_for(asked: Mapping[int, Asked]) -> dict[int, CachedContext]:
    """By source, what it said of the caller, however old."""
    callers = {one.caller for one in asked.values()}
    rows = CachedContext.objects.filter(source__in=asked, caller__in=callers)
    return {row.source_id: row for row in rows if row.caller == asked[row.source_id].caller}


def store(recipe: Recipe, asked: Asked, values: Values) -> None:
    """Keep what a source said just now. Not worth a failure: the next begin asks again."""
    row = CachedContext(
        source_id=recipe.source_id,
        caller=asked.caller,
        recipe=recipe.mark,
        values=values.context,
        lacking=values.lacking,
        fetched_at=timezone.now(),
        customer_id=asked.customer_id,
        known=dict(asked.known),
    )
    changed = ["recipe", "values", "lacking", "fetched_at", "customer", "known", "wanted_at"]
    _write(
        lambda: CachedContext.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["source", "caller"], update_fields=changed
        )
    )


def want_again(pks: Iterable[int]) -> None:
    """Have the worker ask again for what is stale."""
    rows = CachedContext.objects.filter(pk__in=pks, wanted_at__isnull=True)
    _write(lambda: rows.update(wanted_at=timezone.now()))


def note_failure(source_id: int, why: str) -> None:
    """For the admin's page."""
    _write(lambda: Source.objects.filter(pk=source_id).update(last_failed_at=timezone.now(), last_failure=why[:300]))


def _write(work: Callable[[], object]) -> None:
    try:
        with djangos_transaction(TURN_SECONDS):
            work()
    except Error as error:  # the source or the customer may be gone, too
        logger.warning("what a source said is not kept", extra={"error": str(error).strip()[:300]})


def delete_old_contexts(should_stop: Callable[[], bool] = lambda: False) -> int:
    """Delete what is older than it may be used, oldest first. Returns how many."""
    if not clock.may_be_believed():
        return 0
    return sum(
        delete_in_pieces(source.cached.filter(fetched_at__lt=_oldest(source)).order_by("fetched_at"), should_stop)
        for source in Source.objects.all()
    )


def _oldest(source: Source) -> datetime:
    return timezone.now() - timedelta(hours=source.stale_hours)
