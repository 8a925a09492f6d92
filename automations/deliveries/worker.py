"""The worker's part that sends: one thread claims, others send, and none of them waits for another destination's."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import Error, close_old_connections, connections

from automations.deliveries.claiming import Claim, claim
from automations.deliveries.copies import may_send
from automations.deliveries.results import record
from automations.deliveries.sending import attempt
from automations.models import Secret
from automations.sealing import Sealed

logger = logging.getLogger("frontdesk.automations")

THREADS = 16
LOOK_EVERY_SECONDS = 0.5
# A destination's next one may go when one of its own is through; so we look sooner while any is under way.
LOOK_SOON_SECONDS = 0.05


class Sender:
    """One for a process."""

    def __init__(self) -> None:
        self._under_way: set[Future[None]] = set()

    def run(self, stop: threading.Event) -> None:
        """Send what is due until `stop` is set; then what is under way is still finished."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="sending") as pool:
            while not stop.is_set():
                sent = self._send_some(pool)
                stop.wait(LOOK_SOON_SECONDS if sent or self._under_way else LOOK_EVERY_SECONDS)

    def _send_some(self, pool: ThreadPoolExecutor) -> int:
        self._under_way = {one for one in self._under_way if not one.done()}
        close_old_connections()
        try:
            claims = claim(THREADS - len(self._under_way)) if may_send() else []
        except Error as error:
            logger.error("deliveries wait for the database", extra={"error": str(error).strip()})
            return 0
        secrets = _secrets_of(claims)
        self._under_way |= {pool.submit(_deliver, one, secrets.get(one.delivery.destination_id, {})) for one in claims}
        return len(claims)


def send_due(should_stop: Callable[[], bool] = lambda: False) -> int:
    """Send all that is due, one after another. Returns how many attempts were made. For tests and commands."""
    made = 0
    while not should_stop() and (claims := claim(1) if may_send() else []):
        secrets = _secrets_of(claims)
        for one in claims:
            record(one, attempt(one.delivery, secrets.get(one.delivery.destination_id, {})))
            made += 1
    return made


def _deliver(one: Claim, secrets: dict[str, Sealed]) -> None:
    try:
        connections.close_all()  # none is held while others are waited for
        tried = attempt(one.delivery, secrets)
        if not record(one, tried):
            logger.warning("a result came after its lease", extra={"delivery": str(one.delivery.key)})
    except Error as error:  # its lease ends by itself, and it is sent again
        logger.error("a result waits for the database", extra={"error": str(error).strip()})
    except Exception:
        logger.exception("a delivery failed", extra={"delivery": str(one.delivery.key)})
    finally:
        connections.close_all()


def _secrets_of(claims: list[Claim]) -> dict[int, dict[str, Sealed]]:
    found: dict[int, dict[str, Sealed]] = {}
    for secret in Secret.objects.filter(destination__in={one.delivery.destination_id for one in claims}):
        found.setdefault(secret.destination_id, {})[secret.name] = Sealed(secret.fingerprint, secret.token)
    return found
