"""Durations as a histogram that adds up: percentiles within 1.5 % of the exact ones. Pure."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

from sessions_app.livetok.events import LONGEST_DURATION_SECONDS

RATIO = 1.03
# Each second is a bucket up to here; above, buckets grow by RATIO, with an edge at each step that pages show.
EXACT_UNTIL = 60
STEPS = (10, 30, 60, 180, 300, 600, 1800)


def _edges() -> Iterator[int]:
    yield from range(EXACT_UNTIL)
    steps = [*(step for step in STEPS if step >= EXACT_UNTIL), LONGEST_DURATION_SECONDS + 1]
    for low, high in pairwise(steps):
        count = math.ceil(math.log(high / low) / math.log(RATIO))
        yield from (math.ceil(low * (high / low) ** (number / count)) for number in range(count))
    yield LONGEST_DURATION_SECONDS + 1


# The bucket of number n holds the whole seconds from EDGES[n] up to, but not including, EDGES[n + 1].
EDGES = tuple(_edges())


def bucket_of(seconds: int) -> int:
    return bisect_right(EDGES, seconds) - 1


def _middle(bucket: int) -> float:
    """As far from the least as from the greatest of a bucket's durations, in proportion."""
    return math.sqrt(EDGES[bucket] * (EDGES[bucket + 1] - 1))


def percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """The duration in seconds that `share` (0 to 1) of them do not exceed, between two of them in proportion.

    As PostgreSQL's percentile_cont; None where there is none.
    """
    counts = sorted(buckets.items())
    total = sum(count for _, count in counts)
    if not total:
        return None
    place = share * (total - 1)
    below = math.floor(place)
    low, high = _at(counts, below), _at(counts, min(below + 1, total - 1))
    return low + (high - low) * (place - below)


def _at(counts: list[tuple[int, int]], place: int) -> float:
    passed = 0
    for bucket, count in counts:
        passed += count
        if place < passed:
            return _middle(bucket)
    raise IndexError(place)


def by_step(buckets: Mapping[int, int]) -> list[tuple[int, int | None, int]]:
    """How many lie from each of the steps that pages show to the next: exact. The last step has no end."""
    starts = (0, *STEPS)
    counts: Counter[int] = Counter()
    for bucket, count in buckets.items():
        counts[bisect_right(starts, EDGES[bucket]) - 1] += count
    ends = [*starts[1:], None]
    return [(start, end, counts[number]) for number, (start, end) in enumerate(zip(starts, ends, strict=True))]
