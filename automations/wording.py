"""Plain words for what deliveries keep as codes, and what of an address or a header may be shown."""

import re
from http import HTTPStatus

from django.utils.html import format_html
from django.utils.safestring import SafeString

MASK = "•••"
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\bsecrets\b[^{}]*\}\}")

STATES = {
    "waiting": "Waiting",
    "sending": "Being sent",
    "delivered": "Delivered",
    "failed": "Failed",
    "unknown": "May have been sent",
    "skipped": "Skipped: too late",
}

STATE_SENTENCES = {
    "waiting": "It is sent when its time comes, by itself.",
    "sending": "A worker is at it. If that one dies, another takes it up within a minute.",
    "delivered": "The other side took it.",
    "failed": "It was given up: the other side refused it, or did not take it however often it was tried.",
    "unknown": "No answer came, but it may have arrived. It is not repeated by itself: send it again, or leave it.",
    "skipped": "It was not sent: when its turn came, it was older than its rule allows.",
}
NOT_FILLED_IN = "It could not be filled in, so nothing was sent. Why stands below."
IN_A_COPY = (
    "This database looks like a copy, so nothing is sent until an administrator confirms on Home "
    "that it is the real one."
)

# A class of the style sheets, by state.
STATE_KINDS = {"delivered": "open", "failed": "denied", "unknown": "missing_end", "skipped": "missing_end"}


def without_secrets(text: str) -> str:
    """An address or headers as staff wrote them, with a mask for each secret."""
    return _PLACEHOLDER.sub(MASK, text)


def status_words(status: int | None) -> str:
    """Such as "503 Service Unavailable"; blank where no answer came."""
    if status is None:
        return ""
    known = {one.value: one.phrase for one in HTTPStatus}
    return f"{status} {known.get(status, '')}".strip()


def kept_link(value: str, link: str) -> SafeString | str:
    """What was kept of an answer, such as a ticket's number; a link where its rule makes one of it."""
    return format_html('<a href="{}">{}</a>', link, value) if link else value or "–"
