"""The rules of changing a customer or tier that admin, import and API share. Each caller holds a transaction."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F, QuerySet
from django.utils.module_loading import import_string

from customers.lengths import LONGEST_TEXT
from customers.limits import PERIODS_OF, Metric
from customers.models import Customer, LimitOverride, PhoneNumber, Tier, TierLimit, TopUp
from customers.models.limits import PERIOD_MISMATCH
from customers.phones import is_number, phone_key
from customers.settling import settle_customers, settle_tier
from customers.validity import Validity

# Rows of one list: a tier's limits and channels, a customer's numbers and overrides. More are a mistake or an attack.
MOST_ROWS = 200
REASON_LENGTH = 100  # of simple-history's column
# Begins the reason of what a key has changed, which is no user.
BY_KEY = "API key "
SINCE_EVER = datetime.min.replace(tzinfo=UTC)
Values = TypeVar("Values", bound="LimitValues")


@dataclass(frozen=True)
class LimitValues:
    """A tier's limit as somebody wants it. `channel` and `agent` are ids of stored rows; None: all."""

    metric: str
    amount: int | None
    period: str = ""
    channel_id: str | None = None
    agent_id: str | None = None
    hard: bool = True

    @property
    def key(self) -> tuple[str, str, str | None, str | None]:
        return self.metric, self.period, self.channel_id, self.agent_id


@dataclass(frozen=True)
class OverrideValues(LimitValues):
    """A customer's override as somebody wants it. An `amount` of None: unlimited."""

    valid_from: datetime | None = None
    valid_until: datetime | None = None
    note: str = ""


def change_reason(instance: models.Model, why: str) -> None:
    """What the history says of the instance's next save or delete."""
    instance._change_reason = why[:REASON_LENGTH] or None  # type: ignore[attr-defined]


def check_period(metric: str, period: str) -> None:
    """Raises ValidationError where the metric is not counted in such a period."""
    if period not in PERIODS_OF[Metric(metric)]:
        raise ValidationError({"period": PERIOD_MISMATCH})


class CustomerIsErased(ValidationError):
    """Nothing of it can be edited any more: whoever was erased is not to come back by an edit."""

    def __init__(self) -> None:
        super().__init__("This customer was erased, and stays as it is.", code="erased")


def lock_customer(pk: int) -> Customer:
    """The customer, locked until the transaction ends: one edit of a customer's rows at a time.

    A tier that was scheduled for it and has come is written first. Raises Customer.DoesNotExist, or CustomerIsErased.
    """
    customers = Customer.objects.select_related("tier", "erasure")
    customer = customers.select_for_update(of=("self",), no_key=True).get(pk=pk)
    if is_erased(customer):
        raise CustomerIsErased
    settle_customers([customer])
    return customer


def is_erased(customer: Customer) -> bool:
    """One query, unless the erasure was read with it."""
    return hasattr(customer, "erasure")


def lock_customers(keys: Sequence[int]) -> list[Customer]:
    """Those that are there and not erased, locked as by `lock_customer`, in the order of their keys: nobody waits in a
    circle."""
    locked = Customer.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=keys, erasure=None)
    found = list(locked.order_by("pk"))
    settle_customers(found)
    return found


def lock_tier(tiers: QuerySet[Tier]) -> Tier | None:
    """The first of the tiers, locked until the transaction ends; what was scheduled for it and has come is written."""
    tier = tiers.select_for_update(no_key=True).first()
    if tier is not None:
        settle_tier(tier)
    return tier


def kinds_that_use(instance: models.Model) -> Iterator[str]:
    """What keeps an instance from being deleted, such as "sessions"; asks for one of each kind, however many there are.

    What people do not see, such as sums, is named only where there is nothing else.
    """
    protecting = [
        relation
        for relation in instance._meta.get_fields(include_hidden=True)
        if isinstance(relation, models.ForeignObjectRel) and relation.on_delete is models.PROTECT
    ]
    is_used = False
    for relation in sorted(protecting, key=lambda relation: relation.hidden):
        if relation.hidden and is_used:
            return
        model = relation.related_model
        assert not isinstance(model, str)
        if model._default_manager.filter(**{relation.field.name: instance}).exists():
            is_used = True
            yield str(model._meta.verbose_name_plural)


