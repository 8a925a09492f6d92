"""How long a text, and how large an id, may be that somebody asks for or by. Pure: no database, clock or settings."""

from collections.abc import Iterable

LONGEST_TEXT = 255
LARGEST_ID = 2**63 - 1  # that a column of ids can have; more is an error of the database


def too_long(given: Iterable[tuple[str, list[str]]]) -> list[str]:
    """The names of the parameters that are too long, as a query's `lists()` give them; their own names count too."""
    return [name for name, values in given if any(len(text) > LONGEST_TEXT for text in [name, *values])]
