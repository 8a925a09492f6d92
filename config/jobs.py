"""What `manage.py worker` does, and how often."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import Error, close_old_connections, connections
from django.utils import timezone

from automations.context.cache import delete_old_contexts
from automations.context.refreshing import refresh_contexts
from automations.deliveries.retention import delete_old_deliveries
from automations.deliveries.worker import Sender
from automations.rules.digests import send_digests
from automations.rules.judging import judge
from automations.rules.missing_ends import tell_missing_ends
from automations.rules.silence import look_for_silence
from config.backups.nightly import nightly
from config.nodes import MayNotJoin, beat_every, forget_dead_nodes, heartbeat
from config.sign_in.log import delete_old_events
from customers.personal.erasing import erase_further, erase_on_disk
from customers.search.keeping import new_callers
from customers.settling import settle_due
from sessions_app.database.sqlite.wiping import wipe_log
from sessions_app.leases import LeaseLost, if_due
from sessions_app.recording.clock import clock
from sessions_app.recording.erasing import erase_set_aside
from sessions_app.recording.pruning import prune_sessions
from sessions_app.recording.retention import delete_events, delete_events_of_no_session, delete_writes_nobody_billed
from sessions_app.replay.running import replay_further
from sessions_app.sums.keeping import keep_sums
from sessions_app.webhook.feeding import feeder

logger = logging.getLogger("frontdesk.worker")

ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Job:
    """`run` must be harmless to repeat; a long one asks `should_stop` now and then.

    One that `is_shared` is done once in that time by all nodes together. Others, each does: what waits on its own disk,
    and work that they share row by row.
    """

    name: str
    every: timedelta
    run: Callable[[ShouldStop], object]
    is_shared: bool = False


def prune_events(should_stop: ShouldStop) -> None:
    if not clock.may_be_believed():
        return
    deleted = delete_events(timezone.now() - timedelta(days=settings.EVENT_RETENTION_DAYS), should_stop)
    if deleted:
        logger.info("events pruned", extra={"deleted": deleted})


def bound_events(should_stop: ShouldStop) -> None:
    """It goes by size, so the clock need not be right."""
    deleted = delete_events_of_no_session(settings.EVENT_RETENTION_MB * 1_000_000, should_stop)
    if deleted:
        logger.info(
            "ignored and rejected events deleted, since they were too many",
            extra={"deleted": deleted, "most_mb": settings.EVENT_RETENTION_MB},
        )


def prune_old_sessions(should_stop: ShouldStop) -> None:
    deleted = prune_sessions(should_stop)
    if deleted:
        logger.info("sessions pruned", extra={"deleted": deleted})


def beat(should_stop: ShouldStop) -> None:
    heartbeat.beat()


# What waits on disk is fed by a thread of its own, so that it never waits for another job; so is what follows sessions,
# and asking sources again, each of which may take seconds.
FEEDING = [Job("feed spool", timedelta(seconds=1), feeder.feed)]
FOLLOWING = [
    Job("judge what happened", timedelta(seconds=0.5), judge.judge),
    Job("settle scheduled changes", timedelta(seconds=2), settle_due),
    Job("make new callers searchable", timedelta(seconds=2), new_callers.run),
    Job("tell missing ends", timedelta(minutes=1), tell_missing_ends, is_shared=True),
    Job("look for silence", timedelta(minutes=1), look_for_silence, is_shared=True),
    Job("send digests", timedelta(minutes=1), send_digests, is_shared=True),
]
# It takes minutes. Only where there is a folder for it.
BACKING_UP = [Job("back up", timedelta(minutes=1), nightly.run, is_shared=True)]
# A customer with very many sessions takes minutes.
ERASING = [
    Job(
        "erase customers",
        timedelta(seconds=10),
        lambda should_stop: erase_further(should_stop, wipe_log),
        is_shared=True,
    ),
    Job("erase from disk", timedelta(minutes=1), lambda should_stop: erase_on_disk(erase_set_aside)),
]
# A draft over ninety days takes minutes where sessions are many.
REPLAYING = [Job("replay drafts", timedelta(seconds=1), replay_further)]
REFRESHING = [Job("refresh contexts", timedelta(seconds=1), refresh_contexts)]
JOBS = [
    Job("prune events", timedelta(minutes=1), prune_events, is_shared=True),
    Job("bound events", timedelta(minutes=10), bound_events, is_shared=True),
    Job("prune past months' writes", timedelta(hours=1), delete_writes_nobody_billed, is_shared=True),
    Job("prune sessions", timedelta(minutes=1), prune_old_sessions, is_shared=True),
    Job("keep sums", timedelta(minutes=1), keep_sums, is_shared=True),
    Job("prune deliveries", timedelta(hours=1), delete_old_deliveries, is_shared=True),
    Job("prune sign-ins", timedelta(hours=1), delete_old_events, is_shared=True),
    Job("prune contexts", timedelta(hours=1), delete_old_contexts, is_shared=True),
    Job("forget dead nodes", timedelta(hours=1), lambda should_stop: forget_dead_nodes(), is_shared=True),
]
# Whether a shared job is due is looked up so often: so what a dead node left is taken up soon after its lease ended.
LOOK_EVERY = timedelta(seconds=5)


def run_worker(stop: threading.Event) -> None:
    """Run all jobs until `stop` is set, or until one of the threads ends by itself."""
    beside = {
        "beating": lambda: _beat(stop),
        "feeding": lambda: run_jobs(FEEDING, stop),
        "following": lambda: run_jobs(FOLLOWING, stop),
        "erasing": lambda: run_jobs(ERASING, stop),
        "replaying": lambda: run_jobs(REPLAYING, stop),
        "refreshing": lambda: run_jobs(REFRESHING, stop),
        "sending": lambda: Sender().run(stop),
    }
    if settings.BACKUP_DIR:
        beside["backing up"] = lambda: run_jobs(BACKING_UP, stop)
    threads = [threading.Thread(target=_run_until, args=(run, stop), name=name) for name, run in beside.items()]
    for thread in threads:
        thread.start()
    try:
        run_jobs(JOBS, stop)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _beat(stop: threading.Event) -> None:
    """Nobody else's work holds it up: what is late here is taken for dead."""
    try:
        run_jobs([Job("beat", beat_every(), beat)], stop)
    except MayNotJoin as refusal:
        logger.error("this node may not join", extra={"reason": str(refusal)})
    finally:
        try:
            heartbeat.end()
        except Error as error:
            logger.error("the other nodes do not hear that this one stops", extra={"error": str(error).strip()})


