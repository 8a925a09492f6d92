"""What keeps an action or a rule's conditions from being saved: one set of checks for forms and for imports.

Functions of plain values: no database, no settings. `kind` is a destination's.
"""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from automations.texts.bodies import check_json_body
from automations.texts.lines import check_address, check_line
from automations.texts.liquid import check
from automations.texts.messages import check_whatsapp
from automations.texts.paths import check_path
from automations.texts.pointers import check_pointer
from sessions_app.decision.rules import Reason

Problems = dict[str, list[str]]

MOST_PERCENT = 1000
# How `check_whatsapp` begins what it says of each field.
_WHATSAPP_FIELDS = {"To: ": "recipient", "Template: ": "template_name", "Language: ": "template_language"}


def check_action(kind: str, values: Mapping[str, Any]) -> Problems:
    """By field, what is wrong; nothing where it is sound. `values` are by `Action`'s fields; absent ones are blank."""
    texts = {name: str(values.get(name) or "") for name in _TEXTS}
    if kind == "email":
        problems = _check_mail(texts)
    elif kind == "whatsapp":
        problems = _check_whatsapp(texts)
    else:
        problems = {"body": check_json_body(texts["body"]), "path": check_path(texts["path"])}
    problems |= _check_kept(texts["kept_pointer"], texts["kept_link"])
    return {field: found for field, found in problems.items() if found}


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


def check_conditions(trigger: str, values: Mapping[str, Any]) -> Problems:
    """The same of a rule's lists. `values` are by the fields of `Rule`."""
    reasons, weekdays, thresholds = (values.get(name) for name in ("reasons", "weekdays", "thresholds"))
    problems: Problems = {
        "reasons": _not_in_list(reasons, {reason.value for reason in Reason}, "is no reason"),
        "weekdays": _not_in_list(weekdays, set(range(7)), "is no day of the week: 0 is Monday, 6 is Sunday"),
        "thresholds": _not_in_list(
            thresholds, set(range(1, MOST_PERCENT + 1)), f"is no whole percent from 1 to {MOST_PERCENT:,}"
        ),
    }
    if trigger == "usage_reached" and not thresholds:
        problems["thresholds"] = ["Give at least one, such as 80."]
    return {field: found for field, found in problems.items() if found}


def _check_mail(texts: Mapping[str, str]) -> Problems:
    recipients = [part.strip() for part in texts["recipient"].split(",") if part.strip()]
    to = [] if recipients else ["Give an address to write to, or several, divided by commas."]
    to += check_line(texts["recipient"])
    to += [f"“{part[:100]}” is no e-mail address." for part in recipients if "{" not in part and not _is_email(part)]
    return {
        "recipient": to,
        "subject": check_line(texts["subject"]) if texts["subject"] else ["Give a subject."],
        "text": check(texts["text"]) if texts["text"].strip() else ["Give a text."],
    }


def _check_whatsapp(texts: Mapping[str, str]) -> Problems:
    parameters = [line for line in texts["text"].splitlines() if line.strip()]
    found = check_whatsapp(texts["recipient"], texts["template_name"], texts["template_language"], parameters)
    problems: Problems = {} if texts["recipient"] else {"recipient": ["Give a number, such as {{ session.number }}."]}
    for problem in found:
        start = next((start for start in _WHATSAPP_FIELDS if problem.startswith(start)), "")
        problems.setdefault(_WHATSAPP_FIELDS.get(start, "text"), []).append(problem.removeprefix(start))
    return problems


def _check_kept(pointer: str, link: str) -> Problems:
    problems: Problems = {"kept_pointer": check_pointer(pointer)}
    if link:
        problems["kept_link"] = check_address(link)
        if not pointer:
            problems["kept_pointer"] = ["Say what of the answer the link is made of."]
    return problems


def _not_in_list(values: Any, allowed: set[Any], words: str) -> list[str]:
    if not isinstance(values, list):
        return ["It is a list."]
    # True is 1 to Python, and no number to staff.
    wrong = [value for value in values if isinstance(value, (bool, list, dict, float)) or value not in allowed]
    return [f"“{str(value)[:100]}” {words}." for value in wrong]


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True
