"""Many changes by one author with one reason, one after another, as one: so that others' changes stay in sight."""

from dataclasses import dataclass
from itertools import groupby

from config.changes.places import Key, Place, Wanted, end_of_run, newest_places, objects_of_run, places_before

# Of so many objects and more, a bulk action or an import is one line.
FEWEST = 5
AT_ONCE = 200
# Of a run some are looked at, until one is found that tells something.
EXAMPLES = 10


@dataclass(frozen=True)
class Run:
    """How many objects it is of, and the places of its newest and its oldest record."""

    objects: int
    newest: Place
    oldest: Place


@dataclass(frozen=True)
class Unit:
    """What no page is cut within: a run, or the records of one moment. `keys` are what is read of it, newest first."""

    keys: list[Key]
    newest: Place
    oldest: Place
    run: Run | None = None


def units(wanted: Wanted, place: Place | None, count: int, *, older: bool) -> list[Unit]:
    """So many that follow a place, or come before it, the nearest first. What is wanted of one run is not put together.

    A run that a place lies within, since it was longer later, ends there.
    """
    found: list[Unit] = []
    read = newest_places if older else places_before
    while len(found) < count:
        keys = read(wanted, place, AT_ONCE)
        if not keys:
            break
        groups = [list(group) for _, group in groupby(keys, key=lambda key: key.run)]
        is_cut = len(keys) == AT_ONCE
        if is_cut and len(groups) > 1:  # how far the last one goes is seen the next time
            groups.pop()
            is_cut = False
        for group in groups:
            unit = None if wanted.run else _run_of(wanted, group, older=older, is_cut=is_cut)
            if unit is not None:
                found.append(unit)
                place = unit.oldest if older else unit.newest
                continue
            moments = [list(moment) for _, moment in groupby(group, key=lambda key: key.place.at)]
            if is_cut and len(moments) > 1:
                moments.pop()
            found += [_unit(moment, older=older) for moment in moments]
            place = moments[-1][-1].place
    return found[:count]


def _run_of(wanted: Wanted, group: list[Key], *, older: bool, is_cut: bool) -> Unit | None:
    """The run that begins with these; None where it is of few objects."""
    first, last, objects = group[0], group[-1].place, len({key.owner for key in group})
    if is_cut:
        last = end_of_run(wanted, first, older=older)
    elif objects < FEWEST:
        return None
    newest, oldest = (first.place, last) if older else (last, first.place)
    if is_cut:
        objects = objects_of_run(wanted, first, newest, oldest)
        if objects < FEWEST:
            return None
    keys = group if older else group[::-1]
    if is_cut and not older:
        keys = newest_places(wanted, Place(newest.at, newest.rank, newest.pk + 1), AT_ONCE)
        keys = [key for key in keys if key.run == first.run]
    shown = list(dict.fromkeys((key.place.at, key.owner) for key in keys))[:EXAMPLES]
    examples = [key for key in keys if (key.place.at, key.owner) in shown]
    return Unit(examples, newest, oldest, Run(objects, newest, oldest))


def _unit(moment: list[Key], *, older: bool) -> Unit:
    keys = moment if older else moment[::-1]
    return Unit(keys, keys[0].place, keys[-1].place)


def run_from(wanted: Wanted, newest: Place) -> Key | None:
    """What begins at this place; None where it is gone."""
    keys = newest_places(wanted, Place(newest.at, newest.rank, newest.pk + 1), 1)
    return keys[0] if keys and keys[0].place == newest else None
