"""Usage as if so much of a period were used, in place of what really is. Writes nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from customers.limits import Metric, Period
from sessions_app.decision.rules import Usage, UsageRow

# Sessions, or call minutes, of a period; or sessions that are open at once.
Supposed: TypeAlias = Mapping[tuple[Metric, Period], float]


def as_if_used(usage: Usage, supposed: Supposed, channel: str | None, agent: str | None) -> Usage:
    """All that is supposed counts on one channel and agent; of the same periods nothing else is left, held or not."""
    if not supposed:
        return usage
    sessions = {period: round(amount) for (metric, period), amount in supposed.items() if metric is Metric.SESSIONS}
    seconds = {
        period: round(amount * 60) for (metric, period), amount in supposed.items() if metric is Metric.CALL_MINUTES
    }
    open_ones = supposed.get((Metric.CONCURRENT_SESSIONS, Period.NONE))
    rows = list(_without(usage, sessions, seconds))
    if open_ones is not None:
        rows = [replace(row, open_sessions=0) for row in rows]
    told = UsageRow(channel, agent, sessions, seconds, open_sessions=round(open_ones or 0))
    return replace(usage, rows=(*rows, told))


def _without(usage: Usage, sessions: Mapping[Period, int], seconds: Mapping[Period, int]) -> Iterator[UsageRow]:
    for row in usage.rows:
        yield replace(
            row,
            sessions={period: amount for period, amount in row.sessions.items() if period not in sessions},
            call_seconds={period: amount for period, amount in row.call_seconds.items() if period not in seconds},
            held_seconds={period: amount for period, amount in row.held_seconds.items() if period not in seconds},
        )
