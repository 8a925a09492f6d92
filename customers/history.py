"""Who changed what on an object and on the rows that belong to it, and what every field was before and after."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format

from customers.masking import shown_email, shown_number, shown_text

NOTHING = "–"
_LEFT_OUT = frozenset({"id", "key", "created_at", "secret_sha256"})
_BLANK_MEANS = {
    "amount": "unlimited",
    "channel": "all",
    "agent": "all",
    "allowed_channels": "all",
    "valid_from": "since ever",
    "valid_until": "for ever",
    "expires_at": "never",
}

# Fields that hold callers' numbers and addresses, or texts that may.
_SHOWN_BY: dict[tuple[str, str], Callable[[str], str]] = {
    ("customers.phonenumber", "number"): shown_number,
    ("customers.customer", "email"): shown_email,
    ("customers.customer", "notes"): shown_text,
    ("customers.customer", "context"): shown_text,
    ("customers.limitoverride", "note"): shown_text,
    ("customers.topup", "note"): shown_text,
    ("customers.tierchange", "note"): shown_text,
    ("customers.customerchange", "note"): shown_text,
}


@dataclass(frozen=True)
class Part:
    """A model whose rows belong to the object by the foreign key `parent`."""

    model: type[models.Model]
    parent: str


@dataclass(frozen=True)
class FieldChange:
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class RowChange:
    """`action` is "added", "changed" or "removed"."""

    kind: str
    what: str
    action: str
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True)
class Entry:
    """One save: what one person or key changed at once. `user_id` is the person's."""

    at: datetime
    who: str
    why: str
    rows: tuple[RowChange, ...]
    user_id: int | None = None


@dataclass(frozen=True)
class Step:
    """One historical record with the one before it. The records are simple-history's own models."""

    model: type[models.Model]
    before: Any
    after: Any

    @property
    def row(self) -> tuple[str, Any]:
        return self.model._meta.label, getattr(self.after, self.model._meta.pk.attname)

    @property
    def save(self) -> tuple[datetime, Any, Any]:
        """What all steps of one save have alike, and no other's of the same object: see `Records`."""
        return self.after.history_date, self.after.history_user_id, self.after.history_change_reason


def moment_words(moment: datetime) -> str:
    """Such as "Fri 27 Nov 2026, 18:00:05", in the company's time zone."""
    return date_format(timezone.localtime(moment), "D j M Y, H:i:s")


def history_points(model: type[models.Model], parts: Sequence[Part] = ()) -> dict[str, int]:
    """How far the histories of a model and its parts go now, for `history_of`'s `after`."""
    kept = {kind._meta.label: records_of(kind) for kind in (model, *(part.model for part in parts))}
    return {
        label: records._base_manager.aggregate(last=models.Max("history_id"))["last"] or 0
        for label, records in kept.items()
    }


def history_of(
    model: type[models.Model], pk: Any, parts: Sequence[Part] = (), *, after: Mapping[str, int] | None = None
) -> list[Entry]:
    """Every save of the object and its parts, the newest first; parts that are gone or have moved away included.

    `after` is what `history_points` gave: then only what was saved since.
    """
    steps = list(_steps(model, model._meta.pk.attname, pk))
    for part in parts:
        parent = f"{part.parent}_id"
        steps.extend(step for step in _steps(part.model, parent, pk) if _is_of(step, parent, pk))
    if after is not None:
        steps = [step for step in steps if step.after.history_id > after.get(step.model._meta.label, 0)]
    steps.sort(key=lambda step: step.after.history_date)
    names = _Names(steps, {part.model: part.parent for part in parts})
    entries = [_entry(save, names) for save in _saves(steps)]
    return [entry for entry in reversed(entries) if entry.rows]


def told(saves: Sequence[Sequence[Step]], parents: dict[type[models.Model], str]) -> list[Entry]:
    """What some saves did, each with its steps in order of time. `parents` are foreign keys as in `Part`, by model."""
    names = _Names([step for save in saves for step in save], parents)
    return [_entry(save, names) for save in saves]


def steps_with_before(model: type[models.Model], history_ids: Iterable[int]) -> dict[int, Step]:
    """These records of a model, each with the one before it. Two statements, however long the histories are."""
    kept = records_of(model)
    attname = model._meta.pk.attname
    at_once = models.Q(
        history_date=models.OuterRef("history_date"), history_id__lt=models.OuterRef("history_id")
    ) | models.Q(history_date__lt=models.OuterRef("history_date"))
    earlier = kept._base_manager.filter(at_once, **{attname: models.OuterRef(attname)})
    last = models.Subquery(earlier.order_by("-history_date", "-history_id").values("pk")[:1])
    records = list(kept._base_manager.filter(pk__in=list(history_ids)).annotate(before_id=last))
    before = kept._base_manager.in_bulk([record.before_id for record in records if record.before_id is not None])
    return {record.pk: Step(model, before.get(record.before_id), record) for record in records}


@cache
def records_of(model: type[models.Model]) -> Any:
    """The model of its historical records, which simple-history makes a class to get at."""
    return model.history.model  # type: ignore[attr-defined]


def _steps(model: type[models.Model], column: str, value: Any) -> Iterable[Step]:
    """Of all rows that had the value once. As SQL, since most have no step, and the ORM takes a millisecond to ask."""
    kept = records_of(model)
    table, attname = kept._meta.db_table, model._meta.pk.attname
    mine = f"SELECT {attname} FROM {table} WHERE {column} = %s"
    records = f"SELECT * FROM {table} WHERE {attname} IN ({mine}) ORDER BY history_date, history_id"
    before: dict[Any, Any] = {}
    for record in kept._base_manager.raw(records, [value]):
        row = getattr(record, attname)
        yield Step(model, before.get(row), record)
        before[row] = record


