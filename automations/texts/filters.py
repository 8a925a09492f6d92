"""The filters that texts may use. Each one's result is bounded, so that no chain of them can grow without end."""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps

from liquid import Environment
from liquid.builtin.filters import array, misc, string
from liquid.builtin.filters import math as numbers
from liquid.undefined import is_undefined

LARGEST_TEXT = 64 * 1024
LONGEST_LIST = 10_000
LARGEST_INTEGER = 10**18
LONGEST_DATE_FORMAT = 100
# Directives that the C library pads to any width (`%999999999d`) are left out by allowing a letter alone.
_DIRECTIVE = re.compile(r"%(-?[aAbBdeGHIjklmMpPSTuVwyYFDRzZ]|%)")


class TooMuch(Exception):
    """A text asks for more than it may have: size, rounds or time."""


def text_of(value: object) -> str:
    """A value as a text shows it: empty for none, true and false, lists with commas, objects as JSON."""
    if value is None or is_undefined(value):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    is_nested = isinstance(value, (list, tuple)) and any(isinstance(item, (list, tuple, dict)) for item in value)
    if is_nested or isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, default=text_of)
    if isinstance(value, (list, tuple)):
        return ", ".join(text_of(item) for item in value)
    return str(value)


def bounded(result: object) -> object:
    """The same; raises TooMuch for what is larger than a text may hold."""
    if isinstance(result, str) and len(result) > LARGEST_TEXT:
        raise TooMuch("A filter makes a text of more than 64 KB.")
    if isinstance(result, list) and len(result) > LONGEST_LIST:
        raise TooMuch("A filter makes a list of more than 10,000 items.")
    if isinstance(result, int) and abs(result) > LARGEST_INTEGER:
        raise TooMuch("A number is larger than 1,000,000,000,000,000,000.")
    if isinstance(result, float) and not math.isfinite(result):
        raise TooMuch("A number is too large.")
    return result


def _with_bounds(function: Callable[..., object], *, of_text: bool) -> Callable[..., object]:
    """The function with what goes in and what comes out bounded, and `of_text` with its value as a text shows it."""

    # `wraps` keeps the marks by which the library passes its environment.
    @wraps(function)
    def filter_with_bounds(value: object, *arguments: object, **options: object) -> object:
        for given in (value, *arguments):
            bounded(given)
        return bounded(function(text_of(value) if of_text else value, *arguments, **options))

    return filter_with_bounds


def append(value: str, after: object) -> str:
    return value + text_of(after)


def prepend(value: str, before: object) -> str:
    return text_of(before) + value


def replace(value: str, old: object, new: object = "") -> str:
    # Counted first: one call could otherwise make gigabytes.
    found, put_in = text_of(old), text_of(new)
    if len(value) + value.count(found) * len(put_in) > LARGEST_TEXT:
        raise TooMuch("A filter makes a text of more than 64 KB.")
    return value.replace(found, put_in)


def remove(value: str, old: object) -> str:
    return value.replace(text_of(old), "")


def join(value: object, between: object = ", ") -> str:
    items = [text_of(item) for item in value] if isinstance(value, list) else [text_of(value)]
    separator = text_of(between)
    if sum(len(item) for item in items) + len(separator) * len(items) > LARGEST_TEXT:
        raise TooMuch("A filter makes a text of more than 64 KB.")
    return separator.join(items)


def base64_encode(value: str) -> str:
    return base64.b64encode(value.encode("utf-8", "replace")).decode()


def date(value: object, form: object) -> object:
    """A moment by strftime's letters, such as `%d.%m.%Y %H:%M`, at the offset it is written with.

    Frontdesk's own moments have the company's. What is no ISO 8601 text is given back as it is.
    """
    moment = _moment(value)
    pattern = text_of(form)
    if moment is None:
        return "" if value is None or is_undefined(value) else value
    if len(pattern) > LONGEST_DATE_FORMAT or "%" in _DIRECTIVE.sub("", pattern):
        raise TooMuch("“date” takes letters as in %Y-%m-%d %H:%M, and at most 100 characters.")
    return moment.strftime(pattern)


def utc(value: object) -> object:
    """A moment as 2026-11-28T12:02:00Z, as many APIs ask for it; without an offset it is taken as UTC's."""
    moment = _moment(value)
    if moment is None:
        return "" if value is None or is_undefined(value) else value
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


OF_TEXT: dict[str, Callable[..., object]] = {
    "append": append,
    "base64_encode": base64_encode,
    "capitalize": string.capitalize,
    "downcase": string.downcase,
    "escape": string.escape,
    "lstrip": string.lstrip,
    "prepend": prepend,
    "remove": remove,
    "replace": replace,
    "rstrip": string.rstrip,
    "split": string.split,
    "squish": string.squish,
    "strip": string.strip,
    "strip_newlines": string.strip_newlines,
    "truncate": string.truncate,
    "truncatewords": string.truncatewords,
    "upcase": string.upcase,
    "url_encode": string.url_encode,
}
OF_ANYTHING: dict[str, Callable[..., object]] = {
    "abs": numbers.abs_,
    "at_least": numbers.at_least,
    "at_most": numbers.at_most,
    "ceil": numbers.ceil,
    "compact": array.compact,
    "date": date,
    "default": misc.default,
    "divided_by": numbers.divided_by,
    "first": array.first,
    "floor": numbers.floor,
    "join": join,
    "last": array.last,
    "map": array.map_,
    "minus": numbers.minus,
    "modulo": numbers.modulo,
    "plus": numbers.plus,
    "reverse": array.reverse,
    "round": numbers.round_,
    "size": misc.size,
    "sort": array.sort,
    "sum": array.sum_,
    "times": numbers.times,
    "utc": utc,
    "where": array.where,
}
FILTERS: dict[str, Callable[..., object]] = {
    **{name: _with_bounds(function, of_text=True) for name, function in OF_TEXT.items()},
    **{name: _with_bounds(function, of_text=False) for name, function in OF_ANYTHING.items()},
}


def add_filters(environment: Environment) -> None:
    """These and no others."""
    for name, function in FILTERS.items():
        environment.add_filter(name, function)
