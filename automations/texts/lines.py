"""What stands on one line: headers, subjects and addresses."""

import re
from collections.abc import Collection, Mapping

from django.core.exceptions import ValidationError

from automations.outgoing.headers import REFUSED
from automations.texts.escapes import Escape, as_it_is, escape_address
from automations.texts.liquid import TextError, check, fill

LONGEST_LINE = 4000
# C0 and C1 controls, and what Unicode, Python or a mail program takes for the end of a line.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# A host is written out: no value of a caller's may choose whom we talk to.
_HOST = re.compile(r"https?://[^/?#@\\\s{}]+(?:[/?#]|$)", re.IGNORECASE)


def refuse_line_breaks(text: str) -> None:
    """For a model's name, which goes into subjects and messages."""
    if _CONTROLS.search(text):
        raise ValidationError("It stands on one line: no line breaks, tabs or control characters.")


def check_line(text: str, secrets: Collection[str] | None = None) -> list[str]:
    """What keeps a subject or a header's value from being saved; `secrets` as in `liquid.check`."""
    if _CONTROLS.search(text):
        return ["It stands on one line: no line breaks, tabs or control characters."]
    return check(text, secrets)


def fill_line(
    text: str, data: Mapping[str, object], secrets: Mapping[str, str] | None = None, escape: Escape = as_it_is
) -> str:
    """One line: line breaks and control characters of any value become a space. Raises TextError."""
    line = _CONTROLS.sub(" ", fill(text, data, escape, secrets=secrets)).strip()
    if len(line) > LONGEST_LINE:
        raise TextError([f"It is longer than {LONGEST_LINE:,} characters."])
    return line


def check_header(name: str, text: str, secrets: Collection[str] = ()) -> list[str]:
    """What keeps a header from being saved. Names are tokens of RFC 9110, section 5.6.2."""
    if not _HEADER_NAME.fullmatch(name):
        return [f"“{name[:100]}” is no name of a header: letters, digits and dashes."]
    if name.lower() in REFUSED:
        return [f"{name} is set by Frontdesk itself."]
    return [f"{name}: {problem}" for problem in check_line(text, secrets)]


def fill_header(text: str, data: Mapping[str, object], secrets: Mapping[str, str]) -> str:
    """A header's value, in ASCII: HTTP carries no other safely, so other characters become question marks."""
    return fill_line(text, data, secrets).encode("ascii", "replace").decode()


def check_address(text: str) -> list[str]:
    """What keeps an address from being saved. Its scheme and host are plain; placeholders may follow."""
    if not _HOST.match(text):
        return ["An address starts with https:// and a host without placeholders or a user's name."]
    return check_line(text)


def fill_address(text: str, data: Mapping[str, object]) -> str:
    """The address; each value is percent-encoded, so that it stays within its part of the path or query."""
    problems = check_address(text)
    if problems:
        raise TextError(problems)
    return _CONTROLS.sub("", fill(text, data, escape_address)).strip()


def has_placeholders(text: str) -> bool:
    """Whether what becomes of a text may differ from one session to another."""
    return "{{" in text or "{%" in text
