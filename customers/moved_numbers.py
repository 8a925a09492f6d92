"""Numbers that came to another customer by merging, read back from their history."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models

from customers.models import Customer, PhoneNumber


@dataclass(frozen=True)
class TakenOver:
    """Whom a customer was merged into, and a number that came along."""

    customer: Customer
    key: str


def taken_over(customer_ids: Iterable[int]) -> dict[int, TakenOver]:
    """Of customers who are gone, who has their numbers now; those who left none are left out."""
    history: models.Manager[Any] = PhoneNumber.history
    owners = dict(history.filter(customer_id__in=list(customer_ids)).order_by("pk").values_list("id", "customer_id"))
    numbers = PhoneNumber.objects.filter(pk__in=owners).select_related("customer").order_by("-pk")
    return {owners[number.pk]: TakenOver(number.customer, number.key) for number in numbers}


def numbers_moved_since(moment: datetime) -> list[str]:
    """The numbers that came to another customer after the moment, by merging."""
    history: models.Manager[Any] = PhoneNumber.history
    changed = history.filter(history_date__gt=moment, history_type="~").values("id")
    owners: dict[int, int] = {}
    moved = set()
    records = history.filter(id__in=changed).order_by("history_date", "history_id")
    for number, key, owner, at in records.values_list("id", "key", "customer_id", "history_date"):
        if at > moment and owners.get(number, owner) != owner:
            moved.add(key)
        owners[number] = owner
    return sorted(moved)
