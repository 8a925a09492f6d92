"""To whom a mail goes: addresses divided by the commas that staff wrote, and by no other."""

from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.core.mail.message import sanitize_address
from django.core.validators import validate_email

from automations.texts.lines import check_line, fill_line
from automations.texts.liquid import TextError

# As `Delivery.recipient` keeps them.
LONGEST_RECIPIENTS = 300
# Stands for a comma of a value's while the text's own divide it. No line keeps it otherwise.
_COMMA_OF_A_VALUE = "\ufffc"


def check_recipients(text: str) -> list[str]:
    """What keeps it from being saved."""
    parts = _parts(text)
    if not parts:
        return ["Say to whom it goes."]
    if "{" in text:  # a comma may stand within a placeholder
        return check_line(text)
    return [_refusal(part) for part in parts if not _is_address(part)][:3]


def fill_recipients(text: str, data: Mapping[str, object]) -> str:
    """Addresses, divided by a comma and a space. A placeholder stands for one at most; one that is empty is left out.

    Raises TextError where nobody is left, and for what is no single address: a value cannot bring in another one.
    """
    parts = _parts(fill_line(text, data, escape=_without_commas))
    wrong = [_refusal(part.replace(_COMMA_OF_A_VALUE, ",")) for part in parts if not _is_address(part)]
    if wrong or not parts:
        raise TextError([f"To: {problem}" for problem in wrong[:3] or ["nobody is left to write to."]])
    recipients = ", ".join(parts)
    if len(recipients) > LONGEST_RECIPIENTS:
        raise TextError([f"To: these are more than {LONGEST_RECIPIENTS} characters. Write to fewer addresses."])
    return recipients


def _parts(text: str) -> list[str]:
    return [part for part in map(str.strip, text.split(",")) if part]


def _without_commas(value: str) -> str:
    return value.replace(",", _COMMA_OF_A_VALUE)


def _refusal(part: str) -> str:
    return f"“{part[:100]}” is no e-mail address."


def _is_address(part: str) -> bool:
    """Also that a mail can be written to it: a domain's name may be too long for what stands for it there."""
    try:
        validate_email(part)
        sanitize_address(part, "utf-8")
    except (ValidationError, ValueError):
        return False
    return _COMMA_OF_A_VALUE not in part
