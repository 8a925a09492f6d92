"""From the spool to the database: the worker takes every request that waits on disk through the ordinary reception."""

import heapq
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from sessions_app.answer import AnswerGiven
from sessions_app.decision import Reason
from sessions_app.lifecycle import Delivery
from sessions_app.models import SpoolPlace
from sessions_app.patience import DATABASE_ERRORS
from sessions_app.reception import receive, refuse_too_large
from sessions_app.spool import (
    Line,
    SpooledRequest,
    Unreadable,
    delete_if_finished,
    lines_of,
    set_aside,
    spool_files,
)
from sessions_app.statements import djangos_transaction

logger = logging.getLogger("frontdesk.spool")

# A request that fails, though the database is there, gets as many rounds before it is set aside.
ROUNDS = 3
# Between two requests, so that those who wait for their turn on SQLite get it.
PAUSE_SECONDS = 0.001


class Feeder:
    """One for the worker. What has failed is counted from its start."""

    def __init__(self) -> None:
        self._failures: Counter[tuple[Path, int]] = Counter()

    def feed(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Feed all that waits, in the order in which it came, and delete the files. Returns how many were fed.

        Where the database goes away, the rest waits for the next round. Safe to be ended at any moment: how far a file
        was fed is stored with each request.
        """
        files = spool_files()
        if not files:
            return 0
        names = [path.name for path in files]
        SpoolPlace.objects.exclude(name__in=names).delete()
        fed_bytes = dict(SpoolPlace.objects.values_list("name", "fed_bytes"))
        done = {path: fed_bytes.get(path.name, 0) for path in files}
        held: set[Path] = set()
        fed = 0
        streams = [self._readable(path, done) for path in files]
        for line, request in heapq.merge(*streams, key=lambda pair: pair[1].received_at):
            if should_stop():
                return fed
            if line.path in held:
                continue
            if not self._feed(line, request):
                held.add(line.path)
                continue
            done[line.path] = line.end
            fed += 1
            if settings.IS_SQLITE:
                time.sleep(PAUSE_SECONDS)
        for path in set(files) - held:
            _delete(path, done[path])
        logger.info("spool fed", extra={"requests": fed})
        return fed

    def _readable(self, path: Path, done: dict[Path, int]) -> Iterator[tuple[Line, SpooledRequest]]:
        """The file's requests from where it was left. What cannot be read is set aside, and blocks nothing."""
        for line in lines_of(path, done[path]):
            try:
                request = line.request()
            except Unreadable as problem:
                if line.is_finished:
                    _set_aside(line, str(problem))
                done[path] = max(done[path], line.end)
            else:
                yield line, request

    def _feed(self, line: Line, request: SpooledRequest) -> bool:
        """Whether the request needs no further round: it was fed, or set aside."""
        try:
            feed_request(line, request)
        except DATABASE_ERRORS:
            raise
        except Exception:
            key = line.path, line.end
            self._failures[key] += 1
            logger.exception("a request of the spool could not be fed", extra={"file": line.path.name})
            if self._failures[key] < ROUNDS:
                return False
            _set_aside(line, "it failed again and again")
        return True


def feed_request(line: Line, request: SpooledRequest) -> None:
    """Take one request, and how far its file is fed with it, all or nothing; nothing where it was fed already."""
    with djangos_transaction():
        place, _ = SpoolPlace.objects.select_for_update().get_or_create(name=line.path.name)
        if place.fed_bytes >= line.end:
            return
        _receive(request)
        place.fed_bytes = line.end
        place.save(update_fields=["fed_bytes"])


def _receive(request: SpooledRequest) -> None:
    delivery = Delivery(request.key, request.address, time.perf_counter() - request.took_ms / 1000, is_again=True)
    if request.body is None:
        refuse_too_large(route=request.route, received_at=request.received_at, delivery=delivery)
        return
    given = None
    if request.reason is not None and request.answer is not None:
        given = AnswerGiven(Reason(request.reason), request.answer)
    receive(request.body, route=request.route, received_at=request.received_at, delivery=delivery, given=given)


def _set_aside(line: Line, problem: str) -> None:
    path = set_aside(line)
    logger.error("a request of the spool was set aside", extra={"file": str(path), "problem": problem})


def _delete(path: Path, end: int) -> None:
    with suppress(FileNotFoundError):  # another worker was quicker
        if delete_if_finished(path, end):
            SpoolPlace.objects.filter(name=path.name).delete()


feeder = Feeder()
