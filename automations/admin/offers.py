"""What a click fills in: the presets of `texts.presets`, and those that are no HTTP request, as forms have them."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from automations.models import Destination
from automations.texts.destinations import SECRET_ADDRESSES
from automations.texts.messages import DEFAULT_MAIL, DEFAULT_PARAMETER, DEFAULT_SUBJECT
from automations.texts.presets import PRESETS, Preset

Kind = Destination.Kind

LIVETOK_ADDRESS = "https://api.livetok.ai/v1"
LIVETOK_HEADERS = "Authorization: Bearer {{ secrets.api_key }}"
# Those that a domain of the company's own stands in, as the presets write it.
_OWN_DOMAINS = {".zendesk.com": "YOUR-SUBDOMAIN", ".freshdesk.com": "YOUR-DOMAIN"}


@dataclass(frozen=True)
class Offer:
    """A destination by a click. `secrets` are (name, what to paste); `slug` stands in the address of the page."""

    slug: str
    label: str
    kind: str
    fill_in: str
    address: str = ""
    headers: str = ""
    is_signed: bool = False
    secrets: tuple[tuple[str, str], ...] = ()

    @property
    def initial(self) -> dict[str, Any]:
        """Of the destination's form."""
        return {
            "name": self.label.partition(":")[0],
            "kind": self.kind,
            "address": self.address,
            "headers": self.headers,
            "is_signed": self.is_signed,
        }


def _of_preset(preset: Preset) -> Offer:
    # Every request says that it is JSON anyway.
    headers = "\n".join(f"{name}: {text}" for name, text in preset.headers if name != "Content-Type")
    is_signed = preset.slug == "webhook"
    # The link to what is kept is the rule's: it takes the domain from the address.
    fill_in = preset.fill_in.replace("both addresses", "the address")
    return Offer(preset.slug, preset.label, Kind.HTTP, fill_in, preset.address, headers, is_signed, preset.secrets)


OFFERS: dict[str, Offer] = {
    offer.slug: offer
    for offer in (
        Offer(
            "slack",
            "Slack",
            Kind.SLACK,
            "Make an incoming webhook for a channel in Slack and paste its address as the secret “path”: whoever has "
            "it can write there.",
            SECRET_ADDRESSES[Kind.SLACK],
            secrets=(("path", "The address of the webhook, or its part after /services/"),),
        ),
        Offer(
            "teams",
            "Microsoft Teams",
            Kind.TEAMS,
            PRESETS["teams"].fill_in.replace("paste its address", "paste its address as the secret “address”"),
            SECRET_ADDRESSES[Kind.TEAMS],
            secrets=(("address", "The whole address of the workflow"),),
        ),
        *(_of_preset(preset) for slug, preset in PRESETS.items() if slug not in ("slack", "teams")),
        Offer(
            "email",
            "E-mail",
            Kind.EMAIL,
            "Mails go out by the mail server of EMAIL_URL. To whom, a rule says.",
        ),
        Offer(
            "whatsapp",
            "WhatsApp template by LiveTok",
            Kind.WHATSAPP,
            "Give an API key of LiveTok. The template must be approved already; a rule names it.",
            LIVETOK_ADDRESS,
            LIVETOK_HEADERS,
            secrets=(("api_key", "An API key of LiveTok"),),
        ),
    )
}


def action_for(destination: Destination) -> dict[str, Any]:
    """The fields of an action that says the usual to the destination."""
    if destination.kind == Kind.EMAIL:
        recipient = destination.owner_email
        return {"recipient": recipient, "subject": DEFAULT_SUBJECT, "text": DEFAULT_MAIL}
    if destination.kind == Kind.WHATSAPP:
        return {"recipient": "{{ session.number }}", "template_language": "en_US", "text": DEFAULT_PARAMETER}
    preset = _preset_of(destination)
    return {
        "method": preset.method,
        "body": preset.body,
        "kept_pointer": preset.kept_pointer,
        "kept_link": _with_own_domain(preset.kept_link, destination.address),
    }


def _preset_of(destination: Destination) -> Preset:
    """The one that the destination was made by, or that fits its address."""
    if destination.kind in (Kind.SLACK, Kind.TEAMS):
        return PRESETS[destination.kind]
    if destination.preset in PRESETS:
        return PRESETS[destination.preset]
    host, path = _host_and_path(destination.address)
    for preset in PRESETS.values():
        known_host, known_path = _host_and_path(preset.address)
        domain = ".".join(known_host.split(".")[-2:])
        if not preset.address_is_secret and path == known_path and host.endswith(domain):
            return preset
    return PRESETS["webhook"]


def _with_own_domain(link: str, address: str) -> str:
    host, _ = _host_and_path(address)
    for domain, placeholder in _OWN_DOMAINS.items():
        if host.endswith(domain) and "your-" not in host:
            return link.replace(placeholder, host.removesuffix(domain))
    return link


def _host_and_path(address: str) -> tuple[str, str]:
    try:
        parts = urlsplit(address)
        return parts.hostname or "", parts.path
    except ValueError:
        return "", ""


def known_host(address: str) -> str:
    """The host of an address, whose other parts may hold a secret; blank where the host is one itself."""
    return _host_and_path(address.partition("{{")[0])[0]
