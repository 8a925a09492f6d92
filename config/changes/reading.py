"""Changes as pages tell them: by whom, when, of what, and every field before and after."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import DELETION, LogEntry
from django.db import models

from config.changes.kinds import Kind, ranks
from config.changes.places import Place, Wanted
from config.changes.runs import Run, Unit, units
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

    @property
    def tells(self) -> bool:
        """Whether something was changed that is kept."""
        return bool(self.entry.rows or self.words)


@dataclass(frozen=True)
class Many:
    """A run as a line, with the newest of its changes that tells something as the example."""

    example: Change
    run: Run

    @property
    def words(self) -> str:
        """Such as "419 customers"."""
        meta = self.example.kind.model._meta
        return f"{self.run.objects:,} {meta.verbose_name_plural}"

    @property
    def lasted(self) -> bool:
        """Whether it took so long that its end alone tells too little."""
        return self.run.newest.at - self.run.oldest.at > timedelta(minutes=1)


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


def changes_page(wanted: Wanted, after: Place | None, before: Place | None, size: int) -> Page[Unit]:
    """A page of what was changed, the newest first; as fast wherever it is."""
    return page_beside(
        after,
        before,
        size,
        lambda place, count: units(wanted, place, count, older=True),
        lambda place, count: units(wanted, place, count, older=False),
    )


def _read(places: Iterable[Place], kinds: Sequence[Kind]) -> list[Record]:
    """The records at these places, in that order."""
    places = list(places)
    by_rank: dict[int, list[int]] = defaultdict(list)
    for place in places:
        by_rank[place.rank].append(place.pk)
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
    return [found[place.rank, place.pk] for place in places if (place.rank, place.pk) in found]


def _logged(pks: Iterable[int], rank: int, kinds: Sequence[Kind]) -> Iterable[Record]:
    by_model = {kind.model: kind for kind in kinds}
    for entry in LogEntry.objects.filter(pk__in=list(pks)).select_related("user", "content_type"):
        model = entry.content_type.model_class() if entry.content_type else None
        if model in by_model:
            yield Record(by_model[model], entry.object_id, Place(entry.action_time, rank, entry.pk), None, entry)


def lines_of(shown: Sequence[Unit], kinds: Sequence[Kind]) -> list[Change | Many]:
    """What they tell, the newest first: a change for each save, and one line for each run. Each record is read once."""
    records = _read((key.place for unit in shown for key in unit.keys), kinds)
    unit_of = {key.place: number for number, unit in enumerate(shown) for key in unit.keys}
    lines: list[Change | Many] = []
    told_of: set[int] = set()
    changes = _changes_of(records)
    last = {unit_of[place]: place for _, place in changes}
    for change, place in changes:
        number = unit_of[place]
        run = shown[number].run
        if run is None:
            if change.tells:
                lines.append(change)
        elif number not in told_of and (change.tells or place == last[number]):
            told_of.add(number)
            lines.append(Many(change, run))
    return lines


def _changes_of(records: Sequence[Record]) -> list[tuple[Change, Place]]:
    """Each save with the place of its newest record."""
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
            changes.append((_change_of_log(first, first.logged), first.place))
            continue
        entry = next(entries)
        name = names[first.kind.model].get(first.pk, str(first.pk))
        changes.append((Change(first.kind, name, first.kind.history_address(first.pk), entry), first.place))
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