# Numbers


def number_key(text: str) -> str:
    """The key that calls from `text` are matched by. Raises ValidationError where there is no number in it."""
    try:
        key = phone_key(text, settings.PHONE_REGION)
    except ValueError as error:
        raise ValidationError(f"{text[:40]}…: {error}.") from error
    if key is None:
        raise ValidationError(f'"{text}" is no number. Give one such as +44 20 7946 0958, or leave it out.')
    if len(text) > LONGEST_TEXT:
        raise ValidationError(f"{text[:40]}…: a number has at most {LONGEST_TEXT} characters.")
    return key


def number_warning(text: str, key: str) -> str:
    """A sentence where a key that is stored for a customer is no phone number; blank where it is one."""
    if is_number(key):
        return ""
    return f'"{text}" is no phone number, but a text that calls may come from. It was saved; look whether it is a typo.'


def claim_number(customer: Customer, text: str, *, why: str = "") -> PhoneNumber:
    """Make `text` a number of this stored customer's; idempotent.

    A first-contact customer who has it gives way and is merged into this one, past sessions included. Raises
    ValidationError where there is no number in the text, or it is another customer's.
    """
    key = number_key(text)
    found = PhoneNumber.objects.select_related("customer").filter(key=key).first()
    if found is not None and found.customer_id != customer.pk:
        if not found.customer.is_provisional():
            raise ValidationError(f"{text} belongs to {described(found.customer)}. Remove it there first.")
        merge_customer(found.customer, customer, why=why)
        # It came along with the merge.
        found = PhoneNumber.objects.filter(key=key).first()
    if found is None:
        found = PhoneNumber(customer=customer, key=key)
    if found.number != text:
        found.number = text
        change_reason(found, why)
        found.save()
    return found


def described(customer: Customer) -> str:
    """The customer in an error message: enough to find the record by."""
    known = f"external id {customer.external_id}" if customer.external_id else f"id {customer.pk}"
    return f"customer {customer.name} ({known})" if customer.name else f"the customer with {known}"


@transaction.atomic
def merge_customer(provisional: Customer, customer: Customer, *, why: str = "") -> None:
    """Move what a first-contact customer has, past sessions included, to `customer`, and delete the record."""
    lock_customer(customer.pk)
    # The full lock waits for begins that are storing a session of this record; later ones find it gone.
    provisional = Customer.objects.select_for_update().get(pk=provisional.pk)
    overrides = list(LimitOverride.objects.filter(customer=provisional))
    rows: list[PhoneNumber | LimitOverride | TopUp] = [*PhoneNumber.objects.filter(customer=provisional), *overrides]
    rows += TopUp.objects.filter(customer=provisional)
    for row in rows:
        row.customer = customer
        change_reason(row, why)
        row.save()
    if overrides:
        check_overrides(customer)
    for name in settings.CUSTOMER_MERGE_HOOKS:
        hook: Callable[[Customer, Customer], None] = import_string(name)
        hook(provisional, customer)
    change_reason(provisional, why)
    provisional.delete()


def adoptable(texts: Iterable[str]) -> Customer | None:
    """The first-contact customer, locked, who has one of these numbers: a new customer's record is that one.

    It keeps its past sessions; the others that these numbers may belong to are merged by `replace_numbers`.
    Texts that are no numbers count for nothing here.
    """
    keys = []
    for text in texts:
        try:
            keys.append(number_key(text))
        except ValidationError:
            continue
    for key in dict.fromkeys(keys):
        found = PhoneNumber.objects.select_related("customer").filter(key=key).first()
        if found is not None and found.customer.is_provisional():
            return lock_customer(found.customer_id)
    return None


