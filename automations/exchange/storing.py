"""A file of rules, destinations and sources is stored: all of it, or nothing."""

from collections.abc import Sequence

from django.db import IntegrityError
from django.db.models import Count, Max, Model
from simple_history.utils import bulk_create_with_history

from automations.exchange.entries import DESTINATION_FIELDS, RULE_FIELDS, SOURCE_FIELDS
from automations.exchange.planning import Plan, Planned, plan_of
from automations.models import Action, Destination, Rule, Source
from sessions_app.database.pieces import BATCH, bulk_transaction

CHANGED = (
    "Somebody changed rules, destinations or sources while the file was read, so nothing was stored. Choose the file "
    "again, and look at what would change."
)


def import_file(text: str) -> Plan:
    """Check the file once more, against what is stored by now, and store it. With a problem nothing is stored.

    It is checked before the transaction, in which others have to wait, and which looks only whether it still holds.
    What is new or changed of rules and sources is off afterwards; what is just as in the file stays as it is.
    """
    before = _mark()
    plan = plan_of(text)
    if plan.problems:
        return plan
    try:
        with bulk_transaction():
            _lock()
            if _mark() == before:
                _store(plan)
            else:
                plan.problems.append(CHANGED)
    except IntegrityError:  # another made one of the same name, or deleted what is named, at the same moment
        plan.problems.append(CHANGED)
    return plan


def _mark() -> list[tuple[int, int]]:
    """Another one after each edit: all of them are in the histories."""
    found = []
    for model in (Destination, Source, Rule, Action):
        edits = model.history.aggregate(newest=Max("history_id"), edits=Count("history_id"))
        found.append((edits["newest"] or 0, edits["edits"]))
    return found


def _lock() -> None:
    """One import at a time, and no edit of what is here meanwhile: another may wait for `_mark` to be looked at."""
    for model in (Destination, Source, Rule):
        list(model.objects.select_for_update(of=("self",), no_key=True).order_by("pk").values_list("pk"))


def _store(plan: Plan) -> None:
    """What is new at once, since others wait meanwhile; what is changed keeps what the worker writes of it."""
    for one in _changed(plan.destinations):
        one.row.save(update_fields=DESTINATION_FIELDS)
    _make([one.row for one in plan.destinations if one.is_new], Destination)
    for model, planned, fields in ((Source, plan.sources, SOURCE_FIELDS), (Rule, plan.rules, RULE_FIELDS)):
        for one in _changed(planned):
            one.row.is_active = False
            one.row.save(update_fields=(*fields, "is_active"))
        new = [one for one in planned if one.is_new]
        _make([one.row for one in new], model)
        for one in [*_changed(planned), *new]:
            _choose(one)
    # Their destinations and rules may have been stored only now.
    _make([action for one in plan.rules for action in _new_actions(one)], Action)


def _changed(planned: Sequence[Planned]) -> list[Planned]:
    return [one for one in planned if one.verb == "changed"]


def _make(rows: Sequence[Model], model: type[Model]) -> None:
    """All in a few statements, each with the first line of its history."""
    if rows:
        bulk_create_with_history(rows, model, batch_size=BATCH)


def _choose(planned: Planned) -> None:
    for name, rows in planned.chosen.items():
        if rows or not planned.is_new:
            getattr(planned.row, name).set(rows)


def _new_actions(planned: Planned) -> list[Action]:
    """Those to be made. What is there already is changed in place, so that deliveries keep what they were made by."""
    if planned.verb == "unchanged":
        return []
    stored = [] if planned.is_new else list(planned.row.actions.order_by("pk"))
    for action in planned.actions:
        action.rule = planned.row
        action.destination = action.destination
    for action, before in zip(planned.actions, stored, strict=False):
        action.pk = before.pk
        action._state.adding = False
        action.save()
    for extra in stored[len(planned.actions) :]:
        extra.delete()
    return list(planned.actions[len(stored) :])
