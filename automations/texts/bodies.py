"""Bodies of requests: JSON, forms and plain text, as bytes.

A JSON body is parsed first and each of its strings is filled by itself, so no value can break it or add to it. Values
alone are filled: keys are sent as they are written.
"""

import json
import math
from collections.abc import Mapping
from typing import NoReturn

from liquid.undefined import is_undefined

from automations.texts.escapes import Escape, as_it_is, escape_form
from automations.texts.filters import LARGEST_TEXT, text_of
from automations.texts.liquid import (
    LONGEST_SOURCE,
    MOST_PROBLEMS,
    Budget,
    TextError,
    Unescaped,
    check,
    fill,
    value_or_text,
)
from automations.texts.names import sample_data, sound

DEEPEST_BODY = 20
LARGEST_BODY = LARGEST_TEXT


class _BadJson(ValueError):
    """Sound to Python's parser, yet nothing to send."""


def check_json_body(text: str) -> list[str]:
    """What keeps a JSON body from being saved, in sentences for staff; nothing where it is sound."""
    try:
        document = _parsed(text)
    except TextError as error:
        return error.problems
    problems = [
        f"{where or 'The body'}: {problem}" for where, string in _strings(document, "") for problem in check(string)
    ]
    if problems or "customer.context" in text:
        return problems[:MOST_PROBLEMS]
    try:
        fill_json_body(text, sample_data())
    except TextError as error:
        return error.problems
    return []


def fill_json_body(text: str, data: Mapping[str, object], escape: Escape = as_it_is) -> bytes:
    """The body as UTF-8. A string that is one placeholder alone becomes its value: a number, true, null, a list …

    Every text of a value goes through `escape`, within lists and objects too. Raises TextError where `check_json_body`
    finds something, and beyond 64 KB, 20 levels, or the bounds that all strings share.
    """
    budget = Budget()
    filled = _filled(_parsed(text), data, escape, budget, 0)
    body = json.dumps(filled, ensure_ascii=False, allow_nan=False).encode()
    if len(body) > LARGEST_BODY:
        raise TextError(["The body is larger than 64 KB."])
    return body


def fill_form_body(text: str, data: Mapping[str, object]) -> bytes:
    """A form such as `name={{ customer.name }}&id={{ session.id }}`, each value encoded. Raises TextError."""
    return _bytes_of(fill(text, data, escape_form))


def fill_plain_body(text: str, data: Mapping[str, object], escape: Escape = as_it_is) -> bytes:
    """Plain text as UTF-8. Raises TextError."""
    return _bytes_of(fill(text, data, escape))


def _bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _parsed(text: str) -> object:
    """Raises TextError for what is no JSON, is too large or too deep, has a key twice, or NaN."""
    if len(_bytes_of(text)) > LONGEST_SOURCE:
        raise TextError([f"A body has at most {LONGEST_SOURCE // 1024} KB."])
    try:
        document = json.loads(text, object_pairs_hook=_object, parse_constant=_refused, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise TextError([f"Line {error.lineno}: this is no JSON ({error.msg}). {_HINT}"]) from error
    except RecursionError as error:
        raise TextError([f"The body is nested more than {DEEPEST_BODY} levels deep."]) from error
    except ValueError as error:
        raise TextError([f"This is no JSON to send: {error}."]) from error
    _refuse_depth(document, 0)
    return document


_HINT = "Placeholders stand within quotes; one that stands there alone becomes a number or null by itself."


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _BadJson(f"the key “{next(key for key in keys if keys.count(key) > 1)}” is there twice")
    return {sound(key): value for key, value in found.items()}


def _refused(constant: str) -> NoReturn:
    raise _BadJson(f"{constant} is no number of JSON's")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _BadJson(f"{digits} is too large")
    return number


def _refuse_depth(value: object, depth: int) -> None:
    if depth >= DEEPEST_BODY and isinstance(value, (dict, list)):
        raise TextError([f"The body is nested more than {DEEPEST_BODY} levels deep."])
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        _refuse_depth(item, depth + 1)


def _strings(value: object, where: str) -> list[tuple[str, str]]:
    """Each string of the body with the JSON pointer to it."""
    if isinstance(value, str):
        return [(where, value)]
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in _strings(item, f"{where}/{key}")]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in _strings(item, f"{where}/{index}")]
    return []


def _filled(value: object, data: Mapping[str, object], escape: Escape, budget: Budget, depth: int) -> object:
    if isinstance(value, dict):
        return {key: _filled(item, data, escape, budget, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, data, escape, budget, depth + 1) for item in value]
    if not isinstance(value, str):
        return value
    made = value_or_text(value, data, escape, budget)
    return _escaped(made.value, escape, budget, depth) if isinstance(made, Unescaped) else sound(made)


def _escaped(value: object, escape: Escape, budget: Budget, depth: int) -> object:
    """A placeholder's own value as JSON has it, every text in it escaped, keys too. Spends what it takes of the budget.

    The template language has values that JSON lacks, such as `empty`; they become null.
    """
    if depth >= DEEPEST_BODY and isinstance(value, (Mapping, list, tuple)):
        raise TextError([f"A value would nest the body more than {DEEPEST_BODY} levels deep."])
    budget.size -= 1
    if budget.size < 0:
        raise TextError(["The body is larger than 64 KB."])
    if value is None or is_undefined(value):
        return None
    if isinstance(value, (bool, int)):
        budget.size -= value.bit_length() // 4
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {escape(sound(text_of(key))): _escaped(item, escape, budget, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escaped(item, escape, budget, depth + 1) for item in value]
    if not isinstance(value, str):
        return None
    budget.size -= len(value)
    return escape(sound(value))