def replace_numbers(customer: Customer, texts: Sequence[str], *, why: str = "") -> None:
    """Make these the customer's numbers, each once. Errors are named `numbers[0]`, `numbers[1]` …"""
    problems: dict[str, list[str]] = {}
    claimed: dict[str, PhoneNumber] = {}
    for index, text in enumerate(texts):
        try:
            key = number_key(text)
            if key not in claimed:
                claimed[key] = claim_number(customer, text, why=why)
        except ValidationError as error:
            problems[f"numbers[{index}]"] = error.messages
    if problems:
        raise ValidationError(problems)
    for number in PhoneNumber.objects.filter(customer=customer).exclude(key__in=claimed):
        change_reason(number, why)
        number.delete()


def number_keys(texts: Iterable[str]) -> list[str]:
    """The key of each, in their order. Raises ValidationError with errors named `numbers[0]`, `numbers[1]` …"""
    keys: list[str] = []
    problems: dict[str, list[str]] = {}
    for index, text in enumerate(texts):
        try:
            keys.append(number_key(text))
        except ValidationError as error:
            problems[f"numbers[{index}]"] = error.messages
    if problems:
        raise ValidationError(problems)
    return keys


@dataclass
class NumberChanges:
    """What makes a list somebody's numbers, where each of them is theirs or nobody's. Nothing of it is saved."""

    removed: list[PhoneNumber]
    rewritten: list[PhoneNumber]
    added: list[PhoneNumber]


def number_changes(customer: Customer, stored: Iterable[PhoneNumber], wanted: Mapping[str, str]) -> NumberChanges:
    """From the customer's `stored` numbers to `wanted`, texts by key."""
    by_key = {number.key: number for number in stored}
    changes = NumberChanges([number for key, number in by_key.items() if key not in wanted], [], [])
    for key, text in wanted.items():
        number = by_key.get(key)
        if number is None:
            changes.added.append(PhoneNumber(customer=customer, number=text, key=key))
        elif number.number != text:
            number.number = text
            changes.rewritten.append(number)
    return changes


# Limits and overrides


def replace_limits(tier: Tier, rows: Sequence[LimitValues], *, why: str = "") -> None:
    """Make these the tier's limits. Rows that stay the same are not touched. Errors are named `limits[0]` …"""
    wanted = check_no_twins(rows)
    stored = {_values(LimitValues, limit).key: limit for limit in TierLimit.objects.filter(tier=tier)}
    for key, limit in stored.items():
        if key not in wanted:
            change_reason(limit, why)
            limit.delete()
    for row in rows:
        _bring(stored.get(row.key) or TierLimit(tier=tier), row, why)


def check_no_twins(rows: Sequence[LimitValues]) -> set[tuple[str, str, str | None, str | None]]:
    """The rows' keys. Raises ValidationError, named `limits[1]` …, where two are of one key."""
    first_at: dict[tuple[str, str, str | None, str | None], int] = {}
    for index, row in enumerate(rows):
        if (first := first_at.setdefault(row.key, index)) != index:
            problem = f"The same metric, period, channel and agent as limits[{first}]; give one of them."
            raise ValidationError({f"limits[{index}]": problem})
    return set(first_at)


def replace_overrides(
    customer: Customer,
    rows: Sequence[OverrideValues],
    *,
    author: User | None = None,
    why: str = "",
) -> None:
    """Make these the customer's overrides, by `author` where they are new. Rows that stay the same are not touched.

    Raises ValidationError where two of one metric, period, channel and agent are valid at the same time.
    """
    stored = list(LimitOverride.objects.filter(customer=customer))
    pairs: list[tuple[OverrideValues, LimitOverride | None]] = []
    wanted = list(rows)
    # The same row first, then one that starts alike, then one of the same key: the history shows what changed.
    for is_match in (_is_same, _starts_alike, _has_same_key):
        for row in list(wanted):
            match = next((override for override in stored if is_match(override, row)), None)
            if match is not None:
                stored.remove(match)
                wanted.remove(row)
                pairs.append((row, match))
    for override in stored:
        change_reason(override, why)
        override.delete()
    for row, match in pairs + [(row, None) for row in wanted]:
        _bring(match or LimitOverride(customer=customer, author=author), row, why)
    check_overrides(customer)


