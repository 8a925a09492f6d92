"""JSON pointers (RFC 6901): how a rule keeps a value of an answer, and how a source's answer becomes context."""

import re
from collections.abc import Mapping, Sequence

LONGEST_POINTER = 500
_BAD_TILDE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class PointerError(ValueError):
    """What is wrong with a pointer, or where in a document it leads nowhere, in words for staff."""


def check_pointer(pointer: str) -> list[str]:
    """What is wrong with its form; nothing where it is a pointer. The empty one is the whole document."""
    if len(pointer) > LONGEST_POINTER:
        return [f"A pointer has at most {LONGEST_POINTER} characters."]
    if pointer and not pointer.startswith("/"):
        return [f"A pointer starts with a slash, such as /ticket/id: write /{pointer.replace('.', '/')}."]
    if _BAD_TILDE.search(pointer):
        return ["In a pointer, write ~0 for a tilde and ~1 for a slash that belongs to a key."]
    return []


def value_at(document: object, pointer: str) -> object:
    """What stands there. Raises PointerError where the pointer is none, or leads nowhere. RFC 6901, section 4."""
    problems = check_pointer(pointer)
    if problems:
        raise PointerError(problems[0])
    value, so_far = document, ""
    for part in pointer.split("/")[1:]:
        value = _step(value, part.replace("~1", "/").replace("~0", "~"), so_far or "the top")
        so_far += f"/{part}"
    return value


def _step(value: object, key: str, where: str) -> object:
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        keys = ", ".join(str(known)[:40] for known in list(value)[:10]) or "none"
        raise PointerError(f"There is no “{key}” at {where}. There are: {keys}.")
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        if _INDEX.fullmatch(key) and int(key) < len(value):
            return value[int(key)]
        raise PointerError(f"There is no “{key}” at {where}, a list of {len(value)}: count from 0.")
    raise PointerError(f"There is no “{key}” at {where}, which is neither an object nor a list.")
