"""What is true now, as gauges: read from the database and the disk when it is asked for, and kept for five seconds."""

import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import Error, connection
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from automations.deliveries.standstill import worker_seen_at
from automations.models import Delivery, Destination
from config.metrics.spool import fed_bytes, set_aside, waiting_on_disk
from sessions_app.database.replica import seen_replica
from sessions_app.models import Session
from sessions_app.reports.webhook.channels import Heard, merged, newest_by_events, newest_of_channels

KEPT_SECONDS = 5.0
# Channels that are heard seldom are looked for so often; meanwhile each process remembers them.
LOOK_FAR_SECONDS = 300.0
# Beyond them a count would take as long as a page.
MOST_DELIVERIES = 100_000


class Gauges(Collector):
    """One for a process. Whoever asks while another one looks waits for what that one finds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_at = -KEPT_SECONDS
        self._found: list[Metric] = []
        self._looked_far_at = -LOOK_FAR_SECONDS
        self._channels: dict[str, Heard] = {}

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if time.monotonic() - self._looked_at >= KEPT_SECONDS:
                self._found = [*self._of_database(), *_of_disk()]
                self._looked_at = time.monotonic()
            return self._found

    def _of_database(self) -> list[Metric]:
        """All or nothing: half of it would look like an answer."""
        try:
            return [
                *_of_sessions(),
                *_of_deliveries(),
                *self._of_channels(),
                *_of_worker(),
                *_of_replica(),
                *_of_spool(),
                _is_up(True),
            ]
        except Error:
            # Else the next look would use a connection that may be dead.
            connection.close()
            return [_is_up(False)]

    def _of_channels(self) -> Iterator[Metric]:
        now = time.monotonic()
        if now - self._looked_far_at >= LOOK_FAR_SECONDS:
            found = newest_of_channels()
            self._looked_far_at = now
        else:
            found = newest_by_events()
        self._channels = merged(found.items(), self._channels)
        begins = GaugeMetricFamily(
            "frontdesk_channel_last_begin_timestamp_seconds",
            "When the last begin of a channel came, as a Unix time.",
            labels=["channel"],
        )
        ends = GaugeMetricFamily(
            "frontdesk_channel_last_end_timestamp_seconds",
            "When the last end of a channel came, as a Unix time.",
            labels=["channel"],
        )
        for channel, heard in sorted(self._channels.items()):
            for family, moment in ((begins, heard.begin), (ends, heard.end)):
                if moment is not None:
                    family.add_metric([channel], moment.timestamp())
        yield from (begins, ends)


def _is_up(answers: bool) -> Metric:
    return GaugeMetricFamily(
        "frontdesk_database_up", "1 where the database answered; else 0, and what it knows is left out.", int(answers)
    )


def _of_sessions() -> Iterator[Metric]:
    count = Session.objects.in_state(Session.State.OPEN.value, timezone.now()).count()
    yield GaugeMetricFamily("frontdesk_open_sessions", "Sessions that have begun and not ended.", count)


def _of_deliveries() -> Iterator[Metric]:
    unfinished = Delivery.objects.filter(finished_at__isnull=True).order_by()[:MOST_DELIVERIES]
    found = unfinished.aggregate(count=Count("pk"), oldest=Min("created_at"))
    yield GaugeMetricFamily(
        "frontdesk_deliveries_waiting",
        f"Unfinished deliveries, {MOST_DELIVERIES:,} at most.",
        found["count"],
    )
    yield GaugeMetricFamily(
        "frontdesk_deliveries_oldest_age_seconds",
        "How long the oldest of them has waited; 0 where there is none.",
        _age_of(found["oldest"]),
    )
    yield GaugeMetricFamily(
        "frontdesk_destinations_paused",
        "Destinations that get nothing until staff resume them.",
        Destination.objects.filter(paused_at__isnull=False).count(),
    )


def _of_worker() -> Iterator[Metric]:
    seen_at = worker_seen_at()
    family = GaugeMetricFamily(
        "frontdesk_worker_last_seen_timestamp_seconds",
        "When a worker last said that it runs, as a Unix time; every minute at least. 0: never.",
        seen_at.timestamp() if seen_at else 0,
    )
    yield family


def _of_replica() -> Iterator[Metric]:
    """Where reports have one."""
    seen = seen_replica()
    if seen is None:
        return
    yield GaugeMetricFamily(
        "frontdesk_replica_read", "1 where reports read their replica; 0 where they read the primary.", not seen.problem
    )
    if seen.behind is not None:
        yield GaugeMetricFamily(
            "frontdesk_replica_lag_seconds",
            "How far the replica is behind, by the newest heartbeat there: up to a second where it is not.",
            seen.behind.total_seconds(),
        )


def _of_spool() -> Iterator[Metric]:
    requests = GaugeMetricFamily(
        "frontdesk_spool_requests",
        "LiveTok's requests on this node's disk: waiting to be stored, or set aside since they cannot be.",
        labels=["state"],
    )
    size = GaugeMetricFamily("frontdesk_spool_bytes", "Their bytes.", labels=["state"])
    for state, (count, byte_count) in {"waiting": waiting_on_disk(fed_bytes()), "set_aside": set_aside()}.items():
        requests.add_metric([state], count)
        size.add_metric([state], byte_count)
    yield from (requests, size)


def _of_disk() -> Iterator[Metric]:
    free = GaugeMetricFamily("frontdesk_disk_free_bytes", "Free space where a folder is.", labels=["folder"])
    size = GaugeMetricFamily("frontdesk_disk_size_bytes", "All space where a folder is.", labels=["folder"])
    for name, folder in watched_folders().items():
        try:
            usage = shutil.disk_usage(folder)
        except OSError:  # it is gone; the data folder's other users say so loudly
            continue
        free.add_metric([name], usage.free)
        size.add_metric([name], usage.total)
    yield from (free, size)


def watched_folders() -> dict[str, Path]:
    """Where Frontdesk writes."""
    folders = {"data": Path(settings.DATA_DIR)}
    if settings.IS_SQLITE:
        folders["database"] = Path(settings.DATABASES["default"]["NAME"]).parent
    return {name: folder for name, folder in folders.items() if name == "data" or folder != folders["data"]}


def _age_of(moment: datetime | None) -> float:
    return 0.0 if moment is None else max(0.0, (timezone.now() - moment).total_seconds())


gauges = Gauges()
