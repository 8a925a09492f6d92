"""A customer's usage reached a part of a limit."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from automations.models import Firing, Rule
from automations.rules.firing import Event
from customers.models import Customer
from sessions_app.models import Session
from sessions_app.periods import ONE_DAY, local_day, starts_at
from sessions_app.usage.counting import FILLED_BY
from sessions_app.usage.standing import LimitUse, Standing, standings, with_limits

# Of a session that is longer, the last of them.
MOST_DAYS = 7


def usage_events(rules: Sequence[Rule], session: Session, happened_at: datetime) -> Iterator[tuple[Rule, Event]]:
    """What to tell of the session's customer: of each limit the highest threshold that is reached, once in a period."""
    rules = [rule for rule in rules if rule.thresholds]
    if session.customer_id is None or session.is_test or not rules:
        return
    for subject, standing, use in uses_of(session):
        for rule in rules:
            threshold = reached(rule, use)
            if threshold and not _is_told(rule, subject, threshold):
                yield rule, Event(subject, happened_at, session, threshold, _values(standing, use))


def uses_of(session: Session) -> Iterator[tuple[str, Standing, LimitUse]]:
    """The limits of the session's customer in all periods that the session counts in, each with its subject.

    As they are counted now, the latest period first. At most five queries for each local day of the session.
    """
    seen: set[str] = set()
    of_session = Customer.objects.filter(pk__in=[session.customer_id])
    for moment in _moments_of(session):
        for customer in with_limits(of_session, moment):
            standing = standings([customer], moment)[customer.pk]
            for use in standing.uses:
                subject = _subject(standing, use)
                if subject not in seen:
                    seen.add(subject)
                    yield subject, standing, use


def _moments_of(session: Session) -> list[datetime]:
    """The session's end, and the last instant of each earlier day that it counts in: what it used of that day is full.

    Days of the zone that it is counted in.
    """
    end, zone = session.ended_at or session.started_at, ZoneInfo(session.time_zone)
    moments, day = [end], local_day(end, zone)
    while starts_at(day, zone) > session.started_at and len(moments) <= MOST_DAYS:
        moments.append(starts_at(day, zone) - timedelta(microseconds=1))
        day -= ONE_DAY
    return moments


def values_again(session: Session, subject: str) -> dict[str, object]:
    """What is said of a limit that was told of, as it is counted now; nothing where the limit is another one now."""
    return next((_values(standing, use) for found, standing, use in uses_of(session) if found == subject), {})


def reached(rule: Rule, use: LimitUse) -> int:
    """The highest of the rule's thresholds; 0 for none."""
    if use.share is None or use.limit.metric not in FILLED_BY or not use.limit.period:
        return 0
    # A share just below a whole percent, for what floats do to it, is that percent.
    wanted = [threshold for threshold in rule.thresholds if isinstance(threshold, int)]
    return max((threshold for threshold in wanted if use.share * 100 + 1e-9 >= threshold), default=0)


def _subject(standing: Standing, use: LimitUse) -> str:
    """The limit with its amount, and the period: another amount, or the next period, is told again."""
    limit = use.limit
    scope = f"{limit.channel or ''}/{limit.agent or ''}"[:150]
    since = standing.spans[limit.period].first_day if limit.period else ""
    return f"usage {standing.customer.pk} {limit.metric} {limit.period} {limit.amount} {since} {scope}"


def _is_told(rule: Rule, subject: str, threshold: int) -> bool:
    """Where a correction took usage back, what is lower than what was told is no news."""
    return Firing.objects.filter(rule=rule, subject=subject, threshold__gte=threshold).exists()


def _values(standing: Standing, use: LimitUse) -> dict[str, object]:
    assert use.used is not None
    assert use.share is not None
    return {
        "usage.metric": use.limit.metric.words,
        "usage.period": str(use.limit.period),
        "usage.used": round(use.used, 1),
        "usage.amount": use.limit.amount,
        "usage.left": None if use.left is None else round(use.left, 1),
        "usage.percent": int(use.share * 100 + 1e-9),
        "usage.resets_at": standing.spans[use.limit.period].resets_at if use.limit.period else None,
    }