def _is_of(step: Step, parent: str, pk: Any) -> bool:
    """A number that moved is of both customers, but each sees its own time alone."""
    return str(pk) in (str(getattr(step.after, parent)), str(getattr(step.before, parent, None)))


def _saves(steps: Iterable[Step]) -> Iterable[list[Step]]:
    saves: dict[Any, list[Step]] = defaultdict(list)
    for step in steps:
        saves[step.save].append(step)
    return saves.values()


def _entry(save: Sequence[Step], names: "_Names") -> Entry:
    rows: dict[tuple[str, Any], Step] = {}
    for step in save:
        # A save may write a row twice: what matters is how it was before the first time and after the last.
        first = rows.get(step.row, step)
        rows[step.row] = Step(step.model, first.before, step.after)
    changes = (_row_change(step, names) for step in rows.values())
    last = save[-1].after
    # An API key is no user: the reason says whose change it was.
    # It may hold what somebody wrote: why a tier was changed, the note of what was scheduled.
    who, reason = names.who(last), shown_text(last.history_change_reason or "")
    why = reason if who else ""
    rows_changed = tuple(change for change in changes if change)
    return Entry(last.history_date, who or reason or "Frontdesk", why, rows_changed, last.history_user_id)


def _row_change(step: Step, names: "_Names") -> RowChange | None:
    before, after = step.before, step.after
    if after.history_type == "-":
        if before is None:
            return None
        action, shown, after = "removed", before, None
    else:
        action, shown = ("added" if before is None else "changed"), after
    changes = tuple(_field_changes(step.model, before, after, names))
    if action == "changed" and not changes:
        return None
    return RowChange(str(step.model._meta.verbose_name), _title(shown), action, changes)


def _title(record: Any) -> str:
    return str(record.instance)


def _field_changes(model: type[models.Model], before: Any, after: Any, names: "_Names") -> Iterable[FieldChange]:
    for field in names.fields(model):
        old = NOTHING if before is None else names.value(field, before)
        new = NOTHING if after is None else names.value(field, after)
        both = before is not None and after is not None
        if old != new and (both or names.says_something(field, before or after)):
            yield FieldChange(_label(field), old, new)


def _label(field: Any) -> str:
    name = str(field.verbose_name)
    return name[:1].upper() + name[1:]


class _Names:
    """Fields' values as words. What foreign keys point to is read once for all records."""

    def __init__(self, steps: list[Step], parents: dict[type[models.Model], str]) -> None:
        self._parents = parents
        self._chosen: dict[tuple[type[models.Model], Any], list[str]] = {}
        self._users = get_user_model()._base_manager.in_bulk({step.after.history_user_id for step in steps} - {None})
        related: dict[type[models.Model], set[Any]] = defaultdict(set)
        for model in {step.model for step in steps}:
            records = [
                record for step in steps if step.model is model for record in (step.before, step.after) if record
            ]
            for field in self.fields(model):
                if field.many_to_many:
                    self._read_chosen(model, field, records)
                elif field.remote_field:
                    related[field.related_model].update(getattr(record, field.attname) for record in records)
        self._related = {model: names_of(model, ids - {None}) for model, ids in related.items()}

    def fields(self, model: type[models.Model]) -> list[Any]:
        tracked = getattr(records_of(model), "tracked_fields", [])
        chosen = getattr(records_of(model), "_history_m2m_fields", [])
        return [field for field in [*tracked, *chosen] if field.name not in _LEFT_OUT]

    def _read_chosen(self, model: type[models.Model], field: Any, records: list[Any]) -> None:
        kept = getattr(records_of(model), field.name).model
        target = field.m2m_reverse_field_name()
        rows = kept._base_manager.filter(history__in=[record.history_id for record in records]).select_related(target)
        for row in rows:
            self._chosen.setdefault((model, row.history_id), []).append(str(getattr(row, target)))

    def who(self, record: Any) -> str:
        """Blank where it was nobody who signs in."""
        user = self._users.get(record.history_user_id)
        return str(user.get_full_name() or user.get_username()) if user else ""

    def says_something(self, field: Any, record: Any) -> bool:
        """Whether a new or removed row's field is worth a line: an override without an amount is."""
        if field.name == self._parents.get(field.model):
            return False
        return field.name == "amount" or self.value(field, record) not in (NOTHING, _BLANK_MEANS.get(field.name))

    def value(self, field: Any, record: Any) -> str:
        blank = _BLANK_MEANS.get(field.name, NOTHING)
        if field.many_to_many:
            return ", ".join(sorted(self._chosen.get((field.model, record.history_id), []))) or blank
        value = getattr(record, field.attname)
        if value in (None, "", {}, []):
            return blank
        if field.remote_field:
            return self._related[field.related_model].get(value, str(value))
        return _SHOWN_BY.get((field.model._meta.label_lower, field.name), str)(_words(field, value))


def names_of(model: type[models.Model], ids: set[Any]) -> dict[Any, str]:
    """What rows are called, those that are gone included."""
    found = model._base_manager.in_bulk(ids)
    return {pk: str(found[pk]) if pk in found else f"{pk} (deleted)" for pk in ids}


def _words(field: Any, value: Any) -> str:
    if field.choices:
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment_words(value)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return str(value)
