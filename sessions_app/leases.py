"""Leases: what one process at a time does, of all nodes, by rows with a time limit.

No lock of PostgreSQL's sessions would do: behind a pooler nobody has a session of their own. A holder that died is
taken over when its lease ends; on SQLite, where all are on one machine, at once. One that only slept finds out, at the
latest when it writes under `Held.require`.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

from django.db import Error, close_old_connections, connections
from django.db.models import Q
from django.db.models.functions import Now

from sessions_app.database.pieces import bulk_transaction
from sessions_app.database.sqlite.lives import Life
from sessions_app.models import Lease

logger = logging.getLogger("frontdesk.leases")

LEASE = timedelta(seconds=60)
RENEW_EVERY_SECONDS = 15.0
LOOK_EVERY_SECONDS = 0.2

ShouldStop = Callable[[], bool]


class LeaseLost(Exception):
    """Another process has taken over, since ours was not heard for a minute."""


class Held:
    """A lease that this process took."""

    def __init__(self, name: str, life: Life) -> None:
        self.name = name
        self.life = life
        self.holder = uuid.uuid4()
        self._is_lost = False
        self._renewed_at = time.monotonic()

    @property
    def is_lost(self) -> bool:
        """Whether another process has it, or may have it by now."""
        return self._is_lost or time.monotonic() - self._renewed_at > LEASE.total_seconds()

    def require(self) -> None:
        """Within a transaction: nobody takes the lease over before it is committed. Raises LeaseLost.

        It holds also where the time is up, as long as nobody else was there.
        """
        mine = Lease.objects.select_for_update().filter(pk=self.name, holder=self.holder)
        if mine.values_list("pk").first() is None:
            self._is_lost = True
            raise LeaseLost(f"Another process does “{self.name}” now, since this one was not heard for a minute.")

    def renew(self) -> None:
        now = time.monotonic()
        with bulk_transaction():
            is_mine = Lease.objects.filter(pk=self.name, holder=self.holder).update(held_until=Now() + LEASE)
        if is_mine:
            self._renewed_at = now
        else:
            self._is_lost = True


@contextmanager
def turn_at(name: str, should_stop: ShouldStop = lambda: False) -> Iterator[Held | None]:
    """Be the only one in the block, of all processes. Waits for whoever is; None where `should_stop` ended the wait."""
    held = _take(name)
    while held is None and not should_stop():
        time.sleep(LOOK_EVERY_SECONDS)
        held = _take(name)
    if held is None:
        yield None
        return
    with _renewed(held, timedelta()):
        yield held


@contextmanager
def if_due(name: str, every: timedelta) -> Iterator[Held | None]:
    """Be the one, of all processes, that does what is due so often; None where it is not due, or being done."""
    held = _take(name, every)
    if held is None:
        yield None
        return
    with _renewed(held, every):
        yield held


def _take(name: str, every: timedelta = timedelta()) -> Held | None:
    with ExitStack() as unless_ours:
        life = Life(name)
        unless_ours.callback(life.end)
        # A database's clock that was set back must not keep anybody waiting until the old time comes again.
        is_free = Q(held_until__lte=Now()) | Q(held_until__gt=Now() + 2 * LEASE) | _is_of_the_dead(life)
        is_due = Q(due_at__lte=Now()) | Q(due_at__gt=Now() + every)
        free = Lease.objects.filter(is_free, is_due, pk=name)
        if not free.exists():
            if Lease.objects.filter(pk=name).exists():
                return None
            with bulk_transaction():
                Lease.objects.bulk_create([Lease(name=name, held_until=Now(), due_at=Now())], ignore_conflicts=True)
        held = Held(name, life)
        with bulk_transaction():
            is_ours = free.update(holder=held.holder, held_until=Now() + LEASE)
        if not is_ours:
            return None
        life.is_of(str(held.holder))
        unless_ours.pop_all()
        return held


def _is_of_the_dead(life: Life) -> Q:
    """Where one slept and was taken over when its time was up, the lease is another's, who may live."""
    try:
        return Q(holder=uuid.UUID(life.dead))
    except ValueError:
        return Q(pk__in=[])  # nobody's


@contextmanager
def _renewed(held: Held, every: timedelta) -> Iterator[None]:
    """The lease is renewed from beside the block, and given back after it."""
    done = threading.Event()
    threading.Thread(target=_renew_until, args=(held, done), name=f"lease of {held.name}", daemon=True).start()
    try:
        yield
    finally:
        done.set()
        # Else it ends by itself.
        with suppress(Error), bulk_transaction():
            mine = Lease.objects.filter(pk=held.name, holder=held.holder)
            mine.update(holder=None, held_until=Now(), due_at=Now() + every)
        held.life.end()


def _renew_until(held: Held, done: threading.Event) -> None:
    try:
        while not done.wait(RENEW_EVERY_SECONDS) and not held.is_lost:
            close_old_connections()
            try:
                held.renew()
            except Error as error:
                logger.error("a lease is not renewed", extra={"lease": held.name, "error": str(error).strip()})
    finally:
        connections.close_all()
