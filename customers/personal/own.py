"""What this app knows of a customer: the record, its rows and histories, the admin's log, and uploads."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q, QuerySet
from django.utils import timezone

from customers.editing import BY_KEY
from customers.history import records_of
from customers.importing.uploads import delete_uploads_before
from customers.models import Customer, CustomerChange, Erasure, LimitOverride, PhoneNumber, TopUp
from customers.personal.parts import Counted, Part, ShouldStop
from customers.personal.traces import Traces
from customers.search.keeping import keep_search_keys
from customers.settling import why
from customers.turns import short_transaction

AT_ONCE = 500
MODELS = (Customer, PhoneNumber, LimitOverride, TopUp, CustomerChange)


def traces_of(customer: Customer) -> Traces:
    """By what else than its row the customer can be found: as it is, and as it was. Nothing that is another's now."""
    numbers = records_of(PhoneNumber)._base_manager
    ever = set(numbers.filter(customer_id=customer.pk).order_by().values_list("key", flat=True))
    ever |= set(customer.numbers.values_list("key", flat=True))
    others = PhoneNumber.objects.filter(key__in=ever).exclude(customer=customer)
    keys = ever - set(others.values_list("key", flat=True))
    # Of records that were merged into this one, only their history is left.
    had = set(numbers.filter(key__in=keys).order_by().values_list("customer_id", flat=True))
    former = had - set(Customer.objects.filter(pk__in=had).values_list("pk", flat=True)) - {None}
    kept = records_of(Customer)._base_manager.filter(id__in=[customer.pk, *former]).order_by()
    rows = {(customer.name, customer.email, customer.external_id or "")}
    rows |= {(name, email, known or "") for name, email, known in kept.values_list("name", "email", "external_id")}
    ids = {external_id for _, _, external_id in rows if external_id}
    ids -= set(
        Customer.objects.filter(external_id__in=ids).exclude(pk=customer.pk).values_list("external_id", flat=True)
    )
    texts = {text for name, email, _ in rows for text in (name, email) if text}
    return Traces(tuple(sorted(keys)), tuple(sorted(ids)), tuple(sorted(texts)), tuple(sorted(former)))


def _counted(customer: Customer, traces: Traces) -> Iterable[Counted]:
    yield Counted("name, e-mail address, external id, notes and context", 1, "a made-up name, the tier, the time zone")
    yield Counted("numbers", customer.numbers.count())
    yield Counted("overrides", customer.overrides.count(), "amounts and dates, which statements go by; notes go")
    yield Counted("scheduled changes of tier", customer.changes.count(), "those that came: tiers and dates; notes go")
    yield Counted("top-ups", customer.top_ups.count(), "amounts and dates, which sessions drew on; notes go")
    records = sum(records.count() for records in _records(customer.pk, traces).values())
    yield Counted("records of changes", records, "when which tier and amounts held, and who changed it")
    yield Counted("lines of the admin's log", _log_of(customer.pk, traces).count())


def _known(customer: Customer, traces: Traces) -> Mapping[str, Iterable[Any]]:
    found: dict[str, Iterable[Any]] = {
        "customer": _rows(Customer.objects.filter(pk=customer.pk).annotate(tier_name=models.F("tier__name"))),
        "numbers": _rows(customer.numbers.all()),
        "overrides": _rows(customer.overrides.all()),
        "scheduled_changes": _rows(customer.changes.all()),
        "top_ups": _rows(customer.top_ups.all()),
    }
    found |= {f"history_of_{name}": _rows(rows) for name, rows in _records(customer.pk, traces).items()}
    found["admin_log"] = _rows(_log_of(customer.pk, traces).order_by("pk"))
    return found


def _rows(rows: QuerySet[Any]) -> Iterator[dict[str, Any]]:
    yield from rows.values()


