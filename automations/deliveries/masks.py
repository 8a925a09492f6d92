"""The mask over what of a destination's secrets an answer may repeat, in whichever form."""

import base64
import html
import json
import re
from collections.abc import Collection, Iterable, Mapping
from urllib.parse import quote, quote_plus

from automations.outgoing.signing import PREFIX
from automations.texts.destinations import fill_headers
from automations.texts.liquid import fill
from automations.texts.names import sound

MASK = "•••"
# Of less, another form would be found by chance.
FEWEST_CHARACTERS = 4
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\bsecrets\b[^{}]*\}\}")
_PERCENT = re.compile("%[0-9A-F]{2}")


def hidden_texts(address: str, headers: str, secrets: Mapping[str, str]) -> list[str]:
    """The secrets, and what the address and the headers make of them, such as a Basic credential. Raises TextError."""
    found = {*secrets.values(), *(secret.removeprefix(PREFIX) for secret in secrets.values())}
    for placeholder in _PLACEHOLDER.findall(f"{address}\n{headers}"):
        found.add(fill(placeholder, {}, secrets=secrets))
    for value in fill_headers(headers, secrets).values():
        # What stands in the headers as staff wrote them, such as a content type, is no secret.
        found.update(word for word in value.split() if word not in headers)
    return sorted(found)


def masked(text: str, hidden: Collection[str]) -> str:
    """The text as the database can hold it, with a mask for what is hidden, the longest first."""
    text = sound(text).replace("\x00", "")
    for form in sorted({form for one in hidden for form in _forms(one)}, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def _forms(text: str) -> Iterable[str]:
    """As it is, and as JSON, an address, a form, HTML or base64 has it."""
    if text:
        yield text
    if len(text) < FEWEST_CHARACTERS:
        return
    encoded = text.encode(errors="replace")
    for to_ascii in (True, False):
        written = json.dumps(text, ensure_ascii=to_ascii)[1:-1]
        yield from (written, written.replace("/", r"\/"))
    for quoted in (quote(text, errors="replace"), quote(text, safe="", errors="replace"), quote_plus(text)):
        yield from (quoted, _PERCENT.sub(lambda found: found.group().lower(), quoted))
    yield html.escape(text)
    for encoding in (base64.b64encode, base64.urlsafe_b64encode):
        yield encoding(encoded).decode().rstrip("=")
