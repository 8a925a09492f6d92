"""A context as rows of key and value, with JSON below them for values that are no plain text."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from customers.context import BadContext, check_context, parse_context

# More texts than these are shown as JSON: a request has a thousand fields at most.
MOST_SHOWN = 50
EMPTY_ROWS = 3
# As many rows are read; nobody is shown more.
MOST_READ = 2 * MOST_SHOWN


@dataclass(frozen=True)
class GivenRows:
    """What somebody gave: rows of key and value as they were written, and the JSON below them."""

    rows: tuple[tuple[str, str], ...]
    rest: str


def split(context: Mapping[str, Any]) -> GivenRows:
    """A stored context as the form shows it: short plain texts as rows, and the rest as JSON."""
    rows: list[tuple[str, str]] = []
    rest: dict[str, Any] = {}
    for key, value in context.items():
        if isinstance(value, str) and len(rows) < MOST_SHOWN and _is_plain(key) and key and _is_plain(value):
            rows.append((key, value))
        else:
            rest[key] = value
    return GivenRows(tuple(rows), json.dumps(rest, indent=2, ensure_ascii=False) if rest else "")


def _is_plain(text: str) -> bool:
    """Whether a box of one line gives it back just as it is; a key's box takes spaces off."""
    return text == text.strip() and text.isprintable()


def joined(given: GivenRows) -> Any:
    """The context of what was given. Raises ValidationError that names the key at fault."""
    try:
        context = parse_context(given.rest) if given.rest.strip() else {}
    except BadContext as error:
        raise ValidationError(f"JSON: {error}") from error
    if not isinstance(context, dict):
        return context  # `check_context` says what it should be
    texts: dict[str, str] = {}
    for number, (key, value) in enumerate((row for row in given.rows if any(row)), 1):
        if not key:
            raise ValidationError(f"Row {number}: give “{value[:40]}” a key, or empty the row.")
        if key in texts or key in context:
            where = "in two rows" if key in texts else "in a row and in the JSON below"
            raise ValidationError(f"The key “{key[:40]}” is given {where}. Leave one of them out.")
        texts[key] = value
    return {**texts, **context}


class ContextRows(forms.Textarea):
    """Rows of two boxes each, `context_key_0` and `context_value_0`, and the text box of the field's own name.

    Alone that box may hold the whole context. Without a script, saving brings empty rows again.
    """

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        text = super().value_from_datadict(data, files, name)
        rows = tuple(_given(data, name))
        return GivenRows(rows, text or "") if rows else text

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return name not in data and f"{name}_key_0" not in data

    def id_for_label(self, id_: str, index: Any = None) -> str:
        return ""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        shown = value if isinstance(value, GivenRows) else _read(value)
        rows = [row for row in shown.rows if any(row)] + [("", "")] * EMPTY_ROWS
        of_text = {**(attrs or {}), "aria-label": "Other values, as JSON"}
        text = super().render(name, shown.rest, of_text, renderer)
        context = {"name": name, "rows": rows, "text": text, "has_rest": bool(shown.rest)}
        return SafeString(render_to_string("admin/customers/context_rows.html", context))


def _read(value: Any) -> GivenRows:
    """Rows of a context's text. One that is refused is shown as it was written."""
    if not value:
        return GivenRows((), "")
    try:
        context = parse_context(value)
        check_context(context)
    except BadContext:
        return GivenRows((), value)
    return split(context)


def _given(data: Mapping[str, Any], name: str) -> Iterable[tuple[str, str]]:
    for index in range(MOST_READ):
        key = data.get(f"{name}_key_{index}")
        if key is None:
            return
        yield key.strip(), data.get(f"{name}_value_{index}", "").strip()