def _records(pk: int, traces: Traces) -> dict[str, QuerySet[Any]]:
    """The histories, of records that were merged into this one as well."""
    of_numbers = records_of(PhoneNumber)._base_manager
    owners = [pk, *traces.former_ids]
    return {
        "customer": records_of(Customer)._base_manager.filter(id__in=owners).order_by("history_id"),
        "numbers": of_numbers.filter(customer_id__in=owners).order_by("history_id"),
        "overrides": records_of(LimitOverride)._base_manager.filter(customer_id__in=owners).order_by("history_id"),
        "scheduled_changes": records_of(CustomerChange)
        ._base_manager.filter(customer_id__in=owners)
        .order_by("history_id"),
        "top_ups": records_of(TopUp)._base_manager.filter(customer_id__in=owners).order_by("history_id"),
    }


def _log_of(pk: int, traces: Traces) -> QuerySet[LogEntry]:
    kind = ContentType.objects.get_for_model(Customer)
    return LogEntry.objects.filter(content_type=kind, object_id__in=[str(owner) for owner in (pk, *traces.former_ids)])


def _at_once(customer: Customer, traces: Traces) -> None:
    records = _records(customer.pk, traces)
    PhoneNumber.objects.filter(customer=customer).delete()
    # After the numbers: the history says as well that they were removed.
    records["numbers"].delete()
    LimitOverride.objects.filter(customer=customer).update(note="")
    records["overrides"].update(note="")
    _erase_reasons(customer, [rows for name, rows in records.items() if name != "numbers"])
    for change in CustomerChange.objects.filter(customer=customer, in_force_at=None):  # nobody is served by them
        change.delete()
    CustomerChange.objects.filter(customer=customer).update(note="")
    records["scheduled_changes"].update(note="")
    TopUp.objects.filter(customer=customer).update(note="")
    records["top_ups"].update(note="")
    for rows in (records["customer"].exclude(id=customer.pk), records["customer"].filter(id=customer.pk)):
        rows.update(name="", external_id=None, email="", notes="", context={})
    Customer.objects.filter(pk=customer.pk).update(
        name=f"Erased customer {customer.pk}", external_id=None, email="", notes="", context={}
    )
    _log_of(customer.pk, traces).delete()
    keep_search_keys([customer.pk])
    # Whoever else is in a file has to be uploaded again.
    delete_uploads_before(timezone.now())


def _erase_reasons(customer: Customer, histories: Iterable[QuerySet[Any]]) -> None:
    """What staff wrote of why they changed something. Which key it was, and that it was scheduled, stays."""
    came = list(CustomerChange.objects.filter(customer=customer, in_force_at__isnull=False))
    without_note = {why(change): why(change, with_note=False) for change in came}
    for rows in histories:
        for told, kept in without_note.items():
            rows.filter(history_change_reason=told).update(history_change_reason=kept)
        stays = Q(history_change_reason__in=list(without_note.values())) | Q(history_change_reason__startswith=BY_KEY)
        rows.exclude(stays).update(history_change_reason=None)


def _further(erasure: Erasure, traces: Traces, is_last: bool, should_stop: ShouldStop) -> bool:
    if is_last:
        _erase_from_log(traces, should_stop)
    return True


def _erase_from_log(traces: Traces, should_stop: ShouldStop) -> None:
    """Lines on other records that name the person, such as those on a number that was theirs."""
    kinds = [kind.pk for kind in ContentType.objects.get_for_models(*MODELS).values()]
    last = 0
    while not should_stop():
        lines = LogEntry.objects.filter(content_type__in=kinds, pk__gt=last).order_by("pk")
        some = list(lines.values_list("pk", "object_repr", "change_message")[:AT_ONCE])
        if not some:
            return
        last = some[-1][0]
        named = [pk for pk, *texts in some if traces.are_in(*texts)]
        if named:
            with short_transaction():
                LogEntry.objects.filter(pk__in=named).delete()


def delete_uploads_of_before() -> None:
    """On each node: files that were uploaded before somebody was erased may hold that person."""
    newest = Erasure.objects.order_by("-requested_at").values_list("requested_at", flat=True).first()
    if newest is not None:
        delete_uploads_before(newest)


PART = Part(counted=_counted, known=_known, at_once=_at_once, further=_further)
