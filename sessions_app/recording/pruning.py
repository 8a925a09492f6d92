"""Deleting sessions by age, where SESSION_RETENTION_DAYS says so. What was summed of them stays."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from datetime import time as time_of_day

from django.conf import settings
from django.db.models import F, Max, Q
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from customers.keyset import beyond
from customers.personal.parts import parts
from customers.zones import company_zone
from sessions_app.database.pieces import PAUSE_SECONDS, bulk_transaction
from sessions_app.leases import Held, turn_at
from sessions_app.models import (
    LateWrite,
    PastMonthWrite,
    Session,
    StatementMonth,
    SumsMark,
    SupersededEnd,
    WebhookEvent,
)
from sessions_app.periods import LEAST_RETENTION_DAYS, local_day, starts_at
from sessions_app.recording.clock import clock
from sessions_app.sums.keeping import LEASE_NAME
from sessions_app.usage.drawn import keep_drawn_by_deleted

SESSIONS_AT_ONCE = 100
# The sums wait meanwhile: what is left is deleted a minute later.
RUN_SECONDS = 10.0
_ORDER = ("started_at", "pk")

ShouldStop = Callable[[], bool]


def prune_sessions(should_stop: ShouldStop = lambda: False) -> int:
    """Delete what is too old, oldest first, in short transactions. Returns how many sessions.

    Nobody sums meanwhile, and whoever does later knows from when on all is there: that is written first.
    """
    if not settings.SESSION_RETENTION_DAYS or not clock.may_be_believed():
        return 0
    with turn_at(LEASE_NAME, should_stop) as held:
        if held is None:
            return 0
        before = _pruned_before(held)
        return 0 if before is None else _delete(before, held, should_stop)


def _pruned_before(held: Held) -> datetime | None:
    """Midnight of the company's, up to which sessions may go. None where nothing may yet."""
    zone, mark = company_zone(), SumsMark.objects.first()
    oldest = timezone.now() - timedelta(days=max(settings.SESSION_RETENTION_DAYS, LEAST_RETENTION_DAYS))
    before = starts_at(local_day(oldest, zone), zone)
    closed = StatementMonth.objects.filter(finished_at__isnull=False).aggregate(last=Max("first_day"))["last"]
    if closed is not None:  # who closes months loses none of what is not billed; zones are up to a day apart
        month_after = (closed + timedelta(days=31)).replace(day=1)
        before = min(before, datetime.combine(month_after - timedelta(days=1), time_of_day.min, tzinfo=zone))
    if mark is None or mark.zone != zone.key or mark.until is None or mark.until < before:
        return None
    since = mark.sessions_since
    if since is not None and since >= before:
        return since
    written = LateWrite.objects.filter(started_at__lt=before)
    if (written.filter(started_at__gte=since) if since else written).exists():
        return since  # the worker counts these hours first
    with bulk_transaction():
        held.require()
        SumsMark.objects.filter(pk=mark.pk).update(sessions_since=before)
    return before


def _delete(before: datetime, held: Held, should_stop: ShouldStop) -> int:
    deleted, give_up_at = 0, time.monotonic() + RUN_SECONDS
    # By our clock as well: LiveTok may state any time of a session that is open now.
    heard = Greatest(
        Coalesce("begin_received_at", F("end_received_at")), Coalesce("end_received_at", F("begin_received_at"))
    )
    old = Session.objects.annotate(heard_at=heard).filter(started_at__lt=before, heard_at__lt=before).order_by(*_ORDER)
    some = list(old.values_list("started_at", "pk", "session_id")[:SESSIONS_AT_ONCE])
    while some and not should_stop() and time.monotonic() < give_up_at:
        with bulk_transaction():
            held.require()
            _delete_some([pk for _, pk, _ in some], {session_id for *_, session_id in some}, before)
        deleted += len(some)
        time.sleep(PAUSE_SECONDS)
        further = beyond(_ORDER, some[-1][:2])
        some = list(old.filter(further).values_list("started_at", "pk", "session_id")[:SESSIONS_AT_ONCE])
    return deleted


def _delete_some(pks: Sequence[int], session_ids: set[str], before: datetime) -> None:
    for part in parts():
        part.of_sessions(pks)
    SupersededEnd.objects.filter(session__in=pks).delete()
    PastMonthWrite.objects.filter(session__in=pks).delete()
    drawing = Q(minutes_top_up_id__isnull=False) | Q(sessions_top_up_id__isnull=False)
    keep_drawn_by_deleted(Session.objects.filter(drawing, pk__in=pks))
    Session.objects.filter(pk__in=pks).delete()
    WebhookEvent.objects.filter(session_id__in=session_ids, received_at__lt=before).delete()
