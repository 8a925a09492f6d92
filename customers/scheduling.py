"""Drafts, scheduled changes and their cancelling: the rules that admin, pages and API share.

Each caller holds a transaction, and the lock of the tier or customer (`editing.lock_tier`, `editing.lock_customer`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.utils import timezone

from customers.editing import LimitValues, bring_instance, change_reason, check_no_twins
from customers.history import moment_words
from customers.limits import Limit, effective_limits
from customers.models import Customer, CustomerChange, Tier, TierChange, TierChangeLimit, TierLimit
from customers.models.changes import Change
from customers.settling import settle_tier

# Of a tier or customer, not in force yet. More are a mistake or an attack.
MOST_CHANGES = 50
NOT_FUTURE = "Starts at: give a moment in the future; it is {now} now."
IN_FORCE = "It has come into force ({moment}), and cannot be cancelled. Change the {whose} instead."
NOT_A_DRAFT = "It is scheduled for {moment}. Cancel it, and make a draft, to change it."


def draft_of(tier: Tier) -> TierChange | None:
    return TierChange.objects.filter(tier=tier, starts_at=None).first()


def planned_of_tier(tier: Tier) -> QuerySet[TierChange]:
    """Its draft, and what is scheduled and not in force, the earliest first."""
    return TierChange.objects.filter(tier=tier, in_force_at=None).order_by("starts_at", "pk")


def planned_of_customer(customer: Customer) -> QuerySet[CustomerChange]:
    """What is scheduled and not in force, the earliest first."""
    return CustomerChange.objects.filter(customer=customer, in_force_at=None).select_related("tier", "author")


def start_draft(tier: Tier, author: User | None) -> TierChange:
    """The tier's draft; where it has none, a new one with the limits of now."""
    draft = draft_of(tier)
    if draft is None:
        draft = TierChange.objects.create(tier=tier, author=author)
        for row in TierLimit.objects.filter(tier=tier):
            values = {field.name: getattr(row, field.name) for field in fields(LimitValues)}
            TierChangeLimit.objects.create(change=draft, **values)
    return draft


def make_change(
    tier: Tier,
    rows: Sequence[LimitValues],
    starts_at: datetime | None,
    *,
    note: str = "",
    author: User | None = None,
    why: str = "",
) -> TierChange:
    """Other limits for the tier from a moment on; None: its draft. Errors are named as those of `replace_limits`."""
    if starts_at is None and draft_of(tier) is not None:
        raise ValidationError({"starts_at": "The tier has a draft. Change or delete that one, or give a moment."})
    if starts_at is not None:
        _check_moment(TierChange.objects.filter(tier=tier), starts_at)
    change = TierChange(tier=tier, starts_at=starts_at, note=note, author=author)
    change_reason(change, why)
    change.save()
    replace_change_limits(change, rows, why=why)
    return change


def replace_change_limits(change: TierChange, rows: Sequence[LimitValues], *, why: str = "") -> None:
    """Make these the limits of a change that is not in force. Rows that stay the same are not touched."""
    check_no_twins(rows)
    stored = {_key(row): row for row in change.limits.filter(before=False)}
    for row in stored.values():
        if _key(row) not in {values.key for values in rows}:
            change_reason(row, why)
            row.delete()
    for values in rows:
        row = stored.get(values.key) or TierChangeLimit(change=change)
        bring_instance(row, vars(values), why)


def check_schedule(draft: TierChange, starts_at: datetime) -> None:
    """Raises ValidationError where a tier's draft cannot hold from then on."""
    check_is_draft(draft)
    _check_moment(TierChange.objects.filter(tier=draft.tier_id), starts_at)


def put_into_force(draft: TierChange, tier: Tier, author: User) -> None:
    """From now on, with one line in the tier's history."""
    check_is_draft(draft)
    # No record of its own: the tier's history tells it.
    draft.starts_at = timezone.now()
    TierChange.objects.filter(pk=draft.pk).update(starts_at=draft.starts_at, author=author)
    settle_tier(tier, at_once=draft)


def schedule_tier(
    customer: Customer, tier: Tier, starts_at: datetime, *, note: str = "", author: User | None = None, why: str = ""
) -> CustomerChange:
    """Another tier for the customer from a moment on. Raises ValidationError by the fields `tier` and `starts_at`."""
    if not tier.is_active:
        raise ValidationError({"tier": f"Tier {tier} is not offered any more. Choose an active one."})
    _check_moment(CustomerChange.objects.filter(customer=customer), starts_at)
    change = CustomerChange(customer=customer, tier=tier, starts_at=starts_at, note=note, author=author)
    change_reason(change, why)
    change.save()
    return change


def cancel(change: Change, *, why: str = "") -> None:
    """Delete a draft, or what is scheduled and has not come. The history keeps it, and who it was."""
    if change.has_come:
        whose = "tier" if isinstance(change, TierChange) else "customer"
        raise ValidationError(IN_FORCE.format(moment=moment_words(change.starts_at), whose=whose))
    if isinstance(change, TierChange):
        for row in change.limits.all():
            change_reason(row, why)
            row.delete()
    change_reason(change, why)
    change.delete()


def check_is_draft(change: TierChange) -> None:
    if change.starts_at is not None:
        raise ValidationError(NOT_A_DRAFT.format(moment=moment_words(change.starts_at)))


def _check_moment(others: QuerySet[TierChange] | QuerySet[CustomerChange], starts_at: datetime) -> None:
    now = timezone.now()
    if starts_at <= now:
        raise ValidationError({"starts_at": NOT_FUTURE.format(now=moment_words(now))})
    if others.filter(starts_at=starts_at).exists():
        text = f"Another change is scheduled for {moment_words(starts_at)}. Cancel it, or give another moment."
        raise ValidationError({"starts_at": text})
    if others.filter(in_force_at=None).count() >= MOST_CHANGES:
        raise ValidationError({"starts_at": f"{MOST_CHANGES} changes are scheduled, which is the most. Cancel some."})


def _key(row: Model) -> tuple[str, str, str | None, str | None]:
    return row.metric, row.period, row.channel_id, row.agent_id  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Compared:
    """One limit before and after. None: there is none, so unlimited."""

    before: Limit | None
    after: Limit | None

    @property
    def is_changed(self) -> bool:
        return self.before != self.after


def compared(change: TierChange) -> list[Compared]:
    """Each limit as it is now, or was until then, and as the change has it."""
    if change.in_force_at is None:
        before = [row.as_limit() for row in TierLimit.objects.filter(tier=change.tier_id).select_related("agent")]
    else:
        before = [row.as_limit() for row in change.limits.filter(before=True).select_related("agent")]
    after = [row.as_limit() for row in change.limits.filter(before=False).select_related("agent")]
    return compared_limits(before, after)


def compared_limits(before: Sequence[Limit], after: Sequence[Limit]) -> list[Compared]:
    """Each limit of either, on both sides."""
    old, new = {limit.key: limit for limit in before}, {limit.key: limit for limit in after}
    return [Compared(old.get(limit.key), new.get(limit.key)) for limit in effective_limits(before, after)]
