"""Erasing a customer: begun in one short transaction, brought to its end by the worker.

It takes an hour at least: what LiveTok or a source sends again, or what waited on another machine's disk, comes within
that time, and a begin that comes again still gets its bytes.
"""

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from customers.models import Customer, Erasure
from customers.personal.own import delete_uploads_of_before, traces_of
from customers.personal.parts import ShouldStop, parts
from customers.personal.traces import Traces

YOUNG = timedelta(hours=1)
# Of these the page says how many there are.
SESSIONS = "sessions"


class CannotErase(Exception):
    """Its text says why, and what to do."""


def begin_erasing(pk: int, by: str) -> Erasure:
    """Erase at once what names the customer, and leave the rest to the worker. Final; idempotent.

    `by` is an account's name or a key's label. Raises CannotErase, or Customer.DoesNotExist.
    """
    for part in parts():
        if problem := part.in_the_way():
            raise CannotErase(problem)
    with transaction.atomic():
        # With the key: begins that are storing a session of the customer hold it, and are waited for.
        customer = Customer.objects.select_for_update().get(pk=pk)
        begun = Erasure.objects.filter(customer=customer).first()
        if begun is not None:
            return begun
        traces = traces_of(customer)
        sessions = sum(row.count for part in parts() for row in part.counted(customer, traces) if row.what == SESSIONS)
        erasure = Erasure.objects.create(
            customer=customer, requested_at=timezone.now(), by=by[:200], sessions=sessions, traces=traces.as_json()
        )
        for part in parts():
            part.at_once(customer, traces)
    return erasure


def erase_on_disk(erase: Callable[[Traces], object]) -> None:
    """What each machine has on its own disk, as long as somebody is being erased."""
    delete_uploads_of_before()
    for stored in Erasure.objects.filter(finished_at=None).values_list("traces", flat=True):
        erase(Traces.from_json(stored))


def erase_further(should_stop: ShouldStop = lambda: False, wipe: Callable[[], bool] = lambda: True) -> None:
    """Go on with all that is begun, in short transactions. Safe to be ended at any moment, and to be repeated.

    `wipe` makes the database forget what it has deleted; False where that has to be tried again.
    """
    for erasure in Erasure.objects.filter(finished_at=None).order_by("requested_at"):
        if should_stop():
            return
        is_last = timezone.now() >= erasure.requested_at + YOUNG
        traces = Traces.from_json(erasure.traces)
        rounds = [part.further(erasure, traces, is_last, should_stop) for part in parts()]
        if is_last and all(rounds) and not should_stop():
            Erasure.objects.filter(pk=erasure.pk).update(traces={})
            if wipe():
                Erasure.objects.filter(pk=erasure.pk).update(finished_at=timezone.now())
