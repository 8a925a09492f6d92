"""Credentials written out where whoever may look at a destination or source can read them."""

import re
from urllib.parse import parse_qsl

# The last word of a header's or a parameter's name. Whatever is taken for a credential can be a secret all the same.
_CREDENTIAL = re.compile(
    r"(?:^|[-_.]|access|api|auth|client)(?:authorization|cookie|key|pass|password|passwd|secret|token)$", re.IGNORECASE
)
# Keys that open nothing.
_HARMLESS = re.compile(
    r"(?:^|[-_.])(?:correlation|deduplication|idempotency|partition|routing)[-_.]?key$", re.IGNORECASE
)
_SIGNATURES = frozenset({"sig", "signature"})
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_MARK = "\ufffc"


def check_header_credential(name: str, text: str) -> list[str]:
    """Why a header is not saved: it carries a credential that is no secret."""
    if not is_credential(name) or _MARK in _marked(text):
        return []
    scheme = "Bearer " if name.lower().endswith("authorization") else ""
    return [_remedy(name, f"{name}: {scheme}{{{{ secrets.token }}}}")]


def check_address_credentials(address: str) -> list[str]:
    """The same of an address's parameters."""
    query = _marked(address).partition("?")[2]
    return [
        _remedy(name[:100], f"{name[:100]}={{{{ secrets.token }}}}")
        for name, value in parse_qsl(query)
        if (is_credential(name) or name.lower() in _SIGNATURES) and _MARK not in value
    ]


def _remedy(name: str, example: str) -> str:
    """Without the credential itself."""
    return (
        f"{name}: written out here, it can be read by all who may see this page. Put it into the secrets, and name the "
        f"secret instead: {example}"
    )


def is_credential(name: str) -> bool:
    return bool(_CREDENTIAL.search(name)) and not _HARMLESS.search(name)


def _marked(text: str) -> str:
    """With a mark for each secret, and nothing for other placeholders."""
    return _PLACEHOLDER.sub(lambda found: _MARK if "secrets." in found[0] else "", text)
