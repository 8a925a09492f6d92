"""Which headers a request may have. Their values are secrets: no error repeats one."""

import re
from collections.abc import Iterable, Mapping

# They say where a message ends or who gets it (RFC 9110, 7.6.1 and RFC 9112, 6), or are set by `http.send`.
FORBIDDEN = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
# `signing.final_headers` sets them over staff's own.
OURS = frozenset({"idempotency-key", "webhook-id", "webhook-signature", "webhook-timestamp"})
# What staff cannot give: refused on saving, so that no destination fails by it at its first request.
REFUSED = FORBIDDEN | OURS

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")  # RFC 9110, 5.5, without what it calls obsolete


class HeaderError(ValueError):
    """A header that is not sent. Its text is for staff, and names the header but not its value."""


def joined(usual: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The usual headers with staff's own over them. Their names have no case (RFC 9110, 5.1)."""
    given = {name.lower() for name in own}
    return {name: text for name, text in usual.items() if name.lower() not in given} | dict(own)


def first_repeated(names: Iterable[str]) -> str | None:
    """A name that was given before, whatever its case; None where there is none."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return None


def checked_headers(own: Mapping[str, str]) -> dict[str, str]:
    """Staff's headers, without spaces around the values. Raises HeaderError."""
    checked: dict[str, str] = {}
    repeated = first_repeated(own)
    for name, value in own.items():
        if not _NAME.fullmatch(name):
            raise HeaderError(f"{name[:50]!r} is no name of a header: letters, digits and hyphens, without a colon.")
        if name.lower() in FORBIDDEN:
            raise HeaderError(f"Leave out the header {name}: Frontdesk sets it itself.")
        if name == repeated:
            raise HeaderError(f"The header {name} is given twice. Leave one of them out.")
        if not _VALUE.fullmatch(value):
            raise HeaderError(
                f"The header {name} holds a line break or another character that a header cannot carry. Plain "
                "letters, digits and signs are allowed."
            )
        checked[name] = value.strip(" \t")
    return checked