def _run_until(run: Callable[[], object], stop: threading.Event) -> None:
    try:
        run()
    finally:
        stop.set()
        connections.close_all()


def run_jobs(jobs: Sequence[Job], stop: threading.Event) -> None:
    """Run each job when it is due, until `stop` is set. A job that fails is logged and due again in its time."""
    due = dict.fromkeys(jobs, time.monotonic())
    while not stop.is_set():
        for job in jobs:
            if due[job] <= time.monotonic() and not stop.is_set():
                _run(job, stop.is_set)
                every = min(job.every, LOOK_EVERY) if job.is_shared else job.every
                due[job] = time.monotonic() + every.total_seconds()
        stop.wait(max(0.0, min(due.values()) - time.monotonic()))


def _run(job: Job, should_stop: ShouldStop) -> None:
    try:
        close_old_connections()  # what a request does for the web server: a broken connection is left behind
        if job.is_shared:
            _run_if_due(job, should_stop)
        else:
            job.run(should_stop)
    except MayNotJoin:
        raise
    except LeaseLost as error:
        logger.warning("another node took the job over", extra={"job": job.name, "reason": str(error)})
    except Error as error:
        logger.error("job waits for the database", extra={"job": job.name, "error": str(error).strip()})
    except Exception:
        logger.exception("job failed", extra={"job": job.name})


def _run_if_due(job: Job, should_stop: ShouldStop) -> None:
    with if_due(job.name, job.every) as held:
        if held is not None:
            job.run(lambda: should_stop() or held.is_lost)