def check_overrides(customer: Customer) -> None:
    """Raises ValidationError where two overrides of one metric, period, channel and agent are valid at once.

    Only PostgreSQL could have a constraint for this, so the caller holds the customer's lock.
    """
    stored = LimitOverride.objects.filter(customer=customer)
    refuse_overlaps(stored.order_by(F("valid_from").asc(nulls_first=True), "pk"))


def check_wanted_overrides(rows: Iterable[OverrideValues]) -> None:
    """Raises ValidationError as `check_overrides` will once these are the customer's overrides. Asks no database."""
    wanted = [LimitOverride(**{field.name: getattr(row, field.name) for field in fields(row)}) for row in rows]
    refuse_overlaps(sorted(wanted, key=lambda row: (row.valid_from is not None, row.valid_from or SINCE_EVER)))


def refuse_overlaps(overrides: Iterable[LimitOverride]) -> None:
    """Raises ValidationError where two of one customer's overrides, earliest first, hold at the same time."""
    latest: dict[tuple[str, str, str | None, str | None], LimitOverride] = {}
    for override in overrides:
        key = _values(LimitValues, override).key
        before = latest.get(key)
        if before is not None and Validity.of(before).overlaps(Validity.of(override)):
            raise ValidationError(
                f"Two overrides would hold at the same time: {_with_validity(before)}; {_with_validity(override)}. "
                "End the first before the second begins, or leave one out."
            )
        latest[key] = override


def _with_validity(override: LimitOverride) -> str:
    since = f"from {override.valid_from:%Y-%m-%d %H:%M} UTC" if override.valid_from else "since ever"
    until = f"until {override.valid_until:%Y-%m-%d %H:%M} UTC" if override.valid_until else "for ever"
    return f"{override}, {since} {until}"


def _values(kind: type[Values], row: TierLimit | LimitOverride) -> Values:
    return kind(**{field.name: getattr(row, field.name) for field in fields(kind)})


def are_overrides(stored: Iterable[LimitOverride], rows: Iterable[OverrideValues]) -> bool:
    """Whether `replace_overrides` would find nothing to change."""
    return Counter(_values(OverrideValues, override) for override in stored) == Counter(rows)


def _is_same(override: LimitOverride, row: OverrideValues) -> bool:
    return _values(OverrideValues, override) == row


def _starts_alike(override: LimitOverride, row: OverrideValues) -> bool:
    return _has_same_key(override, row) and override.valid_from == row.valid_from


def _has_same_key(override: LimitOverride, row: OverrideValues) -> bool:
    return _values(OverrideValues, override).key == row.key


def _bring(stored: TierLimit | LimitOverride, row: LimitValues, why: str) -> None:
    """Save `stored` with the values of `row`, if that changes anything."""
    if stored.pk is not None and _values(type(row), stored) == row:
        return
    for field in fields(row):
        setattr(stored, field.name, getattr(row, field.name))
    change_reason(stored, why)
    stored.save()


def bring_instance(instance: models.Model, values: dict[str, Any], why: str = "") -> bool:
    """Save a tier or customer with `values`, if that changes anything. Returns whether it did."""
    if instance.pk is not None and not changed_fields(instance, values):
        return False
    for name, value in values.items():
        setattr(instance, name, value)
    change_reason(instance, why)
    instance.save()
    return True


def changed_fields(instance: models.Model, values: dict[str, Any]) -> set[str]:
    """The names of the fields that have another value so far."""
    return {name for name, value in values.items() if not _is_equal(getattr(instance, name), value)}


def _is_equal(stored: Any, wanted: Any) -> bool:
    if isinstance(stored, dict):  # to Python {"vip": 1} equals {"vip": True}; to LiveTok's agent it does not
        return json.dumps(stored, sort_keys=True) == json.dumps(wanted, sort_keys=True)
    return bool(stored == wanted)
