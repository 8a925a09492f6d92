"""What a file of rules, destinations and sources would make and change. All is checked before any is stored."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS

from automations.context.recipes import check_source
from automations.exchange.entries import (
    ACTION_FIELDS,
    DESTINATION_FIELDS,
    FORMAT,
    NAMED,
    NAMED_BY_SOURCES,
    RULE_FIELDS,
    SOURCE_FIELDS,
    VERSION,
    Entry,
    destination_entry,
    names_of,
    names_of_source,
    rule_entry,
    source_entry,
)
from automations.exchange.filling import (
    Named,
    chosen_by,
    fill_row,
    given_values,
    may_be_stored,
    named_by,
    names_of_chosen,
    wanted_secrets,
)
from automations.models import Action, Destination, Rule, Source
from automations.outgoing.signing import SIGNING, SIGNING_BEFORE
from automations.texts.checks import LISTS, asks_for_something, check_action, check_fit, check_lists, in_order
from automations.texts.destinations import check_destination, secrets_named
from automations.texts.kinds import ACTION_FIELDS as KINDS_OF_ACTIONS
from automations.texts.kinds import DESTINATION_FIELDS as KINDS_OF_DESTINATIONS
from automations.texts.kinds import DESTINATION_FIELDS_OF_SOME, check_fields_of_kind
from automations.texts.names import sound
from automations.texts.presets import check_preset

MOST_OF_EACH, MOST_ACTIONS = 500, 20
LARGEST_FILE = 1024 * 1024


@dataclass
class Planned:
    """A destination, source or rule as the file has it. `changes`: the fields that differ from what is stored."""

    row: Any
    is_new: bool
    changes: list[str] = field(default_factory=list)
    missing_secrets: list[str] = field(default_factory=list)
    chosen: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    actions: Sequence[Action] = ()

    @property
    def verb(self) -> str:
        return "new" if self.is_new else "changed" if self.changes else "unchanged"

    @property
    def changes_in_words(self) -> str:
        """As the row's form calls the fields that differ; blank for a new one, of which all do."""
        if self.is_new:
            return ""
        fields = (*self.row._meta.fields, *self.row._meta.many_to_many)
        labels = {one.name: str(one.verbose_name) for one in fields}
        return ", ".join(labels.get(name, name) for name in self.changes)


@dataclass
class Plan:
    """`problems`: each names the rule, destination or source, the field and what to do. With one, nothing is stored."""

    problems: list[str] = field(default_factory=list)
    destinations: list[Planned] = field(default_factory=list)
    sources: list[Planned] = field(default_factory=list)
    rules: list[Planned] = field(default_factory=list)

    @property
    def everything(self) -> list[Planned]:
        return [*self.destinations, *self.sources, *self.rules]


def plan_of(text: str) -> Plan:
    """Reads the database; writes nothing."""
    plan = Plan()
    document = _document(text, plan)
    if not plan.problems:
        for entry in _entries(document, "destinations", plan):
            _plan_destination(entry, plan)
        sources = _entries(document, "sources", plan)
        named = named_by(sources, NAMED_BY_SOURCES)
        for entry in sources:
            _plan_source(entry, named, plan)
        known = {one.name: one for one in Destination.objects.all()} | {
            planned.row.name: planned.row for planned in plan.destinations
        }
        rules = _entries(document, "rules", plan)
        named = named_by(rules, NAMED)
        for entry in rules:
            _plan_rule(entry, known, named, plan)
    # They repeat what may be half a character, which no page can show.
    plan.problems = [sound(problem) for problem in plan.problems]
    return plan


def _document(text: str, plan: Plan) -> Entry:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        plan.problems.append(f"This is no file of rules, which is JSON with “format”: “{FORMAT}”, as it is exported.")
        return {}
    if document.get("version") != VERSION:
        plan.problems.append(
            f"The file is of version {_quoted(document.get('version'))}; this Frontdesk reads version {VERSION}."
        )
    for key in document.keys() - {"format", "version", "destinations", "sources", "rules"}:
        plan.problems.append(f"There is nothing called “{key[:100]}” in such a file.")
    return document


def _entries(document: Entry, name: str, plan: Plan) -> list[Entry]:
    """Those that are objects with a name of their own."""
    entries = document.get(name, [])
    if not isinstance(entries, list) or len(entries) > MOST_OF_EACH:
        plan.problems.append(f"“{name}” is a list of {MOST_OF_EACH} at most.")
        return []
    found: dict[str, Entry] = {}
    for place, entry in enumerate(entries, start=1):
        own_name = entry.get("name") if isinstance(entry, dict) else None
        own_name = own_name.strip() if isinstance(own_name, str) else ""
        if not own_name or not may_be_stored(own_name):
            plan.problems.append(f"{name}, number {place}: it is an object with a name.")
        elif own_name in found:
            plan.problems.append(f"{name}: “{own_name[:120]}” is there twice.")
        else:
            found[own_name] = {**entry, "name": own_name}
    return list(found.values())


def _plan_destination(entry: Entry, plan: Plan) -> None:
    where = f"Destination “{entry['name'][:120]}”"
    stored = Destination.objects.filter(name=entry["name"]).first()
    before = {} if stored is None else destination_entry(stored, [])
    row = stored or Destination()
    kind = row.kind
    problems = fill_row(row, entry, DESTINATION_FIELDS, ("secrets",))
    if stored is not None and row.kind != kind:
        problems.setdefault("kind", []).append(f"Here it is “{kind}”, and rules use it so. Give one another name.")
    wanted = wanted_secrets(entry, problems)
    changes = _differences(before, destination_entry(row, []))
    # What is here already, and stays as it is, may be from before a check.
    if changes and not problems:
        problems = _check_destination(row, wanted)
    if row.is_signed and SIGNING not in wanted:
        wanted.append(SIGNING)
    plan.problems += _sentences(where, problems)
    plan.destinations.append(Planned(row, stored is None, changes, _missing(wanted, stored)))


