"""What OIDC_* say of single sign-on. Used by the settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

NEEDED = ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_GROUPS")
DISCOVERY = "/.well-known/openid-configuration"
SCOPES = ("openid", "profile", "email")
LONGEST_ISSUER = 200


@dataclass(frozen=True)
class Oidc:
    """`groups` gives Frontdesk's groups by the issuer's names. A blank `issuer` means that there is none."""

    issuer: str
    client_id: str
    client_secret: str
    name: str
    scopes: tuple[str, ...]
    groups_claim: str
    groups: Mapping[str, frozenset[str]]


def read_oidc(given: Mapping[str, str]) -> Oidc:
    """By the names of the variables. Raises ImproperlyConfigured, which names the one at fault."""
    values = {name: given.get(name, "").strip() for name in given}
    missing = [name for name in NEEDED if not values.get(name)]
    if any(values.values()) and missing:
        raise ImproperlyConfigured(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set, and single sign-on needs "
            f"{', '.join(NEEDED)}. Set all of them, or no OIDC_ variable"
        )
    return Oidc(
        issuer=_issuer(values.get("OIDC_ISSUER", "")),
        client_id=values.get("OIDC_CLIENT_ID", ""),
        client_secret=values.get("OIDC_CLIENT_SECRET", ""),
        name=values.get("OIDC_NAME", "") or "your company's account",
        scopes=_scopes(values.get("OIDC_SCOPES", "")),
        groups_claim=values.get("OIDC_GROUPS_CLAIM", "") or "groups",
        groups=_groups(values.get("OIDC_GROUPS", "")),
    )


def _issuer(text: str) -> str:
    if not text:
        return ""
    text = text.removesuffix(DISCOVERY)
    try:
        parts = urlsplit(text)
        is_good = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment or parts.username)
        is_good = is_good and (parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(parts.hostname)))
    except ValueError:
        is_good = False
    if not is_good or len(text) > LONGEST_ISSUER:
        raise ImproperlyConfigured(
            f"OIDC_ISSUER is {text[:100]!r}; give the issuer's https address of {LONGEST_ISSUER} characters at most, "
            "such as https://login.example.com/realms/company. Plain http is for an issuer on this machine alone"
        )
    return text


def is_this_machine(host: str | None) -> bool:
    """Whether a host is this machine's own, where nobody can read on the way."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _scopes(text: str) -> tuple[str, ...]:
    scopes = tuple(text.replace(",", " ").split()) or SCOPES
    if "openid" not in scopes:
        raise ImproperlyConfigured(
            f"OIDC_SCOPES is {text[:100]!r}, without openid; give scopes such as openid profile email groups"
        )
    return scopes


def _groups(text: str) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        # Names of the issuer's may hold "=", such as those of a directory.
        theirs, is_pair, ours = (part.strip() for part in pair.rpartition("="))
        if not (theirs and is_pair and ours):
            raise ImproperlyConfigured(
                f"OIDC_GROUPS: {pair[:100]!r} is no pair. Give the issuer's group and Frontdesk's, and divide several "
                "by commas: support=viewers,team-leads=managers"
            )
        found.setdefault(theirs, set()).add(ours)
    return {theirs: frozenset(ours) for theirs, ours in found.items()}
