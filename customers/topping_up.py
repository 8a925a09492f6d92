"""Adding, changing and deleting a customer's top-ups, for pages and the API. Each caller holds the customer's lock."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone

from customers.editing import MOST_ROWS, bring_instance, change_reason, kinds_that_use
from customers.models import Customer, TopUp

USED = "A session has drawn on this top-up, so it cannot be deleted."


def add_top_up(
    customer: Customer,
    metric: str,
    amount: int,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    note: str = "",
    *,
    author: User | None = None,
    why: str = "",
) -> TopUp:
    """A `valid_from` of None: now. Raises ValidationError, named by the field."""
    valid_from = valid_from or timezone.now()
    _check_validity(valid_from, valid_until)
    going_on = TopUp.objects.filter(Q(valid_until=None) | Q(valid_until__gt=timezone.now()), customer=customer)
    if going_on.count() >= MOST_ROWS:
        text = f"The customer has {MOST_ROWS} top-ups that have not ended, and no more can be. End or delete old ones."
        raise ValidationError(text)
    top_up = TopUp(
        customer=customer,
        metric=metric,
        amount=amount,
        valid_from=valid_from,
        valid_until=valid_until,
        note=note,
        author=author,
    )
    change_reason(top_up, why)
    top_up.save()
    return top_up


def change_top_up(top_up: TopUp, values: dict[str, Any], *, why: str = "") -> None:
    """Holds for the decisions that come after it. Raises ValidationError, named by the field."""
    _check_validity(values.get("valid_from", top_up.valid_from), values.get("valid_until", top_up.valid_until))
    bring_instance(top_up, values, why)


def delete_top_up(top_up: TopUp, *, why: str = "") -> str:
    """Delete it, or say why it cannot be."""
    if next(kinds_that_use(top_up), None):
        return USED
    change_reason(top_up, why)
    top_up.delete()
    return ""


def _check_validity(valid_from: datetime, valid_until: datetime | None) -> None:
    if valid_until is not None and valid_until <= valid_from:
        raise ValidationError({"valid_until": "Give a time after valid_from."})
