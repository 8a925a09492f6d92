"""Percentiles of a page: worked out here, or by PostgreSQL the same way."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Aggregate, FloatField

from sessions_app.reports.frame.figures import NOTHING, number_words
from sessions_app.wording import duration_words

PERCENTILES = (50, 95, 99)


class Percentile(Aggregate):
    """`percentile_cont` of PostgreSQL: between two values, in proportion."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True)
class Spread:
    """Percentiles of some values, by the per cent; `count` is of how many. Empty where there are none."""

    count: int
    at: Mapping[int, float]

    def words(self, percent: int) -> str:
        return number_words(self.at[percent], 1) if percent in self.at else NOTHING

    def duration(self, percent: int) -> str:
        return duration_words(self.at[percent]) if percent in self.at else NOTHING


def spread_of(values: Sequence[float]) -> Spread:
    """As `percentile_cont` has it."""
    ordered = sorted(values)
    if not ordered:
        return Spread(0, {})
    found = {}
    for percent in PERCENTILES:
        place = (len(ordered) - 1) * percent / 100
        low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
        found[percent] = low + (high - low) * (place - math.floor(place))
    return Spread(len(ordered), found)
