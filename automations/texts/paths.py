"""What follows a destination's address, with values in it."""

from collections.abc import Mapping

from automations.texts.escapes import escape_address
from automations.texts.lines import check_line
from automations.texts.liquid import TextError, fill


def check_path(text: str) -> list[str]:
    """What keeps a path from being saved. It starts plainly, so that no value can lead to another host."""
    if text and not text.startswith(("/", "?")):
        return ["It follows the destination's address, so it starts with / or with ?."]
    return check_line(text)


def fill_path(text: str, data: Mapping[str, object]) -> str:
    """The path; each value is percent-encoded, so that it stays within its part. Raises TextError."""
    problems = check_path(text)
    if problems:
        raise TextError(problems)
    return fill(text, data, escape_address).strip()
