"""Charts as coordinates, for templates to draw as SVG; a table beside each says the same. Pure.

Across, places are per cent of the width, which varies; down, they are pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

HEIGHT = 200
ABOVE = 16  # room for the scale's topmost number


@dataclass(frozen=True)
class Bar:
    """One column of a chart: what stands at the foot (`low`), what is stacked on it, and where it leads."""

    label: str
    low: float
    high: float
    title: str
    address: str = ""


class DrawnBar(NamedTuple):
    """As templates take it apart, which is quicker than looking up each of its parts."""

    bar: Bar
    x: float
    width: float
    low_y: float
    low_height: float
    high_y: float
    high_height: float


@dataclass(frozen=True)
class Tick:
    place: float
    label: str

    @property
    def beside(self) -> float:
        """Where the foot of its number is, so that its middle stands at the line."""
        return self.place + 4


@dataclass(frozen=True)
class Chart:
    bars: list[DrawnBar]
    scale: list[Tick]
    labels: list[Tick]
    foot: int = ABOVE + HEIGHT
    height: int = ABOVE + HEIGHT + 24
    labels_at: int = ABOVE + HEIGHT + 18


def draw_bars(bars: Sequence[Bar], most_labels: int = 8) -> Chart:
    """Stacked columns beside each other, a scale of round numbers, and some of the labels."""
    top = _round_up(max((bar.low + bar.high for bar in bars), default=0))
    step = 100 / max(len(bars), 1)
    foot = ABOVE + HEIGHT
    drawn = []
    for number, bar in enumerate(bars):
        low, high = round(HEIGHT * bar.low / top, 1), round(HEIGHT * bar.high / top, 1)
        x, width = round((number + 0.1) * step, 3), round(step * 0.8, 3)
        drawn.append(DrawnBar(bar, x, width, round(foot - low, 1), low, round(foot - low - high, 1), high))
    every = -(-len(bars) // most_labels) or 1
    labels = [
        Tick(round((number + 0.5) * step, 2), bar.label) for number, bar in enumerate(bars) if number % every == 0
    ]
    scale = [Tick(foot - HEIGHT * half / 2, f"{top * half / 2:,.10g}") for half in range(3)]
    return Chart(drawn, scale, labels)


def _round_up(number: float) -> float:
    """The next of 2, 4, 6, 8, 10, 20, 30, 40, 50, 60, 80, 100 …, so that half of it is a round number too."""
    power = 1
    while True:
        for first in (2, 4, 6, 8, 10) if power == 1 else (2, 3, 4, 5, 6, 8, 10):
            if number <= first * power:
                return first * power
        power *= 10
