"""When people get in touch, and for how long. Pure: chance is handed in, so that a seed always gives the same."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Rhythm:
    """How a day's sessions spread over its 24 local hours, and what the days of a week weigh from Monday on."""

    hours: tuple[float, ...]
    weekdays: tuple[float, ...]


OFFICE = Rhythm(
    hours=(0, 0, 0, 0, 0, 0, 0.3, 1.5, 5, 9, 10, 9, 6, 7, 9, 9, 7, 4, 1.5, 0.6, 0.3, 0.2, 0, 0),
    weekdays=(1.25, 1.15, 1.1, 1.05, 0.95, 0.2, 0.1),
)
PRIVATE = Rhythm(
    hours=(0.6, 0.3, 0.2, 0.1, 0.1, 0.3, 1, 2.5, 4, 5, 5.5, 5.5, 6, 5, 4.5, 5, 6, 7.5, 8.5, 9, 7.5, 5, 3, 1.4),
    weekdays=(1.05, 0.95, 0.95, 0.95, 1.0, 1.15, 0.9),
)

# The median in seconds, and the spread of its logarithm.
DURATIONS = {
    "telephony": (190, 0.85),
    "whatsapp": (380, 0.95),
    "web": (170, 0.9),
    "chat": (260, 0.8),
}
LONGEST_SECONDS = 3 * 60 * 60
GROWTH = 0.9


def dice(*parts: object) -> Random:
    """Chance that depends on `parts` alone."""
    return Random("/".join(str(part) for part in parts))  # noqa: S311 (nothing here is a secret)


def duration_seconds(rng: Random, channel: str) -> int:
    median, spread = DURATIONS[channel]
    return min(LONGEST_SECONDS, max(4, round(rng.lognormvariate(math.log(median), spread))))


def arrivals(
    rng: Random, rhythm: Rhythm, zone: ZoneInfo, a_day: float, start: datetime, until: datetime
) -> Iterator[datetime]:
    """The moments, to the second, at which somebody with `a_day` sessions on a mean day begins one. Traffic grows."""
    day = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    length = max((until - start).total_seconds(), 1.0)
    while day < until:
        grown = 1 + GROWTH * ((day - start).total_seconds() / length - 0.5)
        for _ in range(_poisson(rng, a_day * grown * rhythm.weekdays[day.weekday()])):
            hour = rng.choices(range(24), rhythm.hours)[0]
            moment = day.replace(hour=hour, minute=rng.randrange(60), second=rng.randrange(60))
            if start <= moment < until:
                yield moment
        day += timedelta(days=1)


def _poisson(rng: Random, mean: float) -> int:
    """Knuth's way, good for small means."""
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count
