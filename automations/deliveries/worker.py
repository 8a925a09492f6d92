"""The worker's part that sends: one thread claims and records, others send, and no destination waits for another."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue

from django.db import Error, close_old_connections

from automations.apart import AWAY
from automations.deliveries.claiming import Claim, claim
from automations.deliveries.copies import may_send
from automations.deliveries.results import Tried, record, record_all, tell_owner
from automations.deliveries.sending import attempt
from automations.models import Destination, Secret
from automations.sealing import Sealed

logger = logging.getLogger("frontdesk.automations")

# They only wait for others, and hold no connection. Ten destinations that hang, two requests each, leave most of them.
THREADS = 64
# So many are never taken by destinations that failed last.
KEPT_FREE = THREADS // 2
LOOK_EVERY_SECONDS = 0.5
# What a second's limit held back.
LOOK_SOON_SECONDS = 0.1

Secrets = dict[str, Sealed]

# Of an attempt that fails by a fault of ours. It may have gone out by then.
FAULT = Tried(0.0, error="It could not be sent, by a fault of Frontdesk's: the log says which.", may_have_arrived=True)


class Sender:
    """One for a process. Its own thread alone claims and records; what was sent waits for it in `_results`."""

    def __init__(self) -> None:
        self._under_way = 0
        self._results: SimpleQueue[tuple[Claim, Tried]] = SimpleQueue()
        self._unrecorded: list[tuple[Claim, Tried]] = []
        self._has_news = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Send what is due until `stop` is set; then what is under way is still finished."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="sending") as pool:
            while not stop.is_set():
                self._has_news.clear()
                self._safely(lambda: self._record(pool))
                sent = self._safely(lambda: self._send_some(pool))
                self._has_news.wait(LOOK_SOON_SECONDS if sent or self._under_way else LOOK_EVERY_SECONDS)
            pool.shutdown()
            self._safely(lambda: self._record(None))

    def _safely(self, part: Callable[[], object]) -> object:
        """Whatever goes wrong in one round, the next one comes."""
        try:
            return part()
        except Exception:
            logger.exception("a round of sending failed")
            return None

    def _send_some(self, pool: ThreadPoolExecutor) -> int:
        try:
            close_old_connections()
            claims = claim(THREADS - self._under_way, kept_free=KEPT_FREE) if may_send() else []
            secrets = _secrets_of(claims)
        except Error as error:
            logger.error("deliveries wait for the database", extra={"error": str(error).strip()})
            return 0
        for one in claims:
            self._under_way += 1
            with suppress(RuntimeError):  # the machine is out of threads: one of those that stand takes it up
                pool.submit(self._attempt, one, secrets.get(one.delivery.destination_id, {}))
        return len(claims)

    def _attempt(self, one: Claim, secrets: Secrets) -> None:
        """In a thread of the pool, without the database."""
        tried = FAULT
        try:
            tried = attempt(one.delivery, secrets)
        except Exception:
            logger.exception("a delivery failed", extra={"delivery": str(one.delivery.key)})
        finally:
            self._results.put((one, tried))
            self._has_news.set()

    def _record(self, pool: ThreadPoolExecutor | None) -> None:
        """What came back since. While the database is away it is kept, else it would be sent once more."""
        while not self._results.empty():
            one, tried = self._results.get()
            self._under_way -= 1
            self._unrecorded.append((one, tried))
        if not self._unrecorded:
            return
        try:
            late = record_all(self._unrecorded, lambda paused: _tell(paused, pool))
        except AWAY as error:
            logger.error("results wait for the database", extra={"error": str(error).strip()})
            return
        self._unrecorded.clear()
        for one in late:
            logger.warning("a result came after its lease", extra={"delivery": str(one.delivery.key)})


def _tell(paused: Destination, pool: ThreadPoolExecutor | None) -> None:
    if pool:  # mail may take its time
        pool.submit(tell_owner, paused)
    else:
        tell_owner(paused)


def send_due(should_stop: Callable[[], bool] = lambda: False) -> int:
    """Send all that is due, one after another. Returns how many attempts were made. For tests and commands."""
    made = 0
    while not should_stop() and (claims := claim(1) if may_send() else []):
        secrets = _secrets_of(claims)
        for one in claims:
            record(one, attempt(one.delivery, secrets.get(one.delivery.destination_id, {})))
            made += 1
    return made


def _secrets_of(claims: list[Claim]) -> dict[int, Secrets]:
    if not claims:
        return {}
    found: dict[int, Secrets] = {}
    for secret in Secret.objects.filter(destination__in={one.delivery.destination_id for one in claims}):
        assert secret.destination_id is not None
        found.setdefault(secret.destination_id, {})[secret.name] = Sealed(secret.fingerprint, secret.token)
    return found
