"""More of a limit for one customer until a moment: an override with an end. Each caller holds the customer's lock."""

from dataclasses import fields, replace
from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from customers.editing import MOST_ROWS, SINCE_EVER, OverrideValues, check_overrides
from customers.history import moment_words
from customers.limits import Limit
from customers.models import Customer, LimitOverride


def allow_more(
    customer: Customer, limit: Limit, amount: int, until: datetime, *, now: datetime, author: User, note: str = ""
) -> list[str]:
    """Give the customer `amount` of a limit in force until a moment. What holds then without it holds afterwards.

    An override that holds now is changed, so that the history shows both, and stored once more from `until` on where
    it would have held longer. One that begins earlier than `until` begins then. Returns a sentence for each that was
    put off or replaced. Raises ValidationError under the name `until` or `limit`.
    """
    stored = list(LimitOverride.objects.filter(customer=customer).order_by("pk"))
    same = [override for override in stored if override.as_limit().key == limit.key]
    holding = next((override for override in same if override.is_valid_at(now)), None)
    planned = sorted(
        (one for one in same if one.valid_from is not None and now < one.valid_from < until),
        key=lambda one: one.valid_from or SINCE_EVER,
    )
    _refuse_more(planned, limit, amount)
    put_off = [override for override in planned if _goes_on(override, until)]
    replaced = [override for override in planned if not _goes_on(override, until)]
    _refuse_apart(replaced, holding)
    told = [
        *(f"{one}, planned from {_words(one.valid_from)}, begins then." for one in put_off),
        *(f"It replaces {one}, planned {_from_until(one)}." for one in replaced),
    ]

    if holding is not None:
        before = _values_of(holding)
        rest = [replace(before, valid_from=until)] if _goes_on(holding, until) else []
        added = [LimitOverride(customer=customer, author=holding.author, **vars(values)) for values in rest]
        holding.amount, holding.valid_until, holding.note = amount, until, note or holding.note
        changed = [holding]
    else:
        # From the end of the last one on, else since ever: LiveTok's clock may be a little behind ours.
        ended = max((one.valid_until for one in same if one.valid_until and one.valid_until <= now), default=None)
        values = _granted(limit, amount, ended, until, note)
        added, changed = [LimitOverride(customer=customer, author=author, **vars(values))], []
    if len(stored) - len(replaced) + len(added) > MOST_ROWS:
        text = f"The customer has {len(stored)} overrides, and {MOST_ROWS} are the most. Remove old ones in the admin."
        raise ValidationError({"limit": text})
    for override in replaced:
        override.delete()
    for override in put_off:
        override.valid_from = until
    for override in [*changed, *put_off, *added]:
        override.save()
    check_overrides(customer)
    return told


def _goes_on(override: LimitOverride, until: datetime) -> bool:
    return override.valid_until is None or override.valid_until > until


def _refuse_more(planned: list[LimitOverride], limit: Limit, amount: int) -> None:
    """Whoever asks for more wants nobody to get less."""
    for override in planned:
        if override.amount is None or override.amount > amount or (limit.hard and not override.hard):
            another = "Choose an earlier end" if override.amount is None else "Choose an earlier end or a higher number"
            text = (
                f"Another override of this limit ({override}) begins {_words(override.valid_from)} and allows more. "
                f"{another}, or change that one in the admin."
            )
            raise ValidationError({"until": text})


def _refuse_apart(replaced: list[LimitOverride], holding: LimitOverride | None) -> None:
    """What follows at once on what holds now was left by an earlier grant, and is replaced like that; nothing else."""
    follows = holding.valid_until if holding is not None else None
    for override in replaced:
        if override.valid_from != follows:
            text = (
                f"Another override of this limit ({override}) is planned {_from_until(override)}, and would be lost. "
                "Choose an earlier end, or remove that one in the admin."
            )
            raise ValidationError({"until": text})
        follows = override.valid_until


def _from_until(override: LimitOverride) -> str:
    return f"from {_words(override.valid_from)} until {_words(override.valid_until)}"


def _words(moment: datetime | None) -> str:
    assert moment is not None
    return moment_words(moment)


def _values_of(override: LimitOverride) -> OverrideValues:
    return OverrideValues(**{field.name: getattr(override, field.name) for field in fields(OverrideValues)})


def _granted(limit: Limit, amount: int, since: datetime | None, until: datetime, note: str) -> OverrideValues:
    return OverrideValues(
        metric=limit.metric.value,
        amount=amount,
        period=limit.period.value,
        channel_id=limit.channel,
        agent_id=limit.agent,
        hard=limit.hard,
        valid_from=since,
        valid_until=until,
        note=note,
    )
