"""Rows of models without `Model.__init__`, which goes through every field and its descriptor again.

A begin spent as long on that, for its session, as on deciding.

For models that take their values as they are: no signal of theirs is heard, and nothing is checked.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, models
from django.db.models.base import ModelState

Row = TypeVar("Row", bound=models.Model)


def new_row(model: type[Row], **values: Any) -> Row:
    """As `model(**values)`, with the columns' attributes alone: `customer_id`, not `customer`."""
    row = model.__new__(model)
    row._state = ModelState()
    attributes = row.__dict__
    constants, made = _defaults(model)
    attributes.update(constants)
    for name, make in made:
        attributes[name] = make()
    attributes.update(values)
    return row


def stored_row(model: type[Row], attributes: Iterable[str], values: Iterable[Any]) -> Row:
    """As `model.from_db`: the attributes that are not given are read where they are asked for."""
    row = model.__new__(model)
    row._state = state = ModelState()
    state.adding, state.db = False, DEFAULT_DB_ALIAS
    row.__dict__.update(zip(attributes, values, strict=True))
    return row


@cache
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """What each new row starts with, and what is made again for each, such as a list."""
    fields = model._meta.concrete_fields
    made = {field.attname: field.default for field in fields if field.has_default() and callable(field.default)}
    constants = {field.attname: field.get_default() for field in fields if field.attname not in made}
    return constants, list(made.items())
