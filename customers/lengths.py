"""How long a text may be that somebody asks for or by. Pure: no database, clock or settings."""

from collections.abc import Iterable

LONGEST_TEXT = 255


def too_long(given: Iterable[tuple[str, list[str]]]) -> list[str]:
    """The names of the parameters that are too long, as a query's `lists()` give them; their own names count too."""
    return [name for name, values in given if any(len(text) > LONGEST_TEXT for text in [name, *values])]
