"""Whether the database lives: what requests have seen of it, and a look of our own where they see nothing."""

import gc
import logging
import threading
import time

from django.db import Error, connection, transaction

from sessions_app.postgresql.refusal import serves_others
from sessions_app.sqlite_lock import SHORT_MS, is_busy, wait_for_lock

logger = logging.getLogger("frontdesk.database")

# A database that does not answer our own look within that time is away.
LOOK_SECONDS = 0.4
LOOK_AGAIN_SECONDS = 0.05


class Pulse:
    """One for a process. In doubt, a thread looks after the database until it answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # All by time.monotonic().
        self._doubted_at: float | None = None
        self._failed_at = 0.0
        self.heard_at = 0.0
        # Connections from before the last outage may be dead without knowing it.
        self.outages = 0

    @property
    def is_in_doubt(self) -> bool:
        """Whether somebody looks after the database."""
        return self._doubted_at is not None

    @property
    def is_away(self) -> bool:
        doubted_at = self._doubted_at
        if doubted_at is None:
            return False
        return self._failed_at > self.heard_at or time.monotonic() - max(doubted_at, self.heard_at) > LOOK_SECONDS

    def beat(self) -> None:
        """The database has done something for us."""
        self.heard_at = time.monotonic()

    def doubt(self) -> None:
        """Look after the database, where nobody does already."""
        with self._lock:
            if self._doubted_at is not None:
                return
            self._doubted_at = time.monotonic()
        try:
            threading.Thread(target=self._look_until_it_answers, name="pulse", daemon=True).start()
        except RuntimeError:  # the system gives us no thread: then the next one in doubt has to try
            self._doubted_at = None
            logger.exception("nobody looks after the database")

    def _look_until_it_answers(self) -> None:
        started = time.monotonic()
        try:
            while (answers := _answers()) is not True:
                if answers is None:
                    continue
                if self._failed_at < started:
                    logger.error("the database is away")
                self._failed_at = time.monotonic()
                time.sleep(LOOK_AGAIN_SECONDS)
        finally:
            seconds = time.monotonic() - started
            if seconds > LOOK_SECONDS or self._failed_at > started:
                self.outages += 1
                logger.warning("the database is back", extra={"seconds": round(seconds, 1)})
            self.beat()
            self._doubted_at = None
            gc.collect()  # errors lie in cycles with their tracebacks, and hold connections that were closed


def _answers() -> bool | None:
    """Whether the database can do its work: PostgreSQL answers, SQLite lets us write. None: it is locked."""
    wait_for_lock(SHORT_MS)
    try:
        connection.ensure_connection()
    except Error as error:
        return None if is_busy(error) else serves_others(error.__cause__, LOOK_SECONDS)
    try:
        with transaction.atomic():
            return connection.is_usable()  # a pooler takes connections for a database that is away, too
    except Error as error:
        return None if is_busy(error) else False
    finally:
        connection.close()


pulse = Pulse()
