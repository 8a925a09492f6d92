"""What keeps an action or a rule's conditions from being saved: one set of checks for forms and for imports.

Functions of plain values: no database, no settings. `kind` is a destination's, `trigger` a rule's.
"""

from collections.abc import Collection, Mapping
from typing import Any

from django.utils.text import capfirst

from automations.texts.bodies import check_json_body
from automations.texts.lines import check_address, check_line
from automations.texts.liquid import check
from automations.texts.messages import check_whatsapp
from automations.texts.paths import check_path
from automations.texts.pointers import check_pointer
from automations.texts.recipients import check_recipients
from sessions_app.decision.rules import Reason

Problems = dict[str, list[str]]

MOST_PERCENT, MOST_THRESHOLDS = 1000, 10
LISTS = ("reasons", "weekdays", "thresholds")
_TEXTS = (
    "recipient",
    "subject",
    "text",
    "body",
    "path",
    "template_name",
    "template_language",
    "kept_pointer",
    "kept_link",
)
# How `check_whatsapp` begins what it says of each field.
_WHATSAPP_FIELDS = {"To: ": "recipient", "Template: ": "template_name", "Language: ": "template_language"}

_OF_SESSIONS = {
    "began_allowed",
    "began_denied",
    "ended",
    "end_corrected",
    "missing_end",
    "new_caller",
}
# By condition, the triggers that know it, and what to say with any other.
_KNOWN_BY: dict[str, tuple[set[str], str]] = {
    "tiers": (_OF_SESSIONS | {"usage_reached"}, "Silence is of no tier. Choose none."),
    "channels": (_OF_SESSIONS, "This is told of no single channel. Choose none."),
    "agents": (_OF_SESSIONS, "This is told of no single agent. Choose none."),
    "customers": (
        _OF_SESSIONS - {"new_caller"} | {"usage_reached"},
        "Neither silence nor a new caller is of a customer that you could choose. Choose none.",
    ),
    "reasons": ({"began_denied"}, "Only a session that was denied has one of these. Choose none."),
    "least_duration_seconds": (
        {"ended", "end_corrected"},
        "Only a session that ended has a duration. Leave it blank.",
    ),
    "covers_tests": (_OF_SESSIONS, "Test traffic uses up nothing, and breaks no silence. Leave it off."),
    "thresholds": ({"usage_reached"}, "Only usage reaches a part of a limit. Leave it blank."),
}


def check_action(kind: str, values: Mapping[str, Any]) -> Problems:
    """By field, what is wrong; nothing where it is sound. `values` are by `Action`'s fields; absent ones are blank."""
    texts = {name: str(values.get(name) or "") for name in _TEXTS}
    if kind == "email":
        problems = _check_mail(texts)
    elif kind == "whatsapp":
        problems = _check_whatsapp(texts)
    else:
        body = check_json_body(texts["body"]) if texts["body"].strip() else ["Give the JSON to send."]
        problems = {"body": body, "path": check_path(texts["path"])}
    problems |= _check_kept(texts["kept_pointer"], texts["kept_link"])
    return {field: found for field, found in problems.items() if found}


def check_fit(trigger: str, given: Collection[str]) -> Problems:
    """By condition, why the trigger does not know it. `given` names those that ask for something."""
    problems: Problems = {
        name: [sentence]
        for name, (known_by, sentence) in _KNOWN_BY.items()
        if name in given and trigger not in known_by
    }
    if trigger == "usage_reached" and "thresholds" not in given:
        problems["thresholds"] = ["Give at least one, such as 80, 100."]
    return problems


def asks_for_something(value: Any) -> bool:
    """Zero seconds are a condition, too."""
    return bool(value.exists()) if hasattr(value, "exists") else value not in (None, "", []) and value is not False


def check_lists(values: Mapping[str, Any]) -> Problems:
    """What is wrong with a rule's own lists. `values` are by the fields of `Rule`."""
    reasons, weekdays, thresholds = (values.get(name) for name in LISTS)
    problems: Problems = {
        "reasons": _not_in_list(reasons, {reason.value for reason in Reason}, "is no reason"),
        "weekdays": _not_in_list(weekdays, set(range(7)), "is no day of the week: 0 is Monday, 6 is Sunday"),
        "thresholds": _not_in_list(
            thresholds, set(range(1, MOST_PERCENT + 1)), f"is no whole percent from 1 to {MOST_PERCENT:,}"
        ),
    }
    if not problems["thresholds"] and len(set(thresholds or ())) > MOST_THRESHOLDS:
        problems["thresholds"] = [f"At most {MOST_THRESHOLDS} of them."]
    return {field: found for field, found in problems.items() if found}


def in_order(values: Collection[Any]) -> list[Any]:
    """A rule's list as it is stored: numbers in their order, each value once."""
    once = list(dict.fromkeys(values))
    return once if any(isinstance(value, str) for value in once) else sorted(once)


def _check_mail(texts: Mapping[str, str]) -> Problems:
    return {
        "recipient": check_recipients(texts["recipient"]),
        "subject": check_line(texts["subject"]) if texts["subject"] else ["Give the mail a subject."],
        "text": check(texts["text"]) if texts["text"].strip() else ["Give the mail a text."],
    }


def _check_whatsapp(texts: Mapping[str, str]) -> Problems:
    parameters = [line for line in texts["text"].splitlines() if line.strip()]
    found = check_whatsapp(texts["recipient"], texts["template_name"], texts["template_language"], parameters)
    is_blank = not texts["recipient"].strip()
    problems: Problems = {"recipient": ["Give a number, such as {{ session.number }}."]} if is_blank else {}
    for problem in found:
        start = next((start for start in _WHATSAPP_FIELDS if problem.startswith(start)), "")
        told = problem.removeprefix(start)
        problems.setdefault(_WHATSAPP_FIELDS.get(start, "text"), []).append(capfirst(told))
    return problems


def _check_kept(pointer: str, link: str) -> Problems:
    problems: Problems = {"kept_pointer": check_pointer(pointer)}
    if not link:
        return problems
    problems["kept_link"] = check_address(link)
    if not pointer:
        problems["kept_link"] = ["Say first what is kept of the answer."]
    elif not problems["kept_link"] and "kept.value" not in link:
        problems["kept_link"] = ["Name the value that was kept in it: {{ kept.value }}."]
    elif "YOUR-" in link:
        problems["kept_link"] = ["Write your own account into the link, in the place of what starts with YOUR-."]
    return problems


def _not_in_list(values: Any, allowed: set[Any], words: str) -> list[str]:
    if not isinstance(values, list):
        return ["It is a list."]
    # True is 1 to Python, and no number to staff.
    wrong = [value for value in values if isinstance(value, (bool, list, dict, float)) or value not in allowed]
    return [f"“{str(value)[:100]}” {words}." for value in wrong[:20]]
