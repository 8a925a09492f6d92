"""What the agent is told of a tier's or customer's callers: which keys are ours, what may be stored, how it is read.

Checked once, here, for admin and API alike. Reading is lenient: no begin and no page may fail for what is stored.
"""

import json
from typing import Any

# Of a denial. They come last, so no key of the same name hides them.
DENIED_KEYS = (
    "denied_limit_amount",
    "denied_limit_used",
    "denied_limit_left",
    "denied_limit_resets_at",
    "denied_reason",
    "denied_message",
)
# A tier's or a customer's key of the same name hides ours.
OWN_KEYS = (
    "customer_tier",
    "customer_name",
    "account_status",
    "call_minutes_used_today",
    "call_minutes_left_today",
    "limits_reset_at",
    "top_up_minutes_left",
    "top_up_sessions_left",
    *DENIED_KEYS,
)
DEEPEST = 20
LARGEST_BYTES = 16 * 1024
MOST_DIGITS = 30
EXAMPLE = 'Give a JSON object, such as {"custom_field": "value"}.'
_TOO_DEEP = f"This is nested too deeply: {DEEPEST} levels are enough."
_SHOWN = 60  # characters of a place


class BadContext(ValueError):
    """What is wrong with it, in words for whoever gave it."""


def parse_json(text: str) -> Any:
    """JSON as somebody sends it. Numbers that are none of JSON's become infinite, so that `check_context` names them.

    Raises ValueError (UnicodeDecodeError for bytes) where it is no JSON, RecursionError where it is nested too deeply.
    """
    return json.loads(text, parse_int=_whole_number, parse_constant=float)


# Of so many digits it is refused anyway; of more than 4,300, `int` itself would raise.
def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= 2 * MOST_DIGITS else float("inf")


def parse_context(text: str) -> Any:
    """What somebody wrote into a form, to be checked by `check_context`. Raises BadContext where it is no JSON."""
    try:
        return parse_json(text)
    except RecursionError:
        raise BadContext(_TOO_DEEP) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadContext(f"This is no JSON (look at {place}). {EXAMPLE}") from error


def check_context(value: Any) -> None:
    """Raises BadContext where not every database can store it, or LiveTok's agent could not read it."""
    if not isinstance(value, dict):
        raise BadContext(EXAMPLE)
    _check(value, "", DEEPEST)
    size = len(json.dumps(value, ensure_ascii=False).encode())
    if size > LARGEST_BYTES:
        raise BadContext(f"This has {size} bytes as JSON; {LARGEST_BYTES} are the most.")


def _check(value: Any, place: str, levels_left: int) -> None:
    if levels_left == 0:
        raise BadContext(_TOO_DEEP)
    if isinstance(value, dict):
        for name, entry in value.items():
            inner = f"{place}.{name}" if place else name
            _check(name, inner, levels_left)
            _check(entry, inner, levels_left - 1)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            _check(entry, f"{place}[{index}]", levels_left - 1)
    elif isinstance(value, str):
        if _clean(value) != value:
            raise BadContext(f"{_shown(place)}: leave out NUL characters and broken Unicode.")
    # So written, it refuses NaN too.
    elif isinstance(value, int | float) and not abs(value) < 10**MOST_DIGITS:
        raise BadContext(f"{_shown(place)}: this is no number of at most {MOST_DIGITS} digits.")


def _shown(place: str) -> str:
    return _clean(place)[:_SHOWN] or '""'


def _clean(text: str) -> str:
    if text.isascii():
        return text.replace("\0", "")
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


def read_json(text: str) -> Any:
    """JSON that is stored already: a number too long for Python is its text, and what is nested too deeply null."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.loads(text, parse_int=_number_or_text)
    except RecursionError:
        return json.loads(_flattened(text), parse_int=_number_or_text)


def _number_or_text(digits: str) -> int | str:
    return int(digits) if len(digits) <= 4000 else digits


def _flattened(text: str) -> str:
    """The JSON with null for whatever lies deeper than twice `DEEPEST`: a row's own lists are around a context."""
    kept: list[str] = []
    depth, is_text, is_escaped, start = 0, False, False, 0
    for index, char in enumerate(text):
        if is_text:
            is_text, is_escaped = is_escaped or char != '"', char == "\\" and not is_escaped
        elif char == '"':
            is_text = True
        elif char in "[{":
            depth += 1
            if depth == 2 * DEEPEST:
                kept.append(text[start:index] + "null")
        elif char in "]}":
            if depth == 2 * DEEPEST:
                start = index + 1
            depth -= 1
    return "".join([*kept, text[start:]])


def sound_context(stored: Any) -> dict[str, Any]:
    """What is told of a context that is stored: nothing of it may keep an answer or a page from being written."""
    return sound(stored) if isinstance(stored, dict) else {}


def sound(value: Any, levels_left: int = 2 * DEEPEST) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        return {_clean(name): sound(entry, levels_left - 1) for name, entry in value.items()} if levels_left else None
    if isinstance(value, list):
        return [sound(entry, levels_left - 1) for entry in value] if levels_left else None
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value
