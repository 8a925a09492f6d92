"""Replays from asking to the result: staff ask, and the worker goes through the customers some at a time."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import Error
from django.utils import timezone

from customers.limits import Limit, Metric, Period
from customers.models import TierChange
from customers.scheduled import tier_limits_at
from sessions_app.database.pieces import bulk_transaction
from sessions_app.leases import if_due
from sessions_app.models import Replay
from sessions_app.replay.reading import Asked, customers_of, pieces, replayed_customers, usual_seconds
from sessions_app.replay.summing import Summary

logger = logging.getLogger("frontdesk.replay")

FAILED = "It broke off by an error, which is in the worker's log. Replay it again."
# Between pieces, for the worker's other threads.
PAUSE_SECONDS = 0.02

ShouldStop = Callable[[], bool]


def ask_for_replay(change: TierChange, days: int, user: User | None) -> Replay:
    """Have a draft or scheduled change replayed over the last days, beginning anew where it was before."""
    until = timezone.now()
    fields: dict[str, Any] = {
        "since": until - timedelta(days=days),
        "until": until,
        "limits": _as_json([row.as_limit() for row in change.shown_limits]),
        "limits_now": _as_json(tier_limits_at(change.tier, until)),
        "asked_at": until,
        "asked_by": user,
        "customers": 0,
        "customers_done": 0,
        "last_customer": 0,
        "usual_seconds": None,
        "result": {},
        "finished_at": None,
        "problem": "",
    }
    replay, _ = Replay.objects.update_or_create(change=change, days=days, defaults=fields)
    return replay


def replay_further(should_stop: ShouldStop) -> None:
    """Work out what staff have asked for, the first first; one process at a time does. Safe to be ended anywhere."""
    while not should_stop() and (replay := _next()) is not None:
        with if_due("replay drafts", timedelta()) as held:
            if held is None:
                return
            _go_on(replay, lambda: should_stop() or held.is_lost)


def _next() -> Replay | None:
    return Replay.objects.filter(finished_at=None).select_related("change").order_by("asked_at", "pk").first()


def _go_on(replay: Replay, should_stop: ShouldStop) -> None:
    try:
        _replay(replay, should_stop)
    except Error:
        raise  # the database is away, or somebody else's: once more, from where it was
    except Exception:
        logger.exception("a replay failed", extra={"replay": replay.pk})
        _save(replay, finished_at=timezone.now(), problem=FAILED)


def _replay(replay: Replay, should_stop: ShouldStop) -> None:
    asked = asked_of(replay)
    if replay.usual_seconds is None:
        _save(replay, usual_seconds=usual_seconds(asked), customers=customers_of(asked).count())
    summary = Summary.of(replay.result)
    for customer_ids in pieces(asked, replay.last_customer):
        if should_stop():
            return
        for found in replayed_customers(asked, customer_ids, replay.usual_seconds or 0):
            summary.add(found.customer_id, found.verdicts)
        piece = customers_of(asked).filter(pk__gt=replay.last_customer, pk__lte=customer_ids[-1])
        done = replay.customers_done + piece.count()
        if not _save(replay, last_customer=customer_ids[-1], customers_done=done, result=summary.as_json()):
            return
        time.sleep(PAUSE_SECONDS)
    _save(replay, finished_at=timezone.now(), result=summary.as_json())


def _save(replay: Replay, **fields: Any) -> bool:
    """Whether it still stands as it was read: it may have been begun anew, or gone with its draft."""
    mine = Replay.objects.filter(pk=replay.pk, asked_at=replay.asked_at, finished_at=None)
    mine = mine.filter(last_customer=replay.last_customer)
    with bulk_transaction():
        is_mine = bool(mine.update(**fields))
    for name, value in fields.items():
        setattr(replay, name, value)
    return is_mine


def asked_of(replay: Replay) -> Asked:
    lines = _limits(replay.limits_now), _limits(replay.limits)
    return Asked(replay.change.tier_id, replay.since, replay.until, lines)


def is_of_now(replay: Replay) -> bool:
    """Whether the draft, and the tier, still have the limits that were compared."""
    draft = [row.as_limit() for row in replay.change.shown_limits]
    tier = tier_limits_at(replay.change.tier, timezone.now())
    return set(_limits(replay.limits)) == set(draft) and set(_limits(replay.limits_now)) == set(tier)


def _as_json(limits: Sequence[Limit]) -> list[list[Any]]:
    return [
        [limit.metric.value, limit.period.value, limit.amount, limit.channel, limit.agent, limit.hard]
        for limit in limits
    ]


def _limits(stored: Sequence[Sequence[Any]]) -> tuple[Limit, ...]:
    return tuple(Limit(Metric(metric), Period(period), *rest) for metric, period, *rest in stored)
