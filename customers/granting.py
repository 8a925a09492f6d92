"""More of a limit for one customer until a moment: an override with an end. Each caller holds the customer's lock."""

from dataclasses import fields, replace
from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from customers.editing import MOST_ROWS, OverrideValues, replace_overrides
from customers.history import moment_words
from customers.limits import Limit
from customers.models import Customer, LimitOverride
from customers.validity import Validity


def allow_more(
    customer: Customer, limit: Limit, amount: int, until: datetime, *, now: datetime, author: User, note: str = ""
) -> None:
    """Give the customer `amount` of a limit in force until a moment. What held until then holds again afterwards.

    An override that holds now is changed, so that the history shows both, and stored once more from `until` on where
    it would have held longer. Raises ValidationError under the name `until` or `limit`.
    """
    stored = list(LimitOverride.objects.filter(customer=customer))
    same = [override for override in stored if override.as_limit().key == limit.key]
    _refuse_planned(same, now, until)
    rows = {override.pk: _values_of(override) for override in stored}
    holding = next((override for override in same if override.is_valid_at(now)), None)
    if holding is not None:
        before = rows.pop(holding.pk)
        granted = replace(before, amount=amount, valid_until=until, note=note or before.note)
        later = replace(before, valid_from=until)
        goes_on = before.valid_until is None or before.valid_until > until
        wanted = [*rows.values(), granted, *([later] if goes_on else [])]
    else:
        # From the end of the last one on, else since ever: LiveTok's clock may be a little behind ours.
        ended = max((one.valid_until for one in same if one.valid_until and one.valid_until <= now), default=None)
        wanted = [*rows.values(), _granted(limit, amount, ended, until, note)]
    if len(wanted) > MOST_ROWS:
        text = f"The customer has {len(stored)} overrides, and {MOST_ROWS} are the most. Remove old ones in the admin."
        raise ValidationError({"limit": text})
    replace_overrides(customer, wanted, author=author)


def _refuse_planned(same: list[LimitOverride], now: datetime, until: datetime) -> None:
    for override in same:
        if not Validity.of(override).has_begun(now) and override.valid_from < until:  # type: ignore[operator]
            begins = moment_words(override.valid_from)  # type: ignore[arg-type]
            text = (
                f"Another override of this limit ({override}) begins {begins}. Choose an earlier end, or change that "
                "one in the admin."
            )
            raise ValidationError({"until": text})


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
