"""This app's part in what is known of a customer (`customers.personal`): deliveries, and what sources said."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db.models import Q, QuerySet

from automations.models import CachedContext, Delivery
from customers.models import Customer, Erasure
from customers.personal.parts import Counted, Part, ShouldStop
from customers.personal.traces import Traces
from sessions_app.database.pieces import bulk_transaction, keys_of

AT_ONCE = 200


def _counted(customer: Customer, traces: Traces) -> Iterable[Counted]:
    yield Counted("deliveries, those that wait to be sent among them", _deliveries(customer).count())
    yield Counted("answers of sources", _cached(customer.pk, traces).count())


def _deliveries(customer: Customer) -> QuerySet[Delivery]:
    return Delivery.objects.filter(session__customer=customer)


def _cached(customer_id: int, traces: Traces) -> QuerySet[CachedContext]:
    """By the customer, and from before the caller was one."""
    found = Q(customer=customer_id)
    for kind, names in (("number", traces.keys), ("id", traces.external_ids)):
        for name in names:
            caller = f"{kind} {name}"
            found |= Q(caller=caller) | Q(caller__startswith=f"{caller} ")
    return CachedContext.objects.filter(found)


def _known(customer: Customer, traces: Traces) -> Mapping[str, Iterable[Any]]:
    return {
        "deliveries": _with_attempts(customer),
        "answers_of_sources": _cached(customer.pk, traces).order_by("pk").values(),
    }


def _with_attempts(customer: Customer) -> Iterator[dict[str, Any]]:
    for pk in keys_of(_deliveries(customer)):
        for row in Delivery.objects.filter(pk=pk).values():
            found = Delivery(pk=pk).attempts.order_by("pk").values("started_at", "seconds", "status", "error", "answer")
            yield row | {"attempts": list(found)}


def _at_once(customer: Customer, traces: Traces) -> None:
    _cached(customer.pk, traces).delete()


def _further(erasure: Erasure, traces: Traces, is_last: bool, should_stop: ShouldStop) -> bool:
    # Whoever was asked before may have answered since.
    late = _cached(erasure.customer_id, traces)
    if late.exists():
        with bulk_transaction():
            late.delete()
    if is_last:
        _erase_deliveries_of_many(traces, should_stop)
    return True


def _of_sessions(session_ids: Sequence[int]) -> None:
    """What is under way meanwhile is sent, and nothing is kept of it."""
    Delivery.objects.filter(session__in=session_ids).delete()


def _erase_deliveries_of_many(traces: Traces, should_stop: ShouldStop) -> None:
    """Messages that tell of many sessions at once, and what was tried out: those that name the person."""
    last = 0
    while not should_stop():
        rows = Delivery.objects.filter(session=None, pk__gt=last).order_by("pk")
        some = list(rows.values_list("pk", "subject", "recipient", "path", "kept_value", "body")[:AT_ONCE])
        if not some:
            return
        last = some[-1][0]
        named = [pk for pk, *texts in some if traces.are_in(*texts)]
        if named:
            with bulk_transaction():
                Delivery.objects.filter(pk__in=named).delete()


PART = Part(counted=_counted, known=_known, at_once=_at_once, further=_further, of_sessions=_of_sessions)
