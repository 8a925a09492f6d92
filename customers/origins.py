"""Where each limit in force comes from, and what still binds beside an override. Pure: no database or clock."""

from collections.abc import Iterable
from dataclasses import dataclass

from customers.limits import Limit, effective_limits


@dataclass(frozen=True)
class LimitInForce:
    """`replaces` is the tier's row that an override stands for, `remaining` what still binds beside the override."""

    limit: Limit
    replaces: Limit | None
    remaining: tuple[Limit, ...]


def limits_in_force(tier_limits: Iterable[Limit], overrides: Iterable[Limit]) -> tuple[LimitInForce, ...]:
    """The effective limits, each with its origin. `overrides` are those valid now."""
    tier_limits = list(tier_limits)
    by_key = {limit.key: limit for limit in tier_limits}
    effective = effective_limits(tier_limits, overrides)
    return tuple(
        LimitInForce(
            limit,
            replaces=by_key.get(limit.key) if limit.origin == "override" else None,
            remaining=tuple(other for other in effective if limit.origin == "override" and _binds_beside(other, limit)),
        )
        for limit in effective
    )


def _binds_beside(other: Limit, override: Limit) -> bool:
    """Of the same metric, with an amount, and for sessions that the override is for as well."""
    return (
        other.key != override.key
        and other.metric is override.metric
        and other.amount is not None
        and (other.channel is None or override.channel in (None, other.channel))
        and (other.agent is None or override.agent in (None, other.agent))
    )


def remaining_words(other: Limit, override: Limit, tier: str) -> str:
    """Such as "also in force: 60 on telephony, from tier Premium"."""
    words = ["unlimited" if other.amount is None else f"{other.amount:,}"]
    if other.period is not override.period:
        words.append(f"a {other.period}")
    if other.channel is not None or override.channel is not None:
        words.append(f"on {other.channel or 'all channels'}")
    if other.agent is not None or override.agent is not None:
        words.append(f"with agent {other.agent_words}" if other.agent is not None else "with all agents")
    if not other.hard:
        words.append("(soft)")
    whose = f"from tier {tier}" if other.origin == "tier" else "from another override"
    return f"also in force: {' '.join(words)}, {whose}"
