"""What an entry of a file says, put into an unsaved row, with what is wrong with it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from automations.exchange.entries import NAMED, Entry
from automations.texts.names import sound

_NOT_GIVEN = object()

Named = Mapping[str, Mapping[str, Any]]


def named_by(entries: Iterable[Entry], fields: Iterable[str]) -> Named:
    """What the entries name of others in these fields, by that name. One query for each field."""
    found: dict[str, dict[str, Any]] = {}
    for name in fields:
        model, key = NAMED[name]
        lists = [keys for entry in entries if are_texts(keys := entry.get(name, []))]
        keys = {key for keys in lists for key in keys}
        rows = model._default_manager.filter(**{f"{key}__in": keys})
        found[name] = {str(getattr(row, key)): row for row in rows}
    return found


def chosen_by(entry: Entry, named: Named) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
    """The rows that the entry names, by field, and what is wrong with its names."""
    chosen: dict[str, list[Any]] = {}
    problems = {}
    for name, known in named.items():
        keys = entry.get(name, [])
        if not are_texts(keys):
            problems[name] = ["It is a list of texts."]
            continue
        unknown = [key for key in keys if key not in known]
        if unknown:
            problems[name] = [f"There is none here called “{key[:100]}”." for key in unknown]
        chosen[name] = [known[key] for key in dict.fromkeys(keys) if key in known]
    return chosen, problems


def names_of_chosen(chosen: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    return {name: [str(getattr(one, NAMED[name][1])) for one in ones] for name, ones in chosen.items()}


def wanted_secrets(entry: Entry, problems: dict[str, list[str]]) -> list[str]:
    """The names of the secrets that the entry asks for; none where that is no list of names."""
    wanted = entry.get("secrets", [])
    if are_texts(wanted):
        return list(wanted)
    problems["secrets"] = ["It is a list of names."]
    return []


def fill_row(row: models.Model, entry: Entry, fields: Sequence[str], others: Sequence[str]) -> dict[str, list[str]]:
    """Set the row's fields to what the entry says, or to what is usual. Returns what is wrong, by field."""
    problems = {name[:100]: ["There is no such field."] for name in entry.keys() - set(fields) - set(others)}
    for name in fields:
        column: Any = row._meta.get_field(name)
        value = entry.get(name, _NOT_GIVEN)
        if value is _NOT_GIVEN or (value is None and column.null):
            value = column.get_default()
        if not may_be_stored(value):
            problems[name] = ["It holds a character that cannot be stored."]
        elif not _is_fit(column.get_internal_type(), value):
            problems[name] = ["It is a value of another kind."]
        else:
            setattr(row, name, value)
    left_out = {column.name for column in row._meta.fields} - set(fields)
    try:
        if not problems:
            row.full_clean(exclude=left_out)
    except ValidationError as error:
        problems |= error.message_dict
    return problems


def _is_fit(column_type: str, value: Any) -> bool:
    """What Django would make a text or a number of although it is none."""
    if column_type == "JSONField":
        return isinstance(value, list)
    if isinstance(value, bool) or column_type == "BooleanField":
        return isinstance(value, bool) and column_type == "BooleanField"
    return not isinstance(value, (dict, list, float))


def may_be_stored(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(may_be_stored, value))
    return not isinstance(value, str) or ("\x00" not in value and sound(value) == value)


def are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) and may_be_stored(value) for value in values)
