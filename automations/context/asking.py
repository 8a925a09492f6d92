"""Asking a source over HTTP, in a few threads of this process that nobody waits for longer than agreed."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue

from django.conf import settings
from django.db import connections

from automations.context import cache
from automations.context.breaker import breaker
from automations.context.cache import Asked
from automations.context.recipes import BadAnswer, Recipe, Values, request_for, values_of
from automations.outgoing.http import MaybeSentError, NotSentError, Request, send
from automations.sealing import SealingError
from automations.texts.liquid import TextError

logger = logging.getLogger("frontdesk.automations")

THREADS = 4
# So long a source may take altogether. The begin has gone on without it by then, but the next one finds the answer.
LATE_SECONDS = 2.0
NOTE_FAILURE_EVERY_SECONDS = 10.0

Result = Values | str
"""What came, or why nothing did, in words for staff."""


@dataclass(frozen=True)
class Exchange:
    """One question and what came of it, as "Try it" shows it. `status` is None where no answer came."""

    result: Result
    status: int | None = None
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return isinstance(self.result, Values)


class Pool:
    """A few daemon threads, made when they are first needed: one that hangs keeps no process from ending."""

    def __init__(self, threads: int) -> None:
        self._lock = threading.Lock()
        self._free = self._unmade = threads
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def start(self, work: Callable[[], None]) -> bool:
        """Have a thread do it at once. False where none is free."""
        with self._lock:
            if self._free == 0:
                return False
            self._free -= 1
            if self._unmade > self._free:  # fewer threads wait than there is work
                try:
                    threading.Thread(target=self._run, name="asking for context", daemon=True).start()
                except RuntimeError:  # the machine is out of threads
                    self._free += 1
                    return False
                self._unmade -= 1
        self._work.put(work)
        return True

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception:
                logger.exception("asking for context failed")
            finally:
                connections.close_all()
                with self._lock:
                    self._free += 1


pool = Pool(THREADS)
_noted: dict[int, float] = {}


def exchange(recipe: Recipe, address: str, *, seconds: float) -> Exchange:
    """Ask a source at its filled address, within `seconds`. Raises nothing; needs no database."""
    started = time.monotonic()
    try:
        status, result = _sent(recipe, request_for(recipe, address), seconds)
    except (TextError, SealingError, NotSentError) as error:
        return Exchange(str(error), None, time.monotonic() - started)
    except MaybeSentError as error:
        return Exchange(str(error), error.status, time.monotonic() - started)
    return Exchange(result, status, time.monotonic() - started)


def _sent(recipe: Recipe, request: Request, seconds: float) -> tuple[int, Result]:
    allowed, allows_http = settings.OUTGOING_ALLOWED_HOSTS, settings.OUTGOING_ALLOW_HTTP
    answer = send(request, seconds=seconds, allowed=allowed, allows_http=allows_http)
    if answer.status == 404:
        # Not a failure: most systems say so of somebody whom they do not know.
        return 404, Values({}, ["it knows no such caller (404)"])
    if not 200 <= answer.status < 300:
        return answer.status, f"it answered {answer.status}"
    try:
        return answer.status, values_of(recipe, answer.body)
    except BadAnswer as error:
        return answer.status, str(error)


def ask_soon(recipe: Recipe, asked: Asked, address: str) -> "Future[Result] | str":
    """Ask in another thread; the answer fills the cache, however late. Says why where it is not even tried."""
    future: Future[Result] = Future()
    if not breaker.may_ask(recipe.mark):
        return "it failed too often, and is left alone for half a minute"

    def work() -> None:
        ask(recipe, asked, address, future.set_result)

    if pool.start(work):
        return future
    breaker.give_back(recipe.mark)
    return "too many other questions were under way"


def ask(recipe: Recipe, asked: Asked, address: str, tell: Callable[[Result], object] = lambda result: None) -> None:
    """Ask a source whom the breaker lets us ask, tell whoever waits, and only then write anything."""
    made = Exchange("it could not be asked; the log says why")
    try:
        made = exchange(recipe, address, seconds=LATE_SECONDS)
    finally:
        breaker.note(recipe.mark, is_good=made.is_good)
        tell(made.result)
    if isinstance(made.result, Values):
        cache.store(recipe, asked, made.result)
    elif time.monotonic() - _noted.get(recipe.source_id, -NOTE_FAILURE_EVERY_SECONDS) >= NOTE_FAILURE_EVERY_SECONDS:
        _noted[recipe.source_id] = time.monotonic()
        cache.note_failure(recipe.source_id, made.result)
