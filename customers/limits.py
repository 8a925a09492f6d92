"""Limits as values, and which of them hold for a customer. Pure: no database, clock or settings."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# The largest amount everywhere: what PostgreSQL's integers hold. SQLite would take more, and could not be moved then.
MOST_AMOUNT = 2**31 - 1
TOO_MUCH = f"Amount: give {MOST_AMOUNT:,} at most."


class Metric(StrEnum):
    """What can be limited."""

    MESSAGES = "messages"
    CALL_MINUTES = "call_minutes"
    SESSIONS = "sessions"
    CONCURRENT_SESSIONS = "concurrent_sessions"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")

    def counted(self, amount: int | None) -> str:
        """Such as "60 call minutes", "1 session" or "unlimited sessions"."""
        if amount is None:
            return f"unlimited {self.words}"
        return f"{amount:,} {self.words.removesuffix('s') if amount == 1 else self.words}"

    @property
    def is_measured(self) -> bool:
        """LiveTok counts messages itself: it is told their limit, and never reports them."""
        return self is not Metric.MESSAGES


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    NONE = ""


# What the database, forms and API take, their words and the reasons of denials follow from this table.
PERIODS_OF: dict[Metric, tuple[Period, ...]] = {
    Metric.MESSAGES: (Period.DAY,),
    Metric.CALL_MINUTES: (Period.DAY, Period.WEEK, Period.MONTH),
    Metric.SESSIONS: (Period.DAY, Period.WEEK, Period.MONTH),
    Metric.CONCURRENT_SESSIONS: (Period.NONE,),
}


def metrics_by_periods() -> dict[tuple[Period, ...], list[Metric]]:
    """Together the metrics that have the same periods."""
    found: dict[tuple[Period, ...], list[Metric]] = {}
    for metric, periods in PERIODS_OF.items():
        found.setdefault(periods, []).append(metric)
    return found


def periods_in_words(name_of: Callable[[Metric], str], *, none: str) -> str:
    """Which periods each metric has, as one sentence without its end. `none` says that some metrics have no period."""
    clauses: list[str] = []
    for periods, metrics in metrics_by_periods().items():
        names = _listed([name_of(metric) for metric in metrics], "and")
        per = none if periods == (Period.NONE,) else f"per {_listed(periods, 'or')}"
        clauses.append(f"{names} {per}" if clauses else f"{names} are {per}")
    return "; ".join(clauses)


def _listed(words: Sequence[str], last: str) -> str:
    """Such as "day, week or month"."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


@dataclass(frozen=True)
class Limit:
    """One row that limits. A `channel` or `agent` of None: all; an `amount` of None: unlimited, 0: none at all.

    `origin` says whose row it is: "tier" or "override". `agent_name` is for people's eyes alone, where it is known.
    """

    metric: Metric
    period: Period
    amount: int | None
    channel: str | None = None
    agent: str | None = None
    hard: bool = True
    origin: str = "tier"
    agent_name: str = field(default="", compare=False)

    def __str__(self) -> str:
        words = [self.metric.counted(self.amount)]
        if self.period:
            words.append(f"a {self.period}")
        if self.channel is not None:
            words.append(f"on {self.channel}")
        if self.agent is not None:
            words.append(f"with agent {self.agent_words}")
        return " ".join(words) + ("" if self.hard else " (soft)")

    @property
    def agent_words(self) -> str:
        """The agent as staff know it: by its name, else by LiveTok's id."""
        return self.agent_name or self.agent or ""

    @property
    def has_scope(self) -> bool:
        """Whether it is for one channel or agent alone."""
        return self.channel is not None or self.agent is not None

    @property
    def key(self) -> tuple[Metric, Period, str | None, str | None]:
        """What an override must share with a tier's row to replace it."""
        return self.metric, self.period, self.channel, self.agent

    def applies_to(self, channel: str | None, agent: str | None) -> bool:
        return self.channel in (None, channel) and self.agent in (None, agent)


def effective_limits(tier_limits: Iterable[Limit], overrides: Iterable[Limit]) -> tuple[Limit, ...]:
    """The tier's limits with those replaced that an override shares its key with, in a stable order.

    `overrides` are those valid now, at most one of a key. One whose key the tier lacks adds a limit;
    one without an amount lifts the tier's.
    """
    by_key = {limit.key: limit for limit in tier_limits} | {limit.key: limit for limit in overrides}
    metrics, periods = list(Metric), list(Period)
    return tuple(
        sorted(
            by_key.values(),
            key=lambda limit: (
                metrics.index(limit.metric),
                periods.index(limit.period),
                limit.channel or "",
                limit.agent or "",
            ),
        )
    )


def smallest_amount(limits: Iterable[Limit], metric: Metric, period: Period) -> int | None:
    """The smallest hard amount of a metric and period; None where none limits."""
    return min(
        (
            limit.amount
            for limit in limits
            if limit.hard and limit.metric is metric and limit.period is period and limit.amount is not None
        ),
        default=None,
    )
