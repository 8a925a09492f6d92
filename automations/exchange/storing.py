"""A file of rules, destinations and sources is stored: all of it, or nothing."""

from automations.exchange.planning import Plan, Planned, plan_of
from automations.models import Rule, Source
from sessions_app.database.pieces import bulk_transaction


def import_file(text: str) -> Plan:
    """Check the file once more, against what is stored by now, and store it. With a problem nothing is stored.

    What is new or changed of rules and sources is off afterwards; what is just as in the file stays as it is.
    """
    with bulk_transaction():
        plan = plan_of(text)
        if not plan.problems:
            for planned in plan.destinations:
                if planned.verb != "unchanged":
                    planned.row.save()
            for planned in plan.sources:
                if planned.verb != "unchanged":
                    _store_source(planned)
            for planned in plan.rules:
                if planned.verb != "unchanged":
                    _store_rule(planned)
    return plan


def _store_source(planned: Planned) -> None:
    source: Source = planned.row
    source.is_active = False
    source.save()
    for name, rows in planned.chosen.items():
        getattr(source, name).set(rows)


def _store_rule(planned: Planned) -> None:
    rule: Rule = planned.row
    rule.is_active = False
    rule.save()
    for name, rows in planned.chosen.items():
        getattr(rule, name).set(rows)
    stored = list(rule.actions.order_by("pk"))
    # In place, so that deliveries keep what they were made by.
    for place, action in enumerate(planned.actions):
        if place < len(stored):
            action.pk = stored[place].pk
            action._state.adding = False
        action.rule = rule
        # Its destination may have been stored only now.
        action.destination_id = action.destination.pk
        action.save()
    for extra in stored[len(planned.actions) :]:
        extra.delete()
