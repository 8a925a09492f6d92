"""What an entry of a file says, put into an unsaved row, with what is wrong with it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from automations.exchange.entries import NAMED, Entry
from automations.texts.destinations import SECRET_NAME
from automations.texts.names import sound

MOST_NAMES, MOST_SECRETS, MOST_UNKNOWN = 1000, 20, 20
ASKED_AT_ONCE = 500

_NOT_GIVEN = object()

Named = Mapping[str, Mapping[str, Any]]


def named_by(entries: Iterable[Entry], fields: Iterable[str]) -> Named:
    """What the entries name of others in these fields, by that name."""
    entries = list(entries)
    found: dict[str, dict[str, Any]] = {}
    for name in fields:
        model, key = NAMED[name]
        lists = [keys for entry in entries if are_texts(keys := entry.get(name, []))]
        wanted = iter({key for keys in lists for key in keys})
        found[name] = {}
        while some := list(islice(wanted, ASKED_AT_ONCE)):
            rows = model._default_manager.filter(**{f"{key}__in": some})
            found[name] |= {str(getattr(row, key)): row for row in rows}
    return found


def chosen_by(entry: Entry, named: Named) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
    """The rows that the entry names, by field, and what is wrong with its names."""
    chosen: dict[str, list[Any]] = {}
    problems = {}
    for name, known in named.items():
        keys = entry.get(name, [])
        if not are_texts(keys):
            problems[name] = [f"It is a list of texts, {MOST_NAMES:,} at most."]
            continue
        unknown = [key for key in keys if key not in known]
        if unknown:
            problems[name] = [f"There is none here called “{key[:100]}”." for key in unknown[:MOST_UNKNOWN]]
        if len(unknown) > MOST_UNKNOWN:
            problems[name].append(f"And {len(unknown) - MOST_UNKNOWN} more are unknown here.")
        chosen[name] = [known[key] for key in dict.fromkeys(keys) if key in known]
    return chosen, problems


def names_of_chosen(chosen: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    return {name: [str(getattr(one, NAMED[name][1])) for one in ones] for name, ones in chosen.items()}


def wanted_secrets(entry: Entry, problems: dict[str, list[str]]) -> list[str]:
    """The names of the secrets that the entry asks for; none where that is no list of names."""
    wanted = entry.get("secrets", [])
    if are_texts(wanted) and len(wanted) <= MOST_SECRETS and all(map(SECRET_NAME.fullmatch, wanted)):
        return list(dict.fromkeys(wanted))
    problems["secrets"] = [f"It is a list of names, {MOST_SECRETS} at most, each of letters, digits, _ and -."]
    return []


def fill_row(row: models.Model, entry: Entry, fields: Sequence[str], others: Sequence[str]) -> dict[str, list[str]]:
    """Set the row's fields to what the entry says, or to what is usual. Returns what is wrong, by field."""
    problems = {name[:100]: ["There is no such field."] for name in entry.keys() - set(fields) - set(others)}
    for name in fields:
        column: Any = row._meta.get_field(name)
        value = entry.get(name, _NOT_GIVEN)
        if value is _NOT_GIVEN or (value is None and column.null):
            value = column.get_default()
        elif not _is_fit(column.get_internal_type(), value):
            problems[name] = ["It is a value of another kind."]
            continue
        elif not may_be_stored(value):
            problems[name] = ["It holds a character that cannot be stored."]
            continue
        is_line = isinstance(value, str) and column.get_internal_type() == "CharField"
        setattr(row, name, value.strip() if is_line else value)  # as forms do
    left_out = {column.name for column in row._meta.fields} - set(fields)
    try:
        if not problems:
            row.full_clean(exclude=left_out)
    except ValidationError as error:
        problems |= error.message_dict
    return problems


def given_values(row: models.Model, fields: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row's values, and what is usual."""
    usual = {name: row._meta.get_field(name).get_default() for name in fields}  # type: ignore[union-attr]
    return {name: getattr(row, name) for name in usual}, usual


def _is_fit(column_type: str, value: Any) -> bool:
    """What Django would make a text or a number of although it is none."""
    if column_type == "JSONField":
        return isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value)
    if isinstance(value, bool) or column_type == "BooleanField":
        return isinstance(value, bool) and column_type == "BooleanField"
    if column_type in ("CharField", "TextField", "TimeField"):
        return isinstance(value, str)
    return isinstance(value, (int, str))


def may_be_stored(value: Any) -> bool:
    """Of a list, each of its items."""
    texts = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
    return all("\x00" not in text and sound(text) == text for text in texts)


def are_texts(values: Any) -> bool:
    """Whether it is a list of texts, and not too long a one."""
    if not isinstance(values, list) or len(values) > MOST_NAMES:
        return False
    return all(isinstance(value, str) for value in values) and may_be_stored(values)
