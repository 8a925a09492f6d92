"""From the spool to the database: the worker takes every request that waits on disk through the ordinary reception."""

import heapq
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from django.conf import settings
from django.db import InterfaceError, OperationalError

from sessions_app.database.commits import wait_until_kept
from sessions_app.database.pieces import bulk_transaction
from sessions_app.livetok.delivery import Delivery
from sessions_app.models import SpoolPlace
from sessions_app.spool.files import (
    Line,
    SpooledRequest,
    Unreadable,
    delete_if_finished,
    lines_of,
    set_aside,
    spool_files,
)
from sessions_app.webhook.reception import receive, refuse_too_large

logger = logging.getLogger("frontdesk.spool")

# A request that fails, though the database is there, gets as many rounds before it is set aside.
ROUNDS = 3
# What one transaction takes, since others may have to wait for all of it: a caller's next begin, on SQLite any.
BATCH_SECONDS = 0.02
# After it, for those who wait for their turn to write on SQLite.
PAUSE_SECONDS = 0.02

# An internal error is the request's: it leaves a transaction that PostgreSQL goes on with no more.
AWAY = (OperationalError, InterfaceError)

Waiting: TypeAlias = tuple[Line, SpooledRequest]


@dataclass
class Round:
    """One look at all files: how far each is `done`, and which are `held` for the next round, behind what failed."""

    done: dict[Path, int]
    held: set[Path] = field(default_factory=set)
    fed: int = 0

    def pass_by(self, line: Line) -> None:
        self.done[line.path] = max(self.done[line.path], line.end)


class Feeder:
    """One for the worker. What has failed is counted from its start."""

    def __init__(self) -> None:
        self._failures: Counter[tuple[Path, int]] = Counter()

    def feed(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Feed all that waits, in the order in which it came, and delete the files. Returns how many were fed.

        Where the database goes away, the rest waits for the next round. Safe to be ended at any moment: how far a file
        was fed is stored with its requests.
        """
        files = spool_files()
        if not files:
            return 0
        names = [path.name for path in files]
        # Left by a worker that ended after it had deleted the file.
        SpoolPlace.objects.exclude(name__in=names).delete()
        fed_bytes = dict(SpoolPlace.objects.values_list("name", "fed_bytes"))
        this = Round({path: fed_bytes.get(path.name, 0) for path in files})
        streams = [_readable(path, this) for path in files]
        # Each web process has a file of its own, and a session's begin and end may lie in two of them.
        merged = heapq.merge(*streams, key=lambda waiting: waiting[1].received_at)
        waiting = (each for each in merged if each[0].path not in this.held)
        while self._feed_batch(waiting, this, should_stop):
            if settings.IS_SQLITE:
                time.sleep(PAUSE_SECONDS)
        finished = set(files) - this.held
        if finished:  # some may have been found fed, by a commit that no standby has seen
            wait_until_kept()
        for path in finished:
            _delete(path, this.done[path])
        logger.info("spool fed", extra={"requests": this.fed})
        return this.fed

    def _feed_batch(self, waiting: Iterator[Waiting], this: Round, should_stop: Callable[[], bool]) -> bool:
        """Feed what one transaction has time for. False where there was nothing any more."""
        batch: list[Waiting] = []
        try:
            feed_requests(_taken(waiting, batch, should_stop))
        except AWAY:
            raise
        except Exception:
            logger.warning("requests of the spool are fed one by one", exc_info=True)
            self._feed_one_by_one(batch, this)
        else:
            for line, _ in batch:
                this.pass_by(line)
            this.fed += len(batch)
        return bool(batch)

    def _feed_one_by_one(self, batch: Iterable[Waiting], this: Round) -> None:
        """The same again, to see which of them fails. It keeps those behind it in its file waiting."""
        for line, request in batch:
            if line.path in this.held:
                continue
            if self._feed(line, request):
                this.pass_by(line)
                this.fed += 1
            else:
                this.held.add(line.path)

    def _feed(self, line: Line, request: SpooledRequest) -> bool:
        """Whether the request needs no further round: it was fed, or set aside."""
        try:
            feed_requests([(line, request)])
        except AWAY:
            raise
        except Exception:
            key = line.path, line.end
            self._failures[key] += 1
            logger.exception("a request of the spool could not be fed", extra={"file": line.path.name})
            if self._failures[key] < ROUNDS:
                return False
            _set_aside(line, "it failed again and again")
        return True


def _readable(path: Path, this: Round) -> Iterator[Waiting]:
    """The file's requests from where it was left. What cannot be read is set aside, and blocks nothing."""
    try:
        for line in lines_of(path, this.done[path]):
            try:
                request = line.request()
            except Unreadable as problem:
                if line.is_finished:
                    _set_aside(line, str(problem))
                this.pass_by(line)
            else:
                yield line, request
    except OSError:
        logger.exception("a file of the spool cannot be read", extra={"file": path.name})
        this.held.add(path)


def _taken(waiting: Iterator[Waiting], batch: list[Waiting], should_stop: Callable[[], bool]) -> Iterator[Waiting]:
    """Move one after the other into the batch, as long as it has time."""
    until = time.monotonic() + BATCH_SECONDS
    while time.monotonic() < until and not should_stop():
        if (each := next(waiting, None)) is None:
            return
        batch.append(each)
        yield each


def feed_requests(waiting: Iterable[Waiting]) -> None:
    """Take requests, and how far their files are fed with them, all or nothing; but none that was fed already."""
    places: dict[str, SpoolPlace] = {}
    with bulk_transaction():
        for line, request in waiting:
            name = line.path.name
            if name not in places:
                # Two workers may feed the same file: the second waits here, and then finds its requests fed.
                places[name], _ = SpoolPlace.objects.select_for_update().get_or_create(name=name)
            if places[name].fed_bytes < line.end:
                _receive(request)
                places[name].fed_bytes = line.end
        for place in places.values():
            place.save(update_fields=["fed_bytes"])


def _receive(request: SpooledRequest) -> None:
    started = time.perf_counter() - request.took_ms / 1000
    delivery = Delivery(request.key, request.address, started, is_again=True, encoding=request.encoding)
    if request.body is None:
        refuse_too_large(route=request.route, received_at=request.received_at, delivery=delivery)
        return
    receive(request.body, route=request.route, received_at=request.received_at, delivery=delivery, given=request.given)


def _set_aside(line: Line, problem: str) -> None:
    path = set_aside(line)
    logger.error("a request of the spool was set aside", extra={"file": str(path), "problem": problem})


def _delete(path: Path, end: int) -> None:
    with suppress(FileNotFoundError):  # another worker was quicker
        if delete_if_finished(path, end):
            SpoolPlace.objects.filter(name=path.name).delete()


feeder = Feeder()
