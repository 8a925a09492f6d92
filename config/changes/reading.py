"""Changes as pages tell them: by whom, when, of what, and every field before and after."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import DELETION, LogEntry
from django.db import models

from config.changes.kinds import Kind, ranks
from config.changes.places import Place, Wanted, newest_places, places_before
from customers.history import Entry, Step, names_of, steps_with_before, told
from customers.keyset import Page, page_beside


@dataclass(frozen=True)
class Change:
    """A save of one object, or what is shown of it. `words` are the admin's own, where it keeps no more."""

    kind: Kind
    name: str
    address: str
    entry: Entry
    words: str = ""


@dataclass(frozen=True)
class Record:
    """A historical record with the one before it, or an entry of the admin's log, and the object that it is of."""

    kind: Kind
    pk: Any
    place: Place
    step: Step | None
    logged: LogEntry | None

    @property
    def save(self) -> tuple[Any, ...]:
        """Alike for all records of one save of one object."""
        return (self.kind, self.pk, self.place if self.step is None else self.step.save)


def record_page(wanted: Wanted, after: Place | None, before: Place | None, size: int) -> Page[Record]:
    """A page of records, the newest first; as fast wherever it is."""
    return page_beside(
        after,
        before,
        size,
        lambda place, count: _read(newest_places(wanted, place, count), wanted.kinds),
        lambda place, count: _read(places_before(wanted, place, count), wanted.kinds),
    )


def newest_records(wanted: Wanted, count: int) -> list[Record]:
    return _read(newest_places(wanted, None, count), wanted.kinds)


def _read(places: Sequence[tuple[int, int]], kinds: Sequence[Kind]) -> list[Record]:
    """The records at these places, in that order."""
    by_rank: dict[int, list[int]] = defaultdict(list)
    for rank, pk in places:
        by_rank[rank].append(pk)
    owners = {model: (kind, owner) for kind in kinds if kind.parts is not None for model, owner in kind.models}
    found: dict[tuple[int, int], Record] = {}
    for model, rank in ranks().items():
        if rank not in by_rank:
            continue
        if model is LogEntry:
            found |= {(rank, record.place.pk): record for record in _logged(by_rank[rank], rank, kinds)}
            continue
        kind, owner = owners[model]
        for pk, step in steps_with_before(model, by_rank[rank]).items():
            place = Place(step.after.history_date, rank, pk)
            found[rank, pk] = Record(kind, getattr(step.after, owner), place, step, None)
    # One may be deleted by now.
    return [found[place] for place in places if place in found]


def _logged(pks: Iterable[int], rank: int, kinds: Sequence[Kind]) -> Iterable[Record]:
    by_model = {kind.model: kind for kind in kinds}
    for entry in LogEntry.objects.filter(pk__in=list(pks)).select_related("user", "content_type"):
        model = entry.content_type.model_class() if entry.content_type else None
        if model in by_model:
            yield Record(by_model[model], entry.object_id, Place(entry.action_time, rank, entry.pk), None, entry)


def changes_of(records: Sequence[Record]) -> list[Change]:
    """What they tell, those of one save together. What changed nothing that is kept is left out."""
    by_save: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        by_save[record.save].append(record)
    saves = list(by_save.values())
    parents: dict[type[models.Model], str] = {}
    for record in records:
        parents |= {part.model: part.parent for part in record.kind.parts or ()}
    steps = [[record.step for record in reversed(save) if record.step is not None] for save in saves]
    entries = iter(told([of_save for of_save in steps if of_save], parents))
    names = _names(records)
    changes = []
    for save in saves:
        first = save[0]
        if first.logged is not None:
            changes.append(_change_of_log(first, first.logged))
            continue
        entry = next(entries)
        if entry.rows:
            name = names[first.kind.model].get(first.pk, str(first.pk))
            changes.append(Change(first.kind, name, first.kind.history_address(first.pk), entry))
    return changes


def _change_of_log(record: Record, logged: LogEntry) -> Change:
    who = logged.user.get_full_name() or logged.user.get_username()
    words = logged.get_change_message() or {1: "Added.", 3: "Deleted."}.get(logged.action_flag, "Changed.")
    address = "" if logged.action_flag == DELETION else record.kind.history_address(logged.object_id)
    return Change(record.kind, logged.object_repr, address, Entry(logged.action_time, who, "", ()), words)


def _names(records: Iterable[Record]) -> dict[type[models.Model], dict[Any, str]]:
    """What the objects are called now; those that are gone, as their last record here called them."""
    asked: dict[type[models.Model], set[Any]] = defaultdict(set)
    last: dict[tuple[type[models.Model], Any], str] = {}
    for record in records:
        if record.step is not None:
            asked[record.kind.model].add(record.pk)
            if record.step.model is record.kind.model and record.step.after.history_type == "-":
                last.setdefault((record.kind.model, record.pk), f"{record.step.after.instance} (deleted)")
    return {
        model: {pk: last.get((model, pk), name) for pk, name in names_of(model, pks).items()}
        for model, pks in asked.items()
    }
