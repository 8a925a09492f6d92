"""What a person can be found by in texts. Pure."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

# Of numbers, so many of the last digits tell: a text may write them with or without the country's code.
DIGITS_THAT_TELL = 9
_BETWEEN_DIGITS = r"[^0-9A-Za-z]{0,3}"


@dataclass(frozen=True)
class Traces:
    """`keys` are numbers as calls are matched, `external_ids` the CRM's; `texts` names and e-mail addresses.

    `former_ids` are of records that were merged into the customer's.
    """

    keys: tuple[str, ...] = ()
    external_ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    former_ids: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Traces":
        return cls(**{name: tuple(values) for name, values in stored.items()})

    def as_json(self) -> dict[str, Any]:
        return {name: list(values) for name, values in asdict(self).items()}

    def are_in(self, *texts: str | bytes | memoryview | None) -> bool:
        """Whether one of the texts names the person: a whole word or address of theirs, or a number however spelled."""
        if self._pattern is None:
            return False
        return any(self._pattern.search(_as_text(text)) for text in texts if text)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        parts = [*map(_number_pattern, self.keys), *map(_word_pattern, _spellings((*self.external_ids, *self.texts)))]
        return re.compile("|".join(parts), re.IGNORECASE) if parts else None


def _as_text(text: str | bytes | memoryview) -> str:
    return text if isinstance(text, str) else bytes(text).decode("utf-8", "replace")


def _spellings(texts: Iterable[str]) -> Iterator[str]:
    """Each as it is, and as JSON and chats write it: JSON's \\u00e9 and \\u00c9 are no capitals of each other."""
    for text in filter(None, texts):
        in_json = (json.dumps(written)[1:-1] for written in (text, text.lower(), text.upper(), text.title()))
        yield from sorted({text, html.escape(text), *in_json})


def _word_pattern(text: str) -> str:
    # Cards have backslashes before what is no letter.
    spelled = r"\\*".join(r"\s+" if letter.isspace() else re.escape(letter) for letter in text)
    return rf"(?<!\w)\\*{spelled}(?!\w)"


def _number_pattern(key: str) -> str:
    digits = key.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()):
        return _word_pattern(key)
    last = digits[-DIGITS_THAT_TELL:]
    in_front = "" if len(digits) > DIGITS_THAT_TELL else r"(?<!\d)"
    return rf"{in_front}{_BETWEEN_DIGITS.join(last)}(?!\d)"