def _check_destination(row: Destination, secrets: Collection[str]) -> dict[str, list[str]]:
    values, usual = given_values(row, DESTINATION_FIELDS_OF_SOME)
    problems = check_fields_of_kind(row.kind, KINDS_OF_DESTINATIONS, values, usual) | check_preset(row.kind, row.preset)
    if problems or row.kind == Destination.Kind.EMAIL:
        return problems
    named = secrets_named(row.address, row.headers)
    checked = check_destination(
        row.kind,
        row.address,
        row.headers,
        {*secrets, *named},
        allows_http=settings.OUTGOING_ALLOW_HTTP,
        allowed=settings.OUTGOING_ALLOWED_HOSTS,
    )
    unlisted = _unlisted(named, secrets)
    return checked | ({"secrets": unlisted} if unlisted else {})


def _plan_source(entry: Entry, named: Named, plan: Plan) -> None:
    stored = Source.objects.filter(name=entry["name"]).prefetch_related(*NAMED_BY_SOURCES).first()
    before = {} if stored is None else source_entry(stored, names_of_source(stored), [])
    row = stored or Source()
    problems = fill_row(row, entry, SOURCE_FIELDS, ("secrets", *NAMED_BY_SOURCES))
    wanted = wanted_secrets(entry, problems)
    chosen, unknown = chosen_by(entry, named)
    changes = _differences(before, source_entry(row, names_of_chosen(chosen), []))
    if changes and not problems:
        named_secrets = secrets_named(row.address, row.headers)
        checked = check_source(row.address, row.headers, row.pointers, {*wanted, *named_secrets})
        checked["secrets"] = _unlisted(named_secrets, wanted)
        problems = {name: found for name, found in checked.items() if found}
    plan.problems += _sentences(f"Source “{entry['name'][:120]}”", problems | unknown)
    plan.sources.append(Planned(row, stored is None, changes, _missing(wanted, stored), chosen))


def _unlisted(named: Collection[str], wanted: Collection[str]) -> list[str]:
    return [f"Its texts ask for “{name}”: list it." for name in sorted(set(named) - set(wanted))]


def _missing(wanted: Iterable[str], stored: Destination | Source | None) -> list[str]:
    """The secrets that have to be entered still."""
    has = set() if stored is None else set(stored.secrets.values_list("name", flat=True))
    return [name for name in wanted if name not in has and name != SIGNING_BEFORE]


def _plan_rule(entry: Entry, destinations: Mapping[str, Destination], named: Named, plan: Plan) -> None:
    where = f"Rule “{entry['name'][:120]}”"
    stored = Rule.objects.filter(name=entry["name"]).prefetch_related(*NAMED, "actions__destination").first()
    before = {} if stored is None else _stored_entry(stored)
    row = stored or Rule()
    problems = fill_row(row, entry, RULE_FIELDS, (*NAMED, "actions"))
    values = {name: getattr(row, name) for name in RULE_FIELDS}
    problems |= {name: found for name, found in check_lists(values).items() if name not in problems}
    for name in LISTS if not problems else ():
        setattr(row, name, in_order(values[name]))
    asked = {**values, **{name: entry.get(name) for name in NAMED}}
    for name, sentences in check_fit(row.trigger, [name for name in asked if asks_for_something(asked[name])]).items():
        problems.setdefault(name, sentences)
    chosen, unknown = chosen_by(entry, named)
    problems |= unknown
    plan.problems += _sentences(where, problems)
    actions = _actions(where, entry.get("actions", []), destinations, plan)
    if plan.problems:
        return
    changes = _differences(before, rule_entry(row, names_of_chosen(chosen), actions))
    plan.rules.append(Planned(row, stored is None, changes, chosen=chosen, actions=actions))


def _stored_entry(rule: Rule) -> Entry:
    nameless = any(not customer.external_id for customer in rule.customers.all())
    # A customer without an id is in no file, so the rule differs from what any file says.
    names = {} if nameless else names_of(rule)
    return rule_entry(rule, names, rule.actions.all()) | ({"customers": None} if nameless else {})


def _actions(where: str, entries: Any, destinations: Mapping[str, Destination], plan: Plan) -> list[Action]:
    if not isinstance(entries, list) or len(entries) > MOST_ACTIONS:
        plan.problems.append(f"{where}, actions: it is a list of {MOST_ACTIONS} at most.")
        return []
    actions = []
    for place, entry in enumerate(entries, start=1):
        here = f"{where}, action {place}"
        name = entry.get("destination") if isinstance(entry, dict) else None
        name = name.strip() if isinstance(name, str) else ""
        if name not in destinations:
            plan.problems.append(f"{here}: there is no destination “{name[:120]}”, here or in the file.")
            continue
        action = Action(destination=destinations[name])
        problems = fill_row(action, entry, ACTION_FIELDS, ("destination",))
        if not problems:
            texts, usual = given_values(action, ACTION_FIELDS)
            kind = action.destination.kind
            problems = check_fields_of_kind(kind, KINDS_OF_ACTIONS, texts, usual) or check_action(kind, texts)
        plan.problems += _sentences(here, problems)
        actions.append(action)
    return actions


def _differences(before: Entry, after: Entry) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def _sentences(where: str, problems: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{where}, {_words(name)}: {problem}" for name, found in problems.items() for problem in found]


def _quoted(value: Any) -> str:
    return str(value)[:20] if isinstance(value, (str, int)) else "…"


def _words(name: str) -> str:
    return "as a whole" if name == NON_FIELD_ERRORS else name
